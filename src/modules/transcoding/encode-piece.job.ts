import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { HandlesJob, type JobContext } from '../../common/jobs/index.js';
import {
  checkPiece,
  isConstantRate,
  MediaEngine,
  pictureSpans,
  pieceArguments,
  pieceWindow,
  readFragments,
} from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { PieceAttempts, type PieceWork } from './piece-attempts.js';
import { type MadeSegments, PieceResults } from './piece-results.js';
import { rungsOf } from './plan.js';
import { Scratch } from './scratch.js';
import { SourceFiles } from './source-files.js';
import { PieceRefused } from './transcoding.errors.js';
import { EncodeFirst, EncodePiece } from './transcoding.jobs.js';

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

  private async make(work: PieceWork, folder: string, { lease, signal }: JobContext): Promise<MadeSegments[]> {
    const { timing, firstFrame, frameCount: frames, picture } = work;
    const rungs = rungsOf(work.kind, work.rungs);
    const seconds = (frames * timing.fpsDen) / timing.fpsNum;
    const { log } = await this.reading(work, signal, (path) => {
      if (!picture.video) throw new Error('A probe without a picture was accepted.');
      const command = pieceArguments({
        ...{ path, video: picture.video, timing, firstFrame, frames },
        rungs: rungs.toReversed(),
        preset: work.settings.preset,
        crf: work.settings.crf,
      });
      return this.engine.run({
        ...{ command, workDir: folder, timeoutMs: LEAST_TIMEOUT_MS + MS_A_SECOND * seconds, signal },
        onProgress: this.attempts.progress(work),
      });
    });

    const made: MadeSegments[] = [];
    for (const rung of rungs) {
      const file = join(folder, `${rung.name}.mp4`);
      const read = await readFragments(file);
      const constantRate = isConstantRate(picture, timing);
      const checked = checkPiece({ timing, firstFrame, frames, initSha256: null, constantRate }, read, log);
      const [first, last] = [read.fragments[0], read.fragments.at(-1)];
      if (!checked.ok || !read.init || !first || !last) {
        const reason = checked.ok ? 'empty' : checked.reason;
        throw new PieceRefused(`${work.kind} ${work.number}, ${rung.name}: ${reason}`, { log });
      }
      // The init segment stands in the rendition's row, once for all pieces.
      const sizeBytes = last.offset + last.size - first.offset;
      const key = `pieces/${work.videoId}/${work.run}/${work.id}/${lease}/${rung.name}.mp4`;
      const body = createReadStream(file, { start: first.offset, end: first.offset + sizeBytes - 1 });
      await this.objects.write(key, body, { sizeBytes, signal });
      const firstNumber = firstFrame / timing.segmentFrames + 1;
      made.push({
        ...{ rendition: rung.name, init: read.init, key, sizeBytes },
        segments: read.fragments.map((fragment, index) => ({
          number: firstNumber + index,
          byteOffset: fragment.offset - first.offset,
          byteSize: fragment.size,
          duration: fragment.duration,
        })),
      });
    }
    return made;
  }
}
