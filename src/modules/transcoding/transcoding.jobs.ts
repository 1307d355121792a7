import { defineJob, type JobDefinition } from '../../common/jobs/index.js';
import type { PieceKind } from './plan.js';

/** Reads the master's header, judges it, and plans the run. */
export const ProbeVideo = defineJob<{ videoId: string; run: number }>({ name: 'ProbeVideo', queue: 'probe' });

/** The first seconds of the lowest rung: a queue of its own, so that no other work is ever ahead of it. */
export const EncodeFirst = defineJob<{ pieceId: string }>({ name: 'EncodeFirst', queue: 'first' });

export const EncodePiece = defineJob<{ pieceId: string }>({ name: 'EncodePiece', queue: 'encode' });

export const EncodeAudio = defineJob<{ pieceId: string }>({ name: 'EncodeAudio', queue: 'encode' });

export const MakeStills = defineJob<{ pieceId: string }>({ name: 'MakeStills', queue: 'encode' });

/** Makes the file that whoever may watch a video may save, or gives it up: whatever its owner has decided by then. */
export const MakeDownload = defineJob<{ videoId: string }>({ name: 'MakeDownload', queue: 'encode' });

/** Lets go of everything that a video's runs up to this one made. */
export const FreeRuns = defineJob<{ videoId: string; run: number }>({ name: 'FreeRuns', queue: 'default' });

/** Before everything else of its queue: a player waits for it. */
export const ASKED_FOR = 1;

/** The job that makes a piece, and its priority (smaller runs first): what plays earlier is made earlier, in all videos alike. */
export function jobOf(piece: { kind: PieceKind; number: number }): {
  job: JobDefinition<{ pieceId: string }>;
  priority: number;
} {
  switch (piece.kind) {
    case 'FIRST':
      return { job: EncodeFirst, priority: 1 };
    case 'AUDIO':
      return { job: EncodeAudio, priority: 2 };
    case 'STILLS':
      return { job: MakeStills, priority: 5 };
    case 'VIDEO':
      return { job: EncodePiece, priority: 10 + piece.number };
  }
}

/** Behind all that somebody may be waiting to see. */
export const DOWNLOAD_PRIORITY = 100_000;

export const PIECE_JOB_KEY = 'piece:';
export const pieceJobKey = (pieceId: string): string => PIECE_JOB_KEY + pieceId;
export const probeJobKey = (videoId: string, run: number): string => `probe:${videoId}:${run}`;
