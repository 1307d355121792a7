import { Injectable, Logger } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { type JobContext, jobAttributes } from '../../common/jobs/index.js';
import { Live } from '../../common/live/index.js';
import { traceUpload } from '../../common/tracing/index.js';
import {
  frameTime,
  MalformedFragments,
  type MediaProgress,
  MediaRunError,
  type Probe,
  type Rung,
  type Timing,
  timing,
} from '../media/index.js';
import { type UploadedFile, UploadedFiles } from '../uploads/index.js';
import { VideosService, videoTopic } from '../videos/index.js';
import { OnDemandRungs } from './on-demand.js';
import { type PieceKind, type RunSettings, rungsOf } from './plan.js';
import { Publisher } from './publisher.js';
import { Scratch } from './scratch.js';
import { PieceRefused, SourceDamaged } from './transcoding.errors.js';
import { encodeSpeed, pieces, piecesRunning, videosEnded } from './transcoding.metrics.js';
import { TranscodingService } from './transcoding.service.js';

/** A piece to be made, with all that its making needs. */
export interface PieceWork {
  readonly id: string;
  readonly videoId: string;
  readonly run: number;
  readonly kind: PieceKind;
  /** Of a RUNG: which. */
  readonly rendition: string | null;
  readonly number: number;
  readonly firstFrame: number;
  readonly frameCount: number;
  readonly done: boolean;
  /** Of the master. */
  readonly probe: Probe;
  /** What the picture is read from: the master, or its copy. */
  readonly picture: Probe;
  /** Where the picture is read from a copy: that. */
  readonly pictureObject: { key: string; sizeBytes: number } | null;
  readonly file: UploadedFile;
  /** Attempts that the input ended so far. */
  readonly strikes: number;
  readonly timing: Timing;
  readonly settings: RunSettings;
  /** Those to be encoded, the lowest first. */
  readonly rungs: readonly Rung[];
}

/** An input that ended so many attempts gets no further one. */
const MAX_STRIKES = 3;
/** Attempts after which a source is known to be broken, and not only a worker's copy of it. */
const DAMAGE_STRIKES = 2;
const PROGRESS_MS = 1_000;
const SPANS = {
  FIRST: 'encode first',
  VIDEO: 'encode',
  AUDIO: 'encode sound',
  STILLS: 'make stills',
  RUNG: 'encode rung',
} as const;
/** Why an attempt ended that never said why. */
const WORKER_KILLED = 'WORKER_KILLED';
const GONE = Symbol('gone');
const MESSAGES: Record<string, string> = {
  [WORKER_KILLED]:
    'Processing this file stopped its worker several times: save it again in another program and upload it anew.',
  CORRUPT:
    'The file is damaged: a part of its picture is missing or cannot be decoded. Save it again in another program and upload it anew.',
  ENCODE_FAILED: 'A part of this file could not be processed: save it again in another program and upload it anew.',
};

/** What all pieces' jobs have in common: the fence of the run, the count of bad ends, progress, and what follows. */
@Injectable()
export class PieceAttempts {
  private readonly logger = new Logger(PieceAttempts.name);

  constructor(
    private readonly db: Database,
    private readonly live: Live,
    private readonly videos: VideosService,
    private readonly files: UploadedFiles,
    private readonly publisher: Publisher,
    private readonly scratch: Scratch,
    private readonly transcoding: TranscodingService,
    private readonly onDemand: OnDemandRungs,
  ) {}

  /**
   * One attempt at a piece. `make` commits what it made by itself, in a folder that is gone afterwards; nothing happens
   * when the run is over or the piece is done. Then whatever the piece makes possible is done.
   *
   * @param isPart more of the piece follows another time, perhaps meanwhile: that is tried once, and what came to nothing is left
   * to the whole
   * @throws what `make` throws: to be tried again, until the input has ended three attempts
   */
  async attempt(
    pieceId: string,
    context: JobContext,
    make: (work: PieceWork, folder: string) => Promise<void>,
    isPart = false,
  ): Promise<void> {
    const work = await this.load(pieceId);
    if (!work || (isPart && (context.attempt > 1 || work.strikes > 0))) return;
    if (!work.done) {
      const verdict = isPart ? null : await this.begin(work);
      if (verdict === GONE) return;
      if (verdict !== null) return this.giveUp(work, verdict);
      await this.measured(work, context, isPart, () => this.scratch.folder((folder) => make(work, folder)));
    }
    if (work.kind === 'RUNG') await this.onDemand.advance(work);
    else await this.publisher.advance(work.videoId, work.run);
  }

  private async measured(
    work: PieceWork,
    context: JobContext,
    isPart: boolean,
    make: () => Promise<void>,
  ): Promise<void> {
    const { kind, number, timing } = work;
    const attributes = {
      'sluice.piece.kind': kind,
      'sluice.piece.number': number,
      'sluice.piece.frames': work.frameCount,
      ...(kind === 'AUDIO' ? {} : { 'sluice.rungs': rungsOf(kind, work.rungs).map(({ name }) => name) }),
      ...jobAttributes(context),
    };
    piecesRunning.inc({ kind });
    const begun = performance.now();
    try {
      await traceUpload(work.videoId, SPANS[kind], attributes, make);
      pieces.inc({ kind, outcome: 'done' });
      const seconds = frameTime(timing, work.frameCount);
      if (!isPart) encodeSpeed.observe({ kind }, (seconds * 1000) / (performance.now() - begun));
    } catch (error) {
      if (!(await this.endBadly(work, error, isPart, context.signal))) throw error;
    } finally {
      piecesRunning.dec({ kind });
    }
  }

  /** To be called as often as one likes: writes at most once a second. */
  progress(work: PieceWork): (progress: MediaProgress) => void {
    const wholeMs = 1000 * frameTime(work.timing, work.frameCount);
    const startMs = 1000 * frameTime(work.timing, work.firstFrame);
    let next = 0;
    return ({ frames, outputMs }) => {
      if (performance.now() < next) return;
      next = performance.now() + PROGRESS_MS;
      const share = Math.max(frames / work.frameCount, (outputMs - startMs) / wholeMs);
      this.db
        .query('UPDATE piece SET progress = $2 WHERE id = $1 AND done_at IS NULL', [
          work.id,
          Math.min(1, Math.max(0, share)),
        ])
        .then(() => this.live.tick(videoTopic(work.videoId)))
        .catch((error: Error) => this.logger.debug(`progress of ${work.id} not written: ${error.message}`));
    };
  }

  /** Null when the run is over, or nobody waits for the rung any more. */
  private async load(pieceId: string): Promise<PieceWork | null> {
    const [row] = await this.db.query<{
      id: string;
      videoId: string;
      run: number;
      kind: PieceKind;
      rendition: string | null;
      number: number;
      firstFrame: number;
      frameCount: number;
      done: boolean;
      strikes: number;
      probe: Probe;
      picture: Probe | null;
      pictureKey: string | null;
      pictureBytes: string | null;
      settings: RunSettings;
      rungs: Rung[] | null;
    }>(
      `SELECT p.id, p.video_id AS "videoId", p.run, p.kind, p.rendition, p.number, p.first_frame AS "firstFrame",
              p.frame_count AS "frameCount", p.done_at IS NOT NULL AS done, p.strikes,
              t.probe, t.picture, t.settings, t.picture_key AS "pictureKey", o.size_bytes AS "pictureBytes",
              (SELECT json_agg(json_build_object('name', r.name, 'width', r.width, 'height', r.height,
                                                 'maxBitsPerSecond', r.max_bits_per_second) ORDER BY r.position)
               FROM rendition r WHERE r.video_id = p.video_id AND r.run = p.run AND r.kind = 'VIDEO' AND NOT r.copied
                 AND CASE WHEN p.kind = 'RUNG' THEN r.name = p.rendition AND r.on_demand = 'ASKED' ELSE r.on_demand IS NULL END) AS rungs
       FROM piece p
       JOIN video v ON v.id = p.video_id AND v.run = p.run AND v.deleted_at IS NULL
         AND CASE WHEN p.kind = 'RUNG' THEN v.state = 'READY' ELSE v.state IN ('PROCESSING', 'PLAYABLE') END
       JOIN transcode_source t ON t.video_id = p.video_id AND t.run = p.run
       LEFT JOIN stored_object o ON o.key = t.picture_key
       WHERE p.id = $1`,
      [pieceId],
    );
    const file = row && (await this.files.ofVideo(row.videoId));
    if (!row?.rungs || file?.run !== row.run) return null;
    const { picture: copy, pictureKey, pictureBytes, rungs, ...piece } = row;
    const picture = copy ?? row.probe;
    return {
      ...piece,
      rungs,
      picture,
      pictureObject: pictureKey ? { key: pictureKey, sizeBytes: Number(pictureBytes) } : null,
      file,
      timing: timing(picture),
    };
  }

  /**
   * Counts a strike before the work begins, since who is killed can count nothing afterwards.
   * @returns why there is to be no further attempt, else null; GONE: the piece was given up meanwhile
   */
  private async begin(work: PieceWork): Promise<string | typeof GONE | null> {
    const [begun] = await this.db.query(
      `UPDATE piece SET strikes = strikes + 1, fault = $3, progress = 0 WHERE id = $1 AND strikes < $2 RETURNING id`,
      [work.id, MAX_STRIKES, WORKER_KILLED],
    );
    if (begun) return null;
    const [row] = await this.db.query<{ fault: string | null }>('SELECT fault FROM piece WHERE id = $1', [work.id]);
    return row ? (row.fault ?? WORKER_KILLED) : GONE;
  }

  private async giveUp({ videoId, run, rendition }: PieceWork, code: string): Promise<void> {
    // What another encoder made before, or a store that lost something, is no fault of the file.
    const to = code === 'ENCODE_FAILED' ? 'ABSENT' : 'FAILED';
    if (rendition !== null) return this.onDemand.giveUp({ videoId, run }, rendition, to, code);
    const failure = { code, message: MESSAGES[code] ?? code, retryable: true };
    const step = { videoId, run, to: 'FAILED', stage: 'FAILED', failure } as const;
    const isOver = await this.db.tx(async (tx) => {
      // Before the whole file is there and verified nothing is final: it is tried again as a whole then.
      await this.files.wantNothing(tx, videoId, run);
      if (await this.videos.withdraw(tx, videoId, run)) return false;
      const [source] = await tx.query<{ early: boolean }>(
        'SELECT early FROM transcode_source WHERE video_id = $1 AND run = $2',
        [videoId, run],
      );
      if (source?.early) throw new Error('The whole file is there by now, and is looked at first.');
      return this.videos.transition(tx, step);
    });
    if (isOver) videosEnded.inc({ outcome: 'failed', code });
  }

  /** @returns true when there is nothing left to try: the source was refused */
  private async endBadly(work: PieceWork, error: unknown, isPart: boolean, signal: AbortSignal): Promise<boolean> {
    const struck = !signal.aborted && isFaultOfInput(error);
    pieces.inc({ kind: work.kind, outcome: struck ? 'struck' : 'interrupted' });
    if (isPart) return false;
    if (!struck) {
      await this.db.query('UPDATE piece SET strikes = greatest(0, strikes - 1) WHERE id = $1', [work.id]);
      return false;
    }
    const code = error instanceof SourceDamaged ? 'CORRUPT' : 'ENCODE_FAILED';
    const [piece] = await this.db.query<{ strikes: number }>(
      'UPDATE piece SET fault = $2 WHERE id = $1 RETURNING strikes',
      [work.id, code],
    );
    // Before the whole file is there nothing is final.
    if (!(error instanceof SourceDamaged) || work.file.masterKey === null || !piece) return false;
    // The second attempt reads all of it.
    error.retryAtOnce = work.strikes === 0;
    if (error.retryAtOnce || piece.strikes < DAMAGE_STRIKES) return false;
    this.logger.log(`video ${work.videoId}, run ${work.run}: ${error.message}`);
    if (work.rendition !== null) await this.onDemand.giveUp(work, work.rendition, 'FAILED', code);
    else await this.transcoding.refuse(work, { code, message: MESSAGES[code] as string });
    return true;
  }
}

/** Not a full disk, a drain, a store that is away: those are tried again for as long as it takes. */
function isFaultOfInput(error: unknown): boolean {
  if (error instanceof MediaRunError) {
    return !['aborted', 'start'].includes(error.failure) && !error.isFullDisk;
  }
  return error instanceof PieceRefused || error instanceof MalformedFragments;
}
