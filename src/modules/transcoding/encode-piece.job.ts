import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { HandlesJob, type JobContext } from '../../common/jobs/index.js';
import { checkPiece, isConstantRate, MediaEngine, pieceArguments, readFragments } from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { PieceAttempts, type PieceWork } from './piece-attempts.js';
import { type MadeSegments, PieceResults } from './piece-results.js';
import { rungsOf } from './plan.js';
import { Scratch } from './scratch.js';
import { PieceRefused } from './transcoding.errors.js';
import { EncodeFirst, EncodePiece } from './transcoding.jobs.js';

/** A piece is twelve seconds of video: slower than 1/150 of its speed is no encoder at work. */
const TIMEOUT_MS = 30 * 60_000;

@Injectable()
export class EncodePieceJob {
  constructor(
    private readonly engine: MediaEngine,
    private readonly objects: StoredObjects,
    private readonly scratch: Scratch,
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

  private async make(work: PieceWork, folder: string, { lease, signal }: JobContext): Promise<MadeSegments[]> {
    const { timing, firstFrame, frameCount: frames, picture } = work;
    const rungs = rungsOf(work.kind, work.rungs);
    const { log } = await this.scratch.object(work.pictureObject, signal, (path) => {
      if (!picture.video) throw new Error('A probe without a picture was accepted.');
      const command = pieceArguments({
        ...{ path, video: picture.video, timing, firstFrame, frames },
        rungs: rungs.toReversed(),
      });
      return this.engine.run({
        ...{ command, workDir: folder, timeoutMs: TIMEOUT_MS, signal },
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
        throw new PieceRefused(`${work.kind} ${work.number}, ${rung.name}: ${checked.ok ? 'empty' : checked.reason}`);
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
          decodeTime: fragment.decodeTime,
          keyBytes: fragment.keyBytes,
        })),
      });
    }
    return made;
  }
}
