import { Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { type Cache, Caches, RECENT_MS } from '../../common/cache/index.js';
import { Database, deleteInSteps } from '../../common/database/index.js';
import { NotFound } from '../../common/errors/index.js';
import { AFTER_STRAGGLERS, OnEvent } from '../../common/events/index.js';
import type { JobContext } from '../../common/jobs/index.js';
import { VideoDeleted } from './videos.events.js';
import { type Video, VideosService } from './videos.service.js';

/** Who likes which video. The count, which everybody who likes a video waits for, is changed last. */
@Injectable()
export class VideoLikes {
  private readonly recent: Cache<number>;

  constructor(
    private readonly db: Database,
    private readonly videos: VideosService,
    caches: Caches,
  ) {
    // Changed too often to be told of.
    this.recent = caches.of({ name: 'likes', ttlMs: RECENT_MS, max: 10_000, load: (ids) => this.countsOf(ids) });
  }

  /**
   * Likes a video, or does no more; what is so already stays so.
   * @throws NotFound when it is missing, or not the actor's to see
   */
  async react(actor: Actor, videoId: string, like: boolean): Promise<Video> {
    const video = await this.videos.visible(videoId, actor);
    if (!video) throw new NotFound('video', ['videoId']);
    const change = like
      ? 'INSERT INTO video_like (video_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING video_id'
      : 'DELETE FROM video_like WHERE video_id = $1 AND user_id = $2 RETURNING video_id';
    const count = like
      ? `INSERT INTO video_like_count AS c (video_id, likes) VALUES ($1, 1)
         ON CONFLICT (video_id) DO UPDATE SET likes = c.likes + 1`
      : 'UPDATE video_like_count SET likes = likes - 1 WHERE video_id = $1';
    await this.db.tx(async (tx) => {
      const changed = await tx.query(change, [videoId, actor.userId]);
      if (changed.length > 0) await tx.query(count, [videoId]);
    });
    return video;
  }

  /** Of videos that nobody likes there is none. */
  async countsOf(videoIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.db.query<{ videoId: string; likes: number }>(
      'SELECT video_id AS "videoId", likes FROM video_like_count WHERE video_id = ANY($1::uuid[])',
      [videoIds],
    );
    return new Map(rows.map((row) => [row.videoId, row.likes]));
  }

  /** The same as it was a moment ago, for who can have changed nothing. */
  recentCountsOf(videoIds: readonly string[]): Promise<Map<string, number>> {
    return this.recent.getMany(videoIds);
  }

  /** Those of the videos that the user likes. */
  async likedBy(userId: string, videoIds: readonly string[]): Promise<Map<string, true>> {
    const rows = await this.db.query<{ videoId: string }>(
      'SELECT video_id AS "videoId" FROM video_like WHERE user_id = $1 AND video_id = ANY($2::uuid[])',
      [userId, videoIds],
    );
    return new Map(rows.map((row) => [row.videoId, true]));
  }

  @OnEvent(VideoDeleted, AFTER_STRAGGLERS)
  async deleteLikes({ videoId }: { videoId: string }, { signal }: JobContext): Promise<void> {
    await this.db.query('DELETE FROM video_like_count WHERE video_id = $1', [videoId]);
    await deleteInSteps(this.db, { table: 'video_like', column: 'video_id', key: 'user_id' }, videoId, signal);
  }
}
