import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { HandlesJob, type JobContext } from '../../common/jobs/index.js';
import {
  checkPiece,
  damagedFrames,
  frameTime,
  isConstantRate,
  MediaEngine,
  MediaRunError,
  pictureSpans,
  pieceArguments,
  pieceWindow,
  readFragments,
} from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { PieceAttempts, type PieceWork } from './piece-attempts.js';
import { type MadeSegments, madeSegments, PieceResults } from './piece-results.js';
import { rungsOf } from './plan.js';
import { Scratch } from './scratch.js';
import { SourceFiles } from './source-files.js';
import { PieceRefused, SourceDamaged } from './transcoding.errors.js';
import { EncodeFirst, EncodePiece, EncodeRung, hasteOf } from './transcoding.jobs.js';

/** Slower than 1/150 of a video's speed is no encoder at work; the start of a program on a busy machine is none of it. */
const MS_A_SECOND = 150_000;
const LEAST_TIMEOUT_MS = 10 * 60_000;

@Injectable()
export class EncodePieceJob {
  constructor(
    private readonly engine: MediaEngine,
    private readonly objects: StoredObjects,
    private readonly scratch: Scratch,
    private readonly sources: SourceFiles,
    private readonly attempts: PieceAttempts,
    private readonly results: PieceResults,
  ) {}

  @HandlesJob(EncodeFirst)
  first({ pieceId }: { pieceId: string }, context: JobContext): Promise<void> {
    return this.encode(pieceId, context);
  }

  @HandlesJob(EncodePiece)
  piece({ pieceId }: { pieceId: string }, context: JobContext): Promise<void> {
    return this.encode(pieceId, context);
  }

  @HandlesJob(EncodeRung)
  rung({ pieceId }: { pieceId: string }, context: JobContext): Promise<void> {
    return this.encode(pieceId, context);
  }

  private encode(pieceId: string, context: JobContext): Promise<void> {
    return this.attempts.attempt(pieceId, context, async (work, folder) => {
      const made = await this.make(work, folder, context);
      await this.results.commit(work, made, true);
    });
  }

  private reading<T>(work: PieceWork, signal: AbortSignal, use: (path: string) => Promise<T>): Promise<T> {
    if (work.pictureObject) return this.scratch.object(work.pictureObject, signal, use);
    // An index that is wrong may be why it came out wrong.
    if (work.strikes > 0 && work.file.masterKey) return this.sources.whole(work.file, signal, use);
    const { from, until } = pieceWindow(work.timing, work.firstFrame, work.frameCount);
    return this.sources.during(work.file, (index) => pictureSpans(index, from, until), signal, use);
  }

  private async make(
    work: PieceWork,
    folder: string,
    { lease, signal, waitedSeconds }: JobContext,
  ): Promise<MadeSegments[]> {
    const { timing, firstFrame, frameCount: frames, picture } = work;
    const rungs = rungsOf(work.kind, work.rungs);
    const seconds = frameTime(timing, frames);
    const urgent = work.kind === 'FIRST';
    const { log } = await this.reading(work, signal, (path) => {
      if (!picture.video) throw new Error('A probe without a picture was accepted.');
      const command = pieceArguments({
        ...{ path, video: picture.video, timing, firstFrame, frames },
        rungs: rungs.toReversed(),
        preset: work.settings.preset,
        crf: work.settings.crf,
        urgent,
      });
      return this.engine
        .run({
          ...{ command, workDir: folder, timeoutMs: LEAST_TIMEOUT_MS + MS_A_SECOND * seconds, signal },
          haste: urgent ? hasteOf(waitedSeconds) : 'none',
          onProgress: this.attempts.progress(work),
        })
        .catch((error: unknown) => {
          // ffmpeg gives up by itself when most of what it reads cannot be decoded.
          const isSource = error instanceof MediaRunError && error.gaveUp && damagedFrames(error.log) > 0;
          if (!isSource) throw error;
          throw new SourceDamaged('ffmpeg gave up on the picture', { cause: error, log: error.log });
        });
    });

    const made: MadeSegments[] = [];
    for (const rung of rungs) {
      const file = join(folder, `${rung.name}.mp4`);
      const read = await readFragments(file);
      const constantRate = isConstantRate(picture, timing);
      const checked = checkPiece({ timing, firstFrame, frames, initSha256: null, constantRate }, read, log);
      if (!checked.ok) {
        const Refused = checked.isSource ? SourceDamaged : PieceRefused;
        throw new Refused(`${work.kind} ${work.number}, ${rung.name}: ${checked.reason}`, { log });
      }
      const key = `pieces/${work.videoId}/${work.run}/${work.id}/${lease}/${rung.name}.mp4`;
      const { start, ...segments } = madeSegments(rung.name, read, key, firstFrame / timing.segmentFrames + 1);
      const { sizeBytes } = segments;
      const body = () => createReadStream(file, { start, end: start + sizeBytes - 1 });
      await this.objects.write(key, body, { sizeBytes, signal });
      made.push(segments);
    }
    return made;
  }
}
