import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { HandlesJob, type JobContext } from '../../common/jobs/index.js';
import { MediaEngine, stillsArguments, stillsPlan } from '../media/index.js';
import { ObjectStorage, StoredObjects } from '../storage/index.js';
import { PieceAttempts, type PieceWork } from './piece-attempts.js';
import { type MadeStill, PieceResults } from './piece-results.js';
import { PieceRefused } from './transcoding.errors.js';
import { MakeStills } from './transcoding.jobs.js';

const TIMEOUT_MS = 20 * 60_000;

/** Poster, thumbnails and storyboard from our own lowest rung: its key frames alone, a hundredth of decoding the master. */
@Injectable()
export class MakeStillsJob {
  constructor(
    private readonly db: Database,
    private readonly engine: MediaEngine,
    private readonly storage: ObjectStorage,
    private readonly objects: StoredObjects,
    private readonly attempts: PieceAttempts,
    private readonly results: PieceResults,
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
    await pipeline(this.bytesOf(work, rung.name, signal), createWriteStream(whole));
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

  /** A rung as one file: its init segment, then all its segments. */
  private async *bytesOf(work: PieceWork, rendition: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    const of = [work.videoId, work.run, rendition];
    const [row] = await this.db.query<{ init: Buffer }>(
      'SELECT init FROM rendition WHERE video_id = $1 AND run = $2 AND name = $3',
      of,
    );
    if (!row) return;
    yield row.init;
    const segments = await this.db.query<{ key: string; start: string; size: number }>(
      `SELECT object_key AS key, byte_offset AS start, byte_size AS size FROM segment
       WHERE video_id = $1 AND run = $2 AND rendition = $3 ORDER BY number`,
      of,
    );
    for (const { key, start, size } of segments) {
      const range = { start: Number(start), end: Number(start) + size };
      yield* await this.storage.read(key, range, signal);
    }
  }
}
