import { defineJob, type JobDefinition } from '../../common/jobs/index.js';
import type { Haste } from '../media/index.js';
import type { PieceKind, RunPieceKind } from './plan.js';

/** Reads the master's header, judges it, and plans the run. */
export const ProbeVideo = defineJob<{ videoId: string; run: number }>({ name: 'ProbeVideo', queue: 'probe' });

/** The first seconds of the lowest rung: a queue of its own with slots of its own, so that no other work is ever ahead of it. */
export const EncodeFirst = defineJob<{ pieceId: string }>({ name: 'EncodeFirst', queue: 'first' });

export const EncodePiece = defineJob<{ pieceId: string }>({ name: 'EncodePiece', queue: 'encode' });

/** `segments`: only so many for now, since more of the file has not arrived. */
export const EncodeAudio = defineJob<{ pieceId: string; segments?: number }>({ name: 'EncodeAudio', queue: 'encode' });

/** Nothing plays without the first seconds of sound: they have the turn of the first picture, which takes longer and goes before, and are made beside it. */
export const EncodeFirstSound = defineJob<{ pieceId: string; segments?: number }>({
  name: 'EncodeFirstSound',
  queue: 'first',
  priority: 150,
});

/** Of a rung that somebody asked for: behind all other work. */
export const EncodeRung = defineJob<{ pieceId: string }>({ name: 'EncodeRung', queue: 'spare' });

export const MakeStills = defineJob<{ pieceId: string }>({ name: 'MakeStills', queue: 'encode' });

/** Makes the file that whoever may watch a video may save, or gives it up: whatever its owner has decided by then. */
export const MakeDownload = defineJob<{ videoId: string }>({ name: 'MakeDownload', queue: 'encode' });

/** Lets go of everything that a video's runs up to this one made. */
export const FreeRuns = defineJob<{ videoId: string; run: number }>({ name: 'FreeRuns', queue: 'default' });

/** A player waits for it: it goes before whatever has the same turn, and has its place for good. */
export const ASKED_FOR = 1;

/** Of a run: what a frame of each of its rungs has of pixels, the lowest first, and how many frames there are a second. */
export interface RunSize {
  readonly pixels: readonly number[];
  readonly framesPerSecond: number;
}

/** What a second of sound takes beside a million pixels of picture (measured on two cores). */
const SOUND_MEGAPIXELS = 5;

/**
 * The job that makes a piece, and what it costs: in millions of pixels to encode, the unit of the queues `first` and `encode`.
 * Stills take next to nothing, and all is ready but for them: they are `next`. The first seconds of sound cost nothing either, but have their
 * owner's turn all the same: of a hundred videos they would be before another owner's first picture.
 */
export function jobOf(
  piece: { kind: RunPieceKind; frameCount: number; segments?: number },
  size: RunSize,
): { definition: JobDefinition<{ pieceId: string }>; cost: number; next?: boolean } {
  const megapixels = (pixels: readonly number[]) => (piece.frameCount * pixels.reduce((a, b) => a + b, 0)) / 1e6;
  switch (piece.kind) {
    case 'FIRST':
      return { definition: EncodeFirst, cost: megapixels(size.pixels.slice(0, 1)) };
    case 'AUDIO':
      if (piece.segments === 1) return { definition: EncodeFirstSound, cost: 0 };
      return { definition: EncodeAudio, cost: (SOUND_MEGAPIXELS * piece.frameCount) / size.framesPerSecond };
    case 'STILLS':
      return { definition: MakeStills, cost: 0, next: true };
    case 'VIDEO':
      return { definition: EncodePiece, cost: megapixels(size.pixels) };
  }
}

/** With a slot free, and a worker awake, a job begins well before. */
const AT_ONCE_SECONDS = 1;

/** Of what a video begins to play with. Whose has waited behind others has many, or the system is full: who comes now is to feel little of it. */
export const hasteOf = (waitedSeconds: number): Haste => (waitedSeconds <= AT_ONCE_SECONDS ? 'now' : 'soon');

/** A run's pieces in the order in which its owner's turns are spent on them: what plays earlier is made earlier. */
export function inOrder<Piece extends { kind: PieceKind; number: number }>(pieces: readonly Piece[]): Piece[] {
  const rank = ({ kind, number }: Piece) => (kind === 'VIDEO' ? number : kind === 'FIRST' ? -1 : -2);
  return pieces.toSorted((a, b) => rank(a) - rank(b));
}

export const PIECE_JOB_KEY = 'piece:';
export const pieceJobKey = (pieceId: string, segments?: number): string =>
  PIECE_JOB_KEY + pieceId + (segments === undefined ? '' : `:${segments}`);
export const probeJobKey = (videoId: string, run: number): string => `probe:${videoId}:${run}`;
