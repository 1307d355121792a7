import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { AFTER_STRAGGLERS, OnEvent } from '../../common/events/index.js';
import { HandlesJob, type JobContext, Jobs, Periodically } from '../../common/jobs/index.js';
import { LISTED_WHEN_DUE, VideoChanged, VideoDeleted, VideoPublished } from '../videos/index.js';
import { PopularityChanged } from '../views/index.js';
import { MakeVideoTerms } from './feeds.jobs.js';
import { termsOf } from './terms.js';

const AT_ONCE = 200;
const SWEEP_MS = 600_000;
/** A score that is nearer than a factor of two in views to the one that is written stays: each is an entry in the index a term. */
const NEAR = 300;

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
    // Also of one that has no terms of its own: what goes with it goes by its title.
    await this.db.query('DELETE FROM related_videos WHERE video_id = $1', [videoId]);
  }

  @OnEvent(PopularityChanged, { queue: 'default' })
  async onPopularityChanged({ videoIds }: { videoIds: string[] }, { signal }: JobContext): Promise<void> {
    const rows = await this.db.query<{ id: string }>(
      `SELECT v.id FROM video v LEFT JOIN video_popularity p ON p.video_id = v.id WHERE v.id = ANY($1::uuid[])
         AND EXISTS (SELECT FROM video_term t WHERE t.video_id = v.id AND abs(t.score - ${SCORE}) >= $2)`,
      [videoIds, NEAR],
    );
    await this.refreshAll(rows, signal);
  }

  /** Those that a process of a version before this one published, which tells nobody here. */
  @Periodically(SWEEP_MS)
  async sweep(signal: AbortSignal): Promise<void> {
    const rows = await this.db.query<{ id: string }>(
      `SELECT v.id FROM video v WHERE v.listed_at > now() - interval '1 day' AND ${LISTED_WHEN_DUE}
         AND NOT EXISTS (SELECT FROM video_term t WHERE t.video_id = v.id) ORDER BY v.listed_at DESC LIMIT $1`,
      [AT_ONCE],
    );
    await this.refreshAll(rows, signal);
  }

  /** What hangs on it: by then nobody is about to add to it. */
  @OnEvent(VideoDeleted, AFTER_STRAGGLERS)
  async onVideoDeleted({ videoId }: { videoId: string }): Promise<void> {
    await this.db.query('DELETE FROM video_term WHERE video_id = $1', [videoId]);
    await this.db.query('DELETE FROM related_videos WHERE video_id = $1', [videoId]);
  }

  @HandlesJob(MakeVideoTerms)
  async make({ after }: { after: string }, { jobId, signal }: JobContext): Promise<void> {
    const rows = await this.db.query<{ id: string }>(
      'SELECT id FROM video WHERE id > $1 AND listed_at IS NOT NULL AND deleted_at IS NULL ORDER BY id LIMIT $2',
      [after, AT_ONCE],
    );
    const last = rows.at(-1);
    if (!last) return;
    try {
      await this.refreshAll(rows, signal);
    } finally {
      // One follower, however often this one runs. Also behind one that fails: it is tried again on its own.
      const dedupeKey = `MakeVideoTerms ${jobId}`;
      await this.db.tx((tx) => this.jobs.enqueue(tx, MakeVideoTerms, { after: last.id }, { dedupeKey }));
    }
  }

  /** One that fails keeps no other back. @throws AggregateError of those that failed, at the end */
  private async refreshAll(videos: readonly { id: string }[], signal: AbortSignal): Promise<void> {
    const failures: unknown[] = [];
    for (const { id } of videos) {
      signal.throwIfAborted();
      await this.refresh(id).catch((error) => failures.push(error));
    }
    if (failures.length > 0)
      throw new AggregateError(failures, `${failures.length} videos have no new terms: ${failures[0]}`);
  }

  /** Its terms as it is now; none where no time will list it. Whoever shows it asks whether its time has come. */
  async refresh(videoId: string): Promise<void> {
    await this.db.tx(async (tx) => {
      // One at a time: whoever is last sees the last change, and the terms that the others left.
      await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('terms of ' || $1, 0))`, [videoId]);
      const [row] = await tx.query<{ title: string; tags: string[]; score: number }>(
        `SELECT v.title, v.tags, ${SCORE} AS score FROM video v LEFT JOIN video_popularity p ON p.video_id = v.id
         WHERE v.id = $1 AND v.listed_at IS NOT NULL AND ${LISTED_WHEN_DUE}`,
        [videoId],
      );
      const terms = row ? termsOf(row) : [];
      await tx.query('DELETE FROM video_term WHERE video_id = $1 AND term <> ALL ($2::text[])', [videoId, terms]);
      await tx.query(
        `INSERT INTO video_term AS t (video_id, term, score) SELECT $1, term, $3 FROM unnest($2::text[]) AS x (term)
         ON CONFLICT (video_id, term) DO UPDATE SET score = excluded.score WHERE abs(t.score - excluded.score) >= $4`,
        [videoId, terms, row?.score ?? 0, NEAR],
      );
    });
  }
}
