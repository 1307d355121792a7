import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { AFTER_STRAGGLERS, OnEvent } from '../../common/events/index.js';
import { HandlesJob, type JobContext, Jobs } from '../../common/jobs/index.js';
import { LISTED_ANYWHERE, VideoChanged, VideoDeleted, VideoPublished } from '../videos/index.js';
import { PopularityChanged } from '../views/index.js';
import { MakeVideoTerms } from './feeds.jobs.js';
import { termsOf } from './terms.js';

const AT_ONCE = 200;

/** Ten times the views stand before what came within four years. Without the present in it, so that it does not age. */
const SCORE = `round(1000 * log(coalesce(p.view_count, 0) + 1) + (extract(epoch FROM v.listed_at) - 1577836800) / 126144)::int`;

/** Keeps `video_term`: what is listed, by what it is about. */
@Injectable()
export class VideoTermsService {
  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
  ) {}

  @OnEvent(VideoPublished)
  async onVideoPublished({ videoId }: { videoId: string }): Promise<void> {
    await this.refresh(videoId);
  }

  @OnEvent(VideoChanged)
  async onVideoChanged({ videoId }: { videoId: string }): Promise<void> {
    await this.refresh(videoId);
  }

  @OnEvent(PopularityChanged)
  async onPopularityChanged({ videoIds }: { videoIds: string[] }, { signal }: JobContext): Promise<void> {
    for (const videoId of videoIds) {
      signal.throwIfAborted();
      await this.refresh(videoId);
    }
  }

  /** What hangs on it: by then nobody is about to add to it. */
  @OnEvent(VideoDeleted, AFTER_STRAGGLERS)
  async onVideoDeleted({ videoId }: { videoId: string }): Promise<void> {
    await this.db.query('DELETE FROM video_term WHERE video_id = $1', [videoId]);
    await this.db.query('DELETE FROM related_videos WHERE video_id = $1', [videoId]);
  }

  @HandlesJob(MakeVideoTerms)
  async make({ after }: { after: string }, { signal }: JobContext): Promise<void> {
    const rows = await this.db.query<{ id: string }>(
      'SELECT id FROM video WHERE id > $1 AND listed_at IS NOT NULL AND deleted_at IS NULL ORDER BY id LIMIT $2',
      [after, AT_ONCE],
    );
    for (const { id } of rows) {
      signal.throwIfAborted();
      await this.refresh(id);
    }
    const last = rows.at(-1);
    if (!last) return;
    const dedupeKey = `MakeVideoTerms ${last.id}`;
    await this.db.tx((tx) => this.jobs.enqueue(tx, MakeVideoTerms, { after: last.id }, { dedupeKey }));
  }

  /** Its terms as it is now; none where it is not listed. */
  async refresh(videoId: string): Promise<void> {
    await this.db.tx(async (tx) => {
      // One at a time: whoever is last sees the last change, and the terms that the others left.
      await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('terms of ' || $1, 0))`, [videoId]);
      const [row] = await tx.query<{ title: string; tags: string[]; score: number }>(
        `SELECT v.title, v.tags, ${SCORE} AS score FROM video v LEFT JOIN video_popularity p ON p.video_id = v.id
         WHERE v.id = $1 AND v.listed_at IS NOT NULL AND ${LISTED_ANYWHERE}`,
        [videoId],
      );
      const terms = row ? termsOf(row) : [];
      const gone = await tx.query(
        'DELETE FROM video_term WHERE video_id = $1 AND term <> ALL ($2::text[]) RETURNING term',
        [videoId, terms],
      );
      const written = await tx.query<{ isNew: boolean }>(
        `INSERT INTO video_term AS t (video_id, term, score) SELECT $1, term, $3 FROM unnest($2::text[]) AS x (term)
         ON CONFLICT (video_id, term) DO UPDATE SET score = excluded.score WHERE t.score <> excluded.score
         RETURNING xmax = 0 AS "isNew"`,
        [videoId, terms, row?.score ?? 0],
      );
      // What goes with it is another choice then.
      if (gone.length > 0 || written.some(({ isNew }) => isNew)) {
        await tx.query('DELETE FROM related_videos WHERE video_id = $1', [videoId]);
      }
    });
  }
}
