import { Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { type Cache, Caches, RECENT_MS } from '../../common/cache/index.js';
import { columnsOf, Database, deleteInSteps, type Sql } from '../../common/database/index.js';
import { NotFound } from '../../common/errors/index.js';
import { AFTER_STRAGGLERS, Events, OnEvent } from '../../common/events/index.js';
import { decodeCursor, encodeCursor, type KeysetPage, pageOf } from '../../common/graphql/index.js';
import type { JobContext } from '../../common/jobs/index.js';
import { ChannelDeleted } from '../channels/index.js';
import { LISTED, type VideoRow, VideosService } from '../videos/index.js';
import { type NotifyLevel, SubscriptionEntity } from './subscription.entity.js';
import { TooManySubscriptions } from './subscriptions.errors.js';
import { ChannelFollowed } from './subscriptions.events.js';

/** What one person may follow: a page of the feed looks into each channel. */
const MOST = 2_000;

/**
 * Who follows which channel. The count, which everybody who follows a channel or leaves it waits for, is changed last.
 */
@Injectable()
export class SubscriptionsService {
  private readonly columns: string;
  private readonly recent: Cache<number>;

  constructor(
    private readonly db: Database,
    private readonly events: Events,
    private readonly videos: VideosService,
    caches: Caches,
  ) {
    this.columns = columnsOf(db, SubscriptionEntity, 's');
    // Changed too often to be told of.
    this.recent = caches.of({ name: 'subscribers', ttlMs: RECENT_MS, max: 10_000, load: (ids) => this.countsOf(ids) });
  }

  /**
   * Follows a channel, or changes how.
   * @param notify null: ALL, or as it is for who follows it already
   * @throws NotFound, TooManySubscriptions
   */
  async subscribe(actor: Actor, channelId: string, notify: NotifyLevel | null): Promise<SubscriptionEntity> {
    return this.db.tx(async (tx) => {
      await this.mustExist(tx, channelId);
      const [row] = await tx.query<SubscriptionEntity & { isNew: boolean }>(
        `INSERT INTO channel_subscription AS s (channel_id, user_id, notify) VALUES ($1, $2, coalesce($3, 'ALL'))
         ON CONFLICT (channel_id, user_id) DO UPDATE SET notify = coalesce($3, s.notify),
           notify_since = CASE WHEN s.notify = coalesce($3, s.notify) THEN s.notify_since ELSE now() END
         RETURNING ${this.columns}, xmax = 0 AS "isNew"`,
        [channelId, actor.userId, notify],
      );
      if (!row) throw new Error('INSERT gave no row');
      if (!row.isNew) return row;
      // Who asks in two transactions at once may pass it by a few: it bounds work, not wealth.
      if ((await this.countOfUser(actor.userId, tx)) > MOST) throw new TooManySubscriptions(MOST);
      await this.events.publish(tx, ChannelFollowed, {
        channelId,
        userId: actor.userId,
        at: row.createdAt.toISOString(),
      });
      await tx.query(
        `INSERT INTO subscriber_count AS c (channel_id, subscribers) VALUES ($1, 1)
         ON CONFLICT (channel_id) DO UPDATE SET subscribers = c.subscribers + 1`,
        [channelId],
      );
      return row;
    });
  }

  /**
   * Following no more what one does not follow is no error.
   * @throws NotFound when there is no such channel
   */
  async unsubscribe(actor: Actor, channelId: string): Promise<void> {
    await this.db.tx(async (tx) => {
      await this.mustExist(tx, channelId);
      const gone = await tx.query(
        'DELETE FROM channel_subscription WHERE channel_id = $1 AND user_id = $2 RETURNING channel_id',
        [channelId, actor.userId],
      );
      if (gone.length === 0) return;
      await tx.query('UPDATE subscriber_count SET subscribers = subscribers - 1 WHERE channel_id = $1', [channelId]);
    });
  }

  /** Of those channels that nobody follows there is none. */
  async countsOf(channelIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.db.query<{ channelId: string; subscribers: number }>(
      'SELECT channel_id AS "channelId", subscribers FROM subscriber_count WHERE channel_id = ANY($1::uuid[])',
      [channelIds],
    );
    return new Map(rows.map((row) => [row.channelId, row.subscribers]));
  }

  /** The same as it was a moment ago, for who can have changed nothing. */
  recentCountsOf(channelIds: readonly string[]): Promise<Map<string, number>> {
    return this.recent.getMany(channelIds);
  }

  /** By channel, where the user follows it. */
  async ofUserAmong(userId: string, channelIds: readonly string[]): Promise<Map<string, SubscriptionEntity>> {
    const rows = await this.db.query<SubscriptionEntity>(
      `SELECT ${this.columns} FROM channel_subscription s WHERE s.user_id = $1 AND s.channel_id = ANY($2::uuid[])`,
      [userId, channelIds],
    );
    return new Map(rows.map((row) => [row.channelId, row]));
  }

  /** What a user follows, followed last first. @param after cursor of the page before */
  async ofUser(userId: string, first: number, after?: string | null): Promise<KeysetPage<SubscriptionEntity>> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [null, null];
    // Those of a deleted channel go in their own time.
    const rows = await this.db.query<SubscriptionEntity & { time: string }>(
      `SELECT ${this.columns}, s.created_at::text AS time
       FROM channel_subscription s JOIN channel c ON c.id = s.channel_id AND c.deleted_at IS NULL
       WHERE s.user_id = $1 ${time ? 'AND (s.created_at, s.channel_id) < ($3::timestamptz, $4::uuid)' : ''}
       ORDER BY s.created_at DESC, s.channel_id DESC LIMIT $2`,
      [userId, first + 1, ...(time ? [time, id] : [])],
    );
    return pageOf(rows, first, (row) => [row.time, row.channelId]);
  }

  async countOfUser(userId: string, sql: Sql = this.db): Promise<number> {
    const [row] = await sql.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM channel_subscription s JOIN channel c ON c.id = s.channel_id
       WHERE s.user_id = $1 AND c.deleted_at IS NULL`,
      [userId],
    );
    return row?.count ?? 0;
  }

  /** Who follows a channel, the latest first. @param after cursor of the page before */
  async ofChannel(channelId: string, first: number, after?: string | null): Promise<KeysetPage<SubscriptionEntity>> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [null, null];
    const rows = await this.db.query<SubscriptionEntity & { time: string }>(
      `SELECT ${this.columns}, s.created_at::text AS time FROM channel_subscription s
       WHERE s.channel_id = $1 ${time ? 'AND (s.created_at, s.user_id) < ($3::timestamptz, $4::uuid)' : ''}
       ORDER BY s.created_at DESC, s.user_id DESC LIMIT $2`,
      [channelId, first + 1, ...(time ? [time, id] : [])],
    );
    return pageOf(rows, first, (row) => [row.time, row.userId]);
  }

  /**
   * What the channels that a user follows have published, what came into lists last first: what comes while somebody
   * reads page after page stands before the first of them.
   * @param after cursor of the page before
   */
  async feed(userId: string, first: number, after?: string | null): Promise<KeysetPage<VideoRow>> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [null, null];
    const places = await this.db.query<{ id: string; time: string }>(
      `SELECT f.id, f.listed_at::text AS time FROM channel_subscription s
         JOIN channel c ON c.id = s.channel_id AND c.deleted_at IS NULL CROSS JOIN LATERAL (
         SELECT v.id, v.listed_at FROM video v
         WHERE v.channel_id = s.channel_id AND v.listed_at IS NOT NULL AND ${LISTED}
           ${time ? 'AND (v.listed_at, v.id) < ($3::timestamptz, $4::uuid)' : ''}
         ORDER BY v.listed_at DESC, v.id DESC LIMIT $2) f
       WHERE s.user_id = $1 ORDER BY f.listed_at DESC, f.id DESC LIMIT $2`,
      [userId, first + 1, ...(time ? [time, id] : [])],
    );
    const found = await this.videos.byIds(places.map((place) => place.id));
    const rows = places.slice(0, first).flatMap((place) => {
      const video = found.get(place.id);
      return video ? [{ ...video, place: encodeCursor(place.time, place.id) }] : [];
    });
    return { rows, hasNextPage: places.length > first };
  }

  /** Not locked: while many follow, nobody could change it. Who follows what is deleted meanwhile is forgotten later. @throws NotFound */
  private async mustExist(sql: Sql, channelId: string): Promise<void> {
    const rows = await sql.query('SELECT id FROM channel WHERE id = $1 AND deleted_at IS NULL', [channelId]);
    if (rows.length === 0) throw new NotFound('channel', ['channelId']);
  }

  @OnEvent(ChannelDeleted, AFTER_STRAGGLERS)
  async deleteSubscriptions({ channelId }: { channelId: string }, { signal }: JobContext): Promise<void> {
    await this.db.query('DELETE FROM subscriber_count WHERE channel_id = $1', [channelId]);
    const followers = { table: 'channel_subscription', column: 'channel_id', key: 'user_id' };
    await deleteInSteps(this.db, followers, channelId, signal);
  }
}
