import { Injectable, Logger } from '@nestjs/common';
import { Database, type Tx } from '../../common/database/index.js';
import { Events } from '../../common/events/index.js';
import { Periodically } from '../../common/jobs/index.js';
import { bothTrendsSql, sumOfTrendsSql, trendOfSql } from './trend.js';
import { type Bucket, ViewStore } from './view-store.js';
import { PopularityChanged, popularityStep } from './views.events.js';
import { flushDuration, written } from './views.metrics.js';

const FLUSH_MS = 1_000;
const SWEEP_MS = 3_600_000;
/** Of an hour on its own, for what is brought again; what it added to a video's count stays. */
const KEEP_DAYS = 2;
const FORGET_AT_ONCE = 1_000;

interface Kept {
  /** Of the bucket, from 1 on. */
  position: number;
  kept: number;
  /** Of its video; null where nothing was added. */
  added: number | null;
  views: number | null;
  videoId: string;
}

/** Brings counts from Redis into the database, as they stand: whoever is killed anywhere in it has done no harm. */
@Injectable()
export class ViewFlush {
  private readonly logger = new Logger(ViewFlush.name);

  constructor(
    private readonly db: Database,
    private readonly events: Events,
    private readonly store: ViewStore,
  ) {}

  @Periodically(FLUSH_MS)
  async flush(signal?: AbortSignal): Promise<void> {
    // What waits there waits until it is back.
    if (!this.store.isThere) return;
    const end = flushDuration.startTimer();
    let some = false;
    const begun = await this.store.now();
    for await (const buckets of this.store.waiting()) {
      some = true;
      const kept = await this.db.tx((tx) => this.write(tx, buckets));
      // Another process is at it.
      if (!kept) return;
      await this.store.settle(kept);
      if (signal?.aborted) return;
    }
    await this.store.noteFlushed(begun);
    if (some) end();
  }

  /**
   * Two statements, however many views. What is written is the count itself and never a difference, so that it may be
   * written again; the difference to what was there goes to the video in the same statement.
   * @returns null when another process writes now
   */
  private async write(tx: Tx, buckets: readonly Bucket[]): Promise<(Bucket & { kept: number })[] | null> {
    // Of two at once each would take what the other adds for its own.
    const [lock] = await tx.query<{ mine: boolean }>(
      `SELECT pg_try_advisory_xact_lock(hashtextextended('views', 0)) AS mine`,
    );
    if (!lock?.mine) return null;
    const rows = await tx.query<Kept>(
      `WITH sent AS (
         SELECT s.position, s.video_id, to_timestamp(s.hour) AS hour, s.era, s.count, coalesce(b.count, 0) AS before
         FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[]) WITH ORDINALITY AS s(video_id, hour, era, count, position)
         JOIN video v ON v.id = s.video_id AND v.deleted_at IS NULL
         LEFT JOIN view_bucket b ON b.hour = to_timestamp(s.hour) AND b.video_id = s.video_id AND b.era = s.era
       ), more AS (
         SELECT *, count - before AS views, ${trendOfSql('count - before', `least(hour + interval '1 hour', now())`)} AS trend
         FROM sent WHERE count > before
       ), bucket AS (
         INSERT INTO view_bucket (hour, video_id, era, count) SELECT hour, video_id, era, count FROM more ORDER BY hour, video_id, era
         ON CONFLICT (hour, video_id, era) DO UPDATE SET count = excluded.count
       ), added AS (
         SELECT video_id, sum(views)::bigint AS views, ${sumOfTrendsSql('trend', 'highest')} AS trend
         FROM (SELECT *, max(trend) OVER (PARTITION BY video_id) AS highest FROM more) m GROUP BY video_id, highest
       ), popularity AS (
         INSERT INTO video_popularity AS p (video_id, view_count, trend) SELECT video_id, views, trend FROM added ORDER BY video_id
         ON CONFLICT (video_id) DO UPDATE SET view_count = p.view_count + excluded.view_count, trend = ${bothTrendsSql('p.trend', 'excluded.trend')}
         RETURNING video_id, view_count
       )
       SELECT sent.position, sent.video_id AS "videoId", greatest(sent.count, sent.before) AS kept, added.views AS added, popularity.view_count AS views
       FROM sent LEFT JOIN added USING (video_id) LEFT JOIN popularity USING (video_id)`,
      [
        buckets.map(({ videoId }) => videoId),
        buckets.map(({ hour }) => hour),
        buckets.map(({ era }) => era),
        buckets.map(({ count }) => count),
      ],
    );
    const added = new Map<string, { before: number; after: number }>();
    for (const { videoId, added: more, views } of rows) {
      if (more !== null && views !== null) added.set(videoId, { before: views - more, after: views });
    }
    const risen = [...added].filter(([, { before, after }]) => popularityStep(before) !== popularityStep(after));
    if (risen.length > 0) await this.events.publish(tx, PopularityChanged, { videoIds: risen.map(([id]) => id) });
    tx.afterCommit(() => {
      for (const { before, after } of added.values()) written.inc(after - before);
    });
    // Of videos that are gone nothing is kept, and nothing waits.
    const kept = new Map(rows.map((row) => [row.position, row.kept]));
    return buckets.map((bucket, index) => ({ ...bucket, kept: kept.get(index + 1) ?? bucket.count }));
  }

  @Periodically(SWEEP_MS)
  async forget(signal?: AbortSignal): Promise<void> {
    // What was written, and may be sent once more: of an hour that was forgotten it would be added again.
    if (!this.store.isThere) return;
    await this.flush(signal);
    for (let more = true; more && !signal?.aborted; ) {
      const rows = await this.db.query(
        `DELETE FROM view_bucket WHERE (hour, video_id, era) IN
           (SELECT hour, video_id, era FROM view_bucket WHERE hour < now() - $1 * interval '1 day'
            ORDER BY hour LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING hour`,
        [KEEP_DAYS, FORGET_AT_ONCE],
      );
      more = rows.length === FORGET_AT_ONCE;
      if (rows.length > 0) this.logger.debug(`forgot ${rows.length} hours of views`);
    }
  }
}
