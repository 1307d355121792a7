import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { AFTER_STRAGGLERS, OnEvent } from '../../common/events/index.js';
import { VideoDeleted, VideoPublished } from '../videos/index.js';
import { bothTrendsSql, trendOfPublicationSql } from './trend.js';

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
    await this.db.query(
      `INSERT INTO video_popularity AS p (video_id, trend, is_published)
       SELECT v.id, ${trendOfPublicationSql('v.listed_at')}, true FROM video v
       WHERE v.id = $1 AND v.listed_at IS NOT NULL AND v.deleted_at IS NULL
       ON CONFLICT (video_id) DO UPDATE SET trend = ${bothTrendsSql('p.trend', 'excluded.trend')}, is_published = true
       WHERE NOT p.is_published`,
      [videoId],
    );
  }

  /** A bucket an hour, of ninety days: few enough for one statement. */
  @OnEvent(VideoDeleted, AFTER_STRAGGLERS)
  async onVideoDeleted({ videoId }: { videoId: string }): Promise<void> {
    await this.db.query('DELETE FROM view_bucket WHERE video_id = $1', [videoId]);
    await this.db.query('DELETE FROM video_popularity WHERE video_id = $1', [videoId]);
  }
}
