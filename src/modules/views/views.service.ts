import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { AFTER_STRAGGLERS, OnEvent } from '../../common/events/index.js';
import { Periodically } from '../../common/jobs/index.js';
import { LISTED_WHEN_DUE, VideoDeleted, VideoPublished } from '../videos/index.js';
import { bothTrendsSql, trendOfPublicationSql } from './trend.js';

const SWEEP_MS = 600_000;
const SWEPT_AT_ONCE = 500;

/** What is known of how often videos were watched. */
@Injectable()
export class ViewsService {
  constructor(private readonly db: Database) {}

  /** How often each was watched; what was never watched may be missing. */
  async countsOf(videoIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.db.query<{ videoId: string; views: number }>(
      'SELECT video_id AS "videoId", view_count AS views FROM video_popularity WHERE video_id = ANY($1::uuid[])',
      [videoIds],
    );
    return new Map(rows.map(({ videoId, views }) => [videoId, views]));
  }

  /** What is new trends from its publication on. */
  @OnEvent(VideoPublished)
  async onVideoPublished({ videoId }: { videoId: string }): Promise<void> {
    await this.publish([videoId]);
  }

  /** Those that a process of a version before this one published, which tells nobody here. */
  @Periodically(SWEEP_MS)
  async sweep(signal?: AbortSignal): Promise<void> {
    for (let more = true; more && !signal?.aborted; ) {
      const rows = await this.db.query<{ id: string }>(
        `SELECT v.id FROM video v WHERE v.listed_at > now() - interval '1 day' AND ${LISTED_WHEN_DUE}
           AND NOT EXISTS (SELECT FROM video_popularity p WHERE p.video_id = v.id AND p.is_published)
         ORDER BY v.listed_at DESC LIMIT $1`,
        [SWEPT_AT_ONCE],
      );
      if (rows.length > 0) await this.publish(rows.map(({ id }) => id));
      more = rows.length === SWEPT_AT_ONCE;
    }
  }

  private async publish(videoIds: readonly string[]): Promise<void> {
    await this.db.query(
      `INSERT INTO video_popularity AS p (video_id, trend, is_published)
       SELECT v.id, ${trendOfPublicationSql('v.listed_at')}, true FROM video v
       WHERE v.id = ANY($1::uuid[]) AND v.listed_at IS NOT NULL AND v.deleted_at IS NULL ORDER BY v.id
       ON CONFLICT (video_id) DO UPDATE SET trend = ${bothTrendsSql('p.trend', 'excluded.trend')}, is_published = true
       WHERE NOT p.is_published`,
      [videoIds],
    );
  }

  /** Its hours are forgotten with all others. */
  @OnEvent(VideoDeleted, AFTER_STRAGGLERS)
  async onVideoDeleted({ videoId }: { videoId: string }): Promise<void> {
    await this.db.query('DELETE FROM video_popularity WHERE video_id = $1', [videoId]);
  }
}
