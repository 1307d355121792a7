import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import { HandlesJob, type JobContext } from '../../common/jobs/index.js';
import { MediaEngine, stillsArguments, stillsPlan } from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { MadeRenditions } from './made-renditions.js';
import { PieceAttempts, type PieceWork } from './piece-attempts.js';
import { type MadeStill, PieceResults } from './piece-results.js';
import { PieceRefused } from './transcoding.errors.js';
import { MakeStills } from './transcoding.jobs.js';

const TIMEOUT_MS = 20 * 60_000;

/** Poster, thumbnails and storyboard from our own lowest rung: its key frames alone, a hundredth of decoding the master. */
@Injectable()
export class MakeStillsJob {
  constructor(
    private readonly engine: MediaEngine,
    private readonly objects: StoredObjects,
    private readonly attempts: PieceAttempts,
    private readonly results: PieceResults,
    private readonly renditions: MadeRenditions,
  ) {}

  @HandlesJob(MakeStills)
  handle({ pieceId }: { pieceId: string }, context: JobContext): Promise<void> {
    return this.attempts.attempt(pieceId, context, async (work, folder) => {
      const made = await this.make(work, folder, context);
      await this.results.commitStills(work, made);
    });
  }

  private async make(work: PieceWork, folder: string, { lease, signal }: JobContext): Promise<MadeStill[]> {
    const [rung] = work.rungs;
    if (!rung) throw new Error('A run without rungs was planned.');
    const whole = join(folder, 'whole.mp4');
    await pipeline(this.renditions.bytesOf(work.videoId, work.run, rung.name, signal), createWriteStream(whole));
    await this.engine.run({
      command: stillsArguments(whole, work.timing, rung),
      ...{ workDir: folder, timeoutMs: TIMEOUT_MS, signal },
      onProgress: this.attempts.progress(work),
    });

    const made: MadeStill[] = [];
    for (const still of stillsPlan(work.timing, rung)) {
      const picture = await readFile(join(folder, still.file)).catch((error: Error) => {
        throw new PieceRefused(`${still.file} was not made`, { cause: error });
      });
      const key = `pieces/${work.videoId}/${work.run}/${work.id}/${lease}/${still.file}`;
      const { sizeBytes } = await this.objects.write(key, picture, { sizeBytes: picture.length, signal });
      made.push({ ...still, key, sizeBytes });
    }
    return made;
  }
}
