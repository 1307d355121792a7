import { Injectable, Logger } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { HandlesJob, type JobContext } from '../../common/jobs/index.js';
import { StoredObjects } from '../storage/index.js';
import { MAX_CHUNKS } from './chunk-size.js';
import { MERGED_BYTES, runsOf, type SmallChunk } from './merge-runs.js';
import { OBJECT_BYTES } from './settle-rule.js';
import * as ledger from './upload-ledger.js';
import { MergeChunks } from './uploads.jobs.js';
import { RATE_WINDOW_SECONDS } from './uploads.service.js';

/** Makes few objects of many small ones while an upload is under way, so that a slow link may take weeks. */
@Injectable()
export class MergeJob {
  private readonly logger = new Logger(MergeJob.name);
  /** The newest are what the upload's rate is told from. Replaced by tests, which have no minute. */
  newestSeconds = RATE_WINDOW_SECONDS;

  constructor(
    private readonly db: Database,
    private readonly objects: StoredObjects,
  ) {}

  /**
   * Each run becomes an object under this attempt's own key, which then takes the place of its chunks if all of them are
   * still there: an attempt that was cut off leaves garbage, and one that comes too late gives its own object up.
   */
  @HandlesJob(MergeChunks)
  async merge({ sessionId }: { sessionId: string }, { lease, signal }: JobContext): Promise<void> {
    for (const run of runsOf(await this.small(sessionId))) {
      signal.throwIfAborted();
      await this.mergeRun(sessionId, run, `merged/${sessionId}/${lease}-${run[0]?.range.start}`, signal);
    }
  }

  private async mergeRun(sessionId: string, run: SmallChunk[], key: string, signal: AbortSignal): Promise<void> {
    const [first, last] = [run[0], run.at(-1)];
    if (!first || !last) return;
    const range = { start: first.range.start, end: last.range.end };
    const { sha256 } = await this.objects.compose(
      key,
      run.map((chunk) => ({ key: chunk.key, start: 0, end: chunk.range.end - chunk.range.start })),
      { sizeBytes: range.end - range.start, signal },
    );
    const keys = run.map((chunk) => chunk.key);
    await this.db.tx(async (tx) => {
      const merged = await ledger.merge(tx, sessionId, { range, key, sha256 }, keys);
      if (!merged) await this.objects.drop(tx, [key]);
      this.logger.debug(`${keys.length} objects of upload ${sessionId} ${merged ? 'became one' : 'changed meanwhile'}`);
    });
  }

  /** Those of the append lane: what a client cut as it wanted stays as it was signed. */
  private async small(sessionId: string): Promise<SmallChunk[]> {
    const rows = await this.db.query<{ key: string; start: number; end: number; chunks: number }>(
      `SELECT object_key AS key, lower(span) AS start, upper(span) AS "end", count(*) OVER ()::int AS chunks
       FROM upload_chunk c JOIN upload_session s ON s.id = c.session_id
       WHERE s.id = $1 AND s.state = 'OPEN' AND covers = int8multirange(span)
         AND (starts_with(object_key, 'appended/') OR starts_with(object_key, 'merged/'))
         AND committed_at < clock_timestamp() - $2 * interval '1 s' ORDER BY lower(span) LIMIT $3`,
      [sessionId, this.newestSeconds, MAX_CHUNKS],
    );
    // Full ones are no burden before the limit comes near.
    const below = (rows[0]?.chunks ?? 0) > MAX_CHUNKS / 2 ? MERGED_BYTES / 2 : OBJECT_BYTES;
    return rows.flatMap(({ key, start, end }) => (end - start < below ? [{ key, range: { start, end } }] : []));
  }
}
