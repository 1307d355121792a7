import { Inject, Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database, type Sql, type Tx } from '../../common/database/index.js';
import { decodeCursor, encodeCursor } from '../../common/graphql/index.js';
import { Periodically } from '../../common/jobs/index.js';
import { LiveEvents } from '../../common/live/index.js';
import { ALL_WAYS, IS_TOLD, type NotificationKind, type NotificationRow, type Ways } from './notification-kinds.js';
import { Pushes } from './send-pushes.js';

/** More than so many unread ones are not counted. */
export const COUNTED = 1_000;
const SWEEP_MS = 60_000;
const SWEPT_AT_ONCE = 1_000;

/** The topic of what concerns one person alone, on all devices. */
export const userTopic = (userId: string): string => `user:${userId}`;
/** The topic of what concerns many: a row a batch of recipients, or one for all followers of a channel. */
export const FAN_OUT_TOPIC = 'fan-out';

/** What happened in a person's inbox. Causes and times alone: what a notification says is read when it is shown. */
export type InboxEvent =
  | { readonly kind: 'ADDED'; readonly cause: string }
  /** Null: all up to `until`. */
  | { readonly kind: 'READ'; readonly causes: readonly string[] | null; readonly until: string };
/** To these, or to those from `lo` to `hi` who have a row. Without either: to all followers of the channel. */
export interface FanOutEvent {
  readonly cause: string;
  readonly channelId: string;
  readonly to?: readonly string[];
  readonly lo?: string;
  readonly hi?: string;
}

export interface Placed extends NotificationRow {
  readonly place: string;
}

/**
 * A SELECT of what one person was told of: rows of their own (`n`), and what was told to all followers (`c`) of a channel that they
 * follow (`s`), whether they are shown in the inbox or not.
 *
 * @param user an expression
 * @param more what else is asked of each, and in which order
 */
export const toldTo = (user: string, more: { own: string; merged: string; all?: string }): string => `
  (SELECT n.cause, n.kind, n.channel_id AS "channelId", n.video_id AS "videoId", n.comment_id AS "commentId",
          n.actor_id AS "actorId", n.created_at AS "createdAt",
          n.read_at IS NOT NULL OR n.created_at <= ${readUntil(user)} AS "isRead"
   FROM notification n WHERE n.recipient_id = ${user} ${more.own})
  UNION ALL
  (SELECT b.cause, 'NEW_VIDEO', b.channel_id, b.cause, NULL, NULL, b.created_at,
          r.cause IS NOT NULL OR b.created_at <= ${readUntil(user)}
   FROM channel_subscription s
   CROSS JOIN LATERAL (SELECT * FROM channel_notification c
     WHERE c.channel_id = s.channel_id AND c.is_broadcast AND ${IS_TOLD} ${more.merged}) b
   LEFT JOIN broadcast_read r ON r.recipient_id = s.user_id AND r.cause = b.cause
   WHERE s.user_id = ${user} ${more.all ?? ''})`;
const readUntil = (user: string) =>
  `coalesce((SELECT m.read_until FROM notification_mark m WHERE m.user_id = ${user}), '-infinity')`;

/** Of the person `$1`. */
const SHOWN = {
  own: 'AND NOT n.is_hidden',
  all: `AND NOT EXISTS
    (SELECT FROM notification_preference p WHERE p.user_id = $1 AND p.kind = 'NEW_VIDEO' AND NOT p.inbox)`,
};
const UNREAD = {
  own: `AND n.read_at IS NULL AND n.created_at > ${readUntil('$1')}`,
  merged: `AND c.created_at > ${readUntil('$1')}
    AND NOT EXISTS (SELECT FROM broadcast_read r WHERE r.recipient_id = $1 AND r.cause = c.cause)`,
};
const newest = (alias: string) => `ORDER BY ${alias}.created_at DESC, ${alias}.cause DESC LIMIT $2`;

@Injectable()
export class NotificationsService {
  constructor(
    private readonly db: Database,
    private readonly liveEvents: LiveEvents,
    private readonly pushes: Pushes,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Tells some people of one thing, each once, however often it is called.
   *
   * @returns who was not told before
   */
  async tell(
    tx: Tx,
    told: {
      recipientIds: readonly string[];
      cause: string;
      kind: NotificationKind;
      channelId?: string;
      videoId?: string;
      commentId?: string;
      actorId?: string;
    },
  ): Promise<string[]> {
    const rows = await tx.query<{ id: string }>(
      `INSERT INTO notification (recipient_id, cause, kind, channel_id, video_id, comment_id, actor_id, is_hidden)
       SELECT u.id, $2, $3, $4, $5, $6, $7, NOT coalesce(p.inbox, true)
       FROM app_user u LEFT JOIN notification_preference p ON p.user_id = u.id AND p.kind = $3
       WHERE u.id = ANY($1::uuid[]) ORDER BY u.id
       ON CONFLICT DO NOTHING RETURNING recipient_id AS id`,
      [
        told.recipientIds,
        told.cause,
        told.kind,
        told.channelId ?? null,
        told.videoId ?? null,
        told.commentId ?? null,
        told.actorId ?? null,
      ],
    );
    for (const { id } of rows) {
      const event: InboxEvent = { kind: 'ADDED', cause: told.cause };
      await this.liveEvents.append(tx, userTopic(id), event);
    }
    const recipientIds = rows.map(({ id }) => id);
    const { cause, kind, channelId = null, videoId = null, commentId = null, actorId = null } = told;
    await this.pushes.toPeople(tx, { cause, kind, channelId, videoId, commentId, actorId }, recipientIds);
    return recipientIds;
  }

  /** The inbox, newest first. @param after cursor of the page before */
  async inbox(
    userId: string,
    unreadOnly: boolean,
    first: number,
    after?: string | null,
  ): Promise<{ rows: Placed[]; hasNextPage: boolean }> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [null, null];
    const behind = (alias: string) =>
      time ? `AND (${alias}.created_at, ${alias}.cause) < ($3::timestamptz, $4::uuid)` : '';
    const only = unreadOnly ? UNREAD : { own: '', merged: '' };
    const told = toldTo('$1', {
      own: `${SHOWN.own} ${only.own} ${behind('n')} ${newest('n')}`,
      merged: `${only.merged} ${behind('c')} ${newest('c')}`,
      all: SHOWN.all,
    });
    const rows = await this.db.query<NotificationRow & { time: string }>(
      `SELECT *, "createdAt"::text AS time FROM (${told}) told ORDER BY "createdAt" DESC, cause DESC LIMIT $2`,
      [userId, first + 1, ...(time ? [time, id] : [])],
    );
    return {
      rows: rows.slice(0, first).map((row) => ({ ...row, place: encodeCursor(row.time, row.cause) })),
      hasNextPage: rows.length > first,
    };
  }

  /** Exact up to COUNTED. */
  async unreadCount(userId: string): Promise<number> {
    const told = toldTo('$1', {
      own: `${SHOWN.own} ${UNREAD.own} LIMIT $2`,
      merged: `${UNREAD.merged} ${newest('c')}`,
      all: SHOWN.all,
    });
    const [row] = await this.db.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM (SELECT FROM (${told}) told LIMIT $2) unread`,
      [userId, COUNTED],
    );
    return row?.count ?? 0;
  }

  /** Those of these that the person has, whether they are shown in the inbox or not. */
  async byCauses(userId: string, causes: readonly string[], sql: Sql = this.db): Promise<Map<string, NotificationRow>> {
    const isOne = (alias: string) => `AND ${alias}.cause = ANY($2::uuid[])`;
    const rows = await sql.query<NotificationRow>(toldTo('$1', { own: isOne('n'), merged: isOne('c') }), [
      userId,
      causes,
    ]);
    return new Map(rows.map((row) => [row.cause, row]));
  }

  /**
   * All devices of the person are told.
   *
   * @param causes null: all up to now
   */
  async markRead(actor: Actor, causes: readonly string[] | null): Promise<void> {
    await this.db.tx(async (tx) => {
      const event = causes ? await this.markSome(tx, actor.userId, causes) : await this.markAll(tx, actor.userId);
      if (event) await this.liveEvents.append(tx, userTopic(actor.userId), event);
    });
  }

  private async markAll(tx: Tx, userId: string): Promise<InboxEvent> {
    const [row] = await tx.query<{ until: Date }>(
      `INSERT INTO notification_mark (user_id, read_until) VALUES ($1, clock_timestamp())
       ON CONFLICT (user_id) DO UPDATE SET read_until = greatest(notification_mark.read_until, excluded.read_until)
       RETURNING read_until AS until`,
      [userId],
    );
    if (!row) throw new Error('INSERT gave no row');
    return { kind: 'READ', causes: null, until: row.until.toISOString() };
  }

  /** Null when none of them was unread. */
  private async markSome(tx: Tx, userId: string, causes: readonly string[]): Promise<InboxEvent | null> {
    const [row] = await tx.query<{ causes: string[]; now: Date }>(
      `WITH own AS (UPDATE notification SET read_at = now()
         WHERE recipient_id = $1 AND cause = ANY($2::uuid[]) AND read_at IS NULL RETURNING cause),
       merged AS (INSERT INTO broadcast_read (recipient_id, cause)
         SELECT $1, c.cause FROM channel_notification c JOIN channel_subscription s ON s.channel_id = c.channel_id AND s.user_id = $1
         WHERE c.cause = ANY($2::uuid[]) AND c.is_broadcast AND ${IS_TOLD} ON CONFLICT DO NOTHING RETURNING cause)
       SELECT array_agg(cause) AS causes, now() AS now FROM (SELECT cause FROM own UNION ALL SELECT cause FROM merged) marked
       HAVING count(*) > 0`,
      [userId, causes],
    );
    return row ? { kind: 'READ', causes: row.causes, until: row.now.toISOString() } : null;
  }

  /** What is too old to be looked for. What was told to all goes when nobody's mark is left on it. */
  @Periodically(SWEEP_MS)
  async sweep(signal?: AbortSignal): Promise<void> {
    const isOld = (alias: string) => `${alias}.created_at < now() - $1 * interval '1 day'`;
    const steps = [
      `DELETE FROM notification WHERE (recipient_id, cause) IN
         (SELECT n.recipient_id, n.cause FROM notification n WHERE ${isOld('n')} ORDER BY n.created_at LIMIT $2) RETURNING cause`,
      `DELETE FROM broadcast_read WHERE (recipient_id, cause) IN (SELECT r.recipient_id, r.cause
         FROM channel_notification c JOIN broadcast_read r ON r.cause = c.cause WHERE ${isOld('c')} LIMIT $2) RETURNING cause`,
      `DELETE FROM channel_notification WHERE cause IN (SELECT c.cause FROM channel_notification c WHERE ${isOld('c')}
         AND NOT EXISTS (SELECT FROM broadcast_read r WHERE r.cause = c.cause) ORDER BY c.created_at LIMIT $2) RETURNING cause`,
    ];
    for (const step of steps) {
      for (let gone = SWEPT_AT_ONCE; gone === SWEPT_AT_ONCE && !signal?.aborted; ) {
        gone = (await this.db.query(step, [this.config.notificationDays, SWEPT_AT_ONCE])).length;
      }
    }
  }

  async preferences(userId: string): Promise<Map<NotificationKind, Ways>> {
    const rows = await this.db.query<{ kind: NotificationKind } & Ways>(
      'SELECT kind, inbox, live, push FROM notification_preference WHERE user_id = $1',
      [userId],
    );
    return new Map(rows.map(({ kind, inbox, live, push }) => [kind, { inbox, live, push }]));
  }

  async prefer(actor: Actor, kind: NotificationKind, change: { [Way in keyof Ways]?: boolean | null }): Promise<void> {
    const { inbox = null, live = null, push = null } = change;
    await this.db.query(
      `INSERT INTO notification_preference AS p (user_id, kind, inbox, live, push)
       VALUES ($1, $2, coalesce($3::boolean, $6::boolean), coalesce($4::boolean, $7::boolean), coalesce($5::boolean, $8::boolean))
       ON CONFLICT (user_id, kind) DO UPDATE
       SET inbox = coalesce($3::boolean, p.inbox), live = coalesce($4::boolean, p.live), push = coalesce($5::boolean, p.push)`,
      [actor.userId, kind, inbox, live, push, ALL_WAYS.inbox, ALL_WAYS.live, ALL_WAYS.push],
    );
  }
}
