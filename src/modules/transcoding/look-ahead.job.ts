import { Injectable, Logger } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { HandlesJob, type JobContext, jobAttributes } from '../../common/jobs/index.js';
import { traceUpload } from '../../common/tracing/index.js';
import {
  firstShown,
  MediaEngine,
  needsRemux,
  pictureSpans,
  pieceWindow,
  type SampleIndex,
  soundSpans,
  type Timing,
  verdict,
} from '../media/index.js';
import { type ByteRange, LookAhead, type UploadedFile, UploadedFiles } from '../uploads/index.js';
import { BEGINNING_SECONDS, soundSteps, soundUntil } from './early-plan.js';
import type { RunPieceKind } from './plan.js';
import { Publisher } from './publisher.js';
import { SourceFiles } from './source-files.js';
import { PIECE_JOB_KEY } from './transcoding.jobs.js';
import { TranscodingService } from './transcoding.service.js';

/** Each waits for other bytes, and then finds them there. */
const MOST_STEPS = 100;
const PIECES_A_STEP = 200;

/**
 * Begins to process a file while it arrives: its index, its first seconds, then piece after piece, each as soon as its
 * bytes are there. What it cannot do, or would refuse, waits for the whole file: nothing is final before. docs/decisions/0018
 */
@Injectable()
export class LookAheadJob {
  private readonly logger = new Logger(LookAheadJob.name);

  constructor(
    private readonly db: Database,
    private readonly engine: MediaEngine,
    private readonly files: UploadedFiles,
    private readonly sources: SourceFiles,
    private readonly transcoding: TranscodingService,
    private readonly publisher: Publisher,
  ) {}

  @HandlesJob(LookAhead)
  async handle({ sessionId }: { sessionId: string }, context: JobContext): Promise<void> {
    for (let step = 0; step < MOST_STEPS; step++) {
      context.signal.throwIfAborted();
      const file = await this.files.waitedFor(sessionId);
      if (!file) return;
      const next = await this.step(file, context);
      const isThere = await this.files.want(file, next);
      // Whatever was missing may have come meanwhile, or the bytes may be others now.
      if (next === null || isThere === false) return;
    }
    throw new Error(`What upload ${sessionId} is to bring next could not be found out.`);
  }

  /** @returns what has to arrive before there is more to do; null when that is the whole file */
  private async step(file: UploadedFile, context: JobContext): Promise<ByteRange[] | null> {
    const timing = await this.transcoding.earlyTiming(file);
    if (timing === 'whole') return null;
    if (timing) return this.askFor(file, timing);

    const needed = await this.sources.needed(file, beginning);
    if (!needed?.every((range) => this.files.has(file, range))) return needed;
    const attributes = { 'sluice.run': file.run, 'sluice.early': true, ...jobAttributes(context) };
    return traceUpload(file.videoId, 'probe', attributes, async (span) => {
      const probe = await this.sources.during(file, beginning, context.signal, (path) =>
        this.engine.probe(path, context.signal),
      );
      const judged = verdict(probe);
      span.set({ 'sluice.verdict': judged.accepted ? 'ACCEPTED' : judged.code });
      if (!judged.accepted || needsRemux(probe)) {
        this.logger.debug(`upload ${file.sessionId} is not processed early: ${judged.accepted ? 'copy' : judged.code}`);
        return null;
      }
      await this.transcoding.planRun(file, { probe, picture: null, early: true });
      return [];
    });
  }

  /** Has those pieces made whose bytes are there. @returns what the next one needs */
  private async askFor(file: UploadedFile, timing: Timing): Promise<ByteRange[] | null> {
    const pieces = await this.db.query<{
      id: string;
      kind: RunPieceKind;
      number: number;
      firstFrame: number;
      frameCount: number;
    }>(
      `SELECT id, kind, number, first_frame AS "firstFrame", frame_count AS "frameCount" FROM piece p
       WHERE video_id = $1 AND run = $2 AND kind IN ('FIRST', 'VIDEO', 'AUDIO') AND done_at IS NULL
         AND NOT EXISTS (SELECT FROM job j WHERE j.dedupe_key = $3 || p.id)
       ORDER BY first_frame, kind LIMIT $4`,
      [file.videoId, file.run, PIECE_JOB_KEY, PIECES_A_STEP],
    );
    const ready: typeof pieces = [];
    let next: ByteRange[] | null = pieces.length < PIECES_A_STEP ? null : [];
    for (const piece of pieces) {
      if (piece.kind === 'AUDIO') {
        await this.askForSound(file, timing, piece.id);
        continue;
      }
      const { from, until } = pieceWindow(timing, piece.firstFrame, piece.frameCount);
      const needed = await this.sources.needed(file, (index) => pictureSpans(index, from, until));
      if (!needed) return null;
      if (!needed.every((range) => this.files.has(file, range))) {
        next = needed;
        break;
      }
      ready.push(piece);
    }
    if (ready.length > 0) await this.db.tx((tx) => this.publisher.ask(tx, file.videoId, file.run, ready));
    return next;
  }

  private async askForSound(file: UploadedFile, timing: Timing, pieceId: string): Promise<void> {
    for (const segments of soundSteps(timing)) {
      const until = soundUntil(timing, segments);
      const needed = await this.sources.needed(file, (index) => soundSpans(index, until));
      if (!needed?.every((range) => this.files.has(file, range))) continue;
      const frameCount = Math.round((until * timing.fpsNum) / timing.fpsDen);
      const part = { id: pieceId, kind: 'AUDIO', number: 0, frameCount, segments } as const;
      await this.db.tx((tx) => this.publisher.ask(tx, file.videoId, file.run, [part]));
      return;
    }
  }
}

function beginning(index: SampleIndex): ByteRange[] {
  const until = firstShown(index) + BEGINNING_SECONDS;
  return [...pictureSpans(index, Number.NEGATIVE_INFINITY, until), ...soundSpans(index, until)];
}
