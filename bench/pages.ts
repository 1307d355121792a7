import { DataSource } from 'typeorm';
import { Database } from '../src/common/database/database.js';
import { ChannelEntity } from '../src/modules/channels/channel.entity.js';
import { CommentEntity } from '../src/modules/comments/comment.entity.js';
import { CommentsService } from '../src/modules/comments/comments.service.js';
import { NotificationsService } from '../src/modules/notifications/notifications.service.js';
import { SubscriptionEntity } from '../src/modules/subscriptions/subscription.entity.js';
import { SubscriptionsService } from '../src/modules/subscriptions/subscriptions.service.js';
import { VideoEntity } from '../src/modules/videos/video.entity.js';
import { VideosService } from '../src/modules/videos/videos.service.js';
import type { Place } from './place.js';

const PAGE = 20;
const FOLLOWED = 100;
const SEEDED_AT_ONCE = 100_000;
/** Of each thousand followers: videos of the channels that the reader follows, what the reader was told, broadcasts of these channels. */
const SHARES = { videos: 100, told: 100, broadcasts: 1 };

export interface PageCost {
  /** Buffers that were read, from memory or not. */
  buffers: number;
  /** Tables that were read from one end to the other. */
  scans: string[];
}

/** One reader's pages, as the services ask for them. */
export class Pages {
  private constructor(
    private readonly place: Place,
    private readonly db: Database,
    private readonly who: { reader: string; channel: string; video: string; comment: string },
  ) {}

  /** @param channel whose followers are asked for */
  static async open(place: Place, reader: string, channel: string): Promise<Pages> {
    const entities = [ChannelEntity, CommentEntity, SubscriptionEntity, VideoEntity];
    const source = await new DataSource({ type: 'postgres', url: place.databaseUrl, entities }).initialize();
    place.onClose(() => source.destroy());
    const one = async (sql: string, values: unknown[]) =>
      (await place.db.query<{ id: string }>(sql, values)).rows[0]?.id;
    await place.db.query(
      `WITH c AS (INSERT INTO channel (handle, handle_key, name)
                  SELECT h, h, h FROM (SELECT 'followed' || n AS h FROM generate_series(1, $2::int) n) x RETURNING id)
       INSERT INTO channel_subscription (channel_id, user_id, notify) SELECT id, $1, 'ALL' FROM c`,
      [reader, FOLLOWED],
    );
    const video = (await one(
      `INSERT INTO video (channel_id, owner_id, title, visibility, state, stage, verified_at)
       VALUES ($1, $2, 'Much talked of', 'UNLISTED', 'READY', 'DONE', now()) RETURNING id`,
      [channel, reader],
    )) as string;
    const comment = (await one(
      `INSERT INTO comment (video_id, author_id, text, reply_count) VALUES ($1, $2, 'What do you think?', 1) RETURNING id`,
      [video, reader],
    )) as string;
    return new Pages(place, new Database(source), { reader, channel, video, comment });
  }

  /** What there is at so many followers, all but these themselves; from so many on. */
  async seed(from: number, to: number): Promise<void> {
    const { reader, video, comment } = this.who;
    const run = async (sql: string, values: unknown[], share = 1000) => {
      const [first, end] = [Math.floor((from * share) / 1000), Math.floor((to * share) / 1000)];
      for (let at = first; at < end; at += SEEDED_AT_ONCE)
        await this.place.db.query(sql, [at, Math.min(end, at + SEEDED_AT_ONCE) - 1, ...values]);
    };
    const long = `now() - random() * interval '300 days'`;
    const followed = `(SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM channel WHERE handle LIKE 'followed%') c
                      ON c.place = n % ${FOLLOWED}`;
    await run(
      `INSERT INTO comment (video_id, author_id, text, like_count, created_at)
       SELECT $3, $4, 'Number ' || n, (random() * 50)::int, ${long} FROM generate_series($1::int, $2::int) n`,
      [video, reader],
    );
    await run(
      `INSERT INTO comment (video_id, parent_id, author_id, text, created_at)
       SELECT $3, $4, $5, 'Reply ' || n, ${long} FROM generate_series($1::int, $2::int) n`,
      [video, comment, reader],
      100,
    );
    await run(
      `INSERT INTO video (channel_id, owner_id, title, visibility, state, stage, verified_at, listed_at)
       SELECT c.id, $3, 'Number ' || n, 'PUBLIC', 'READY', 'DONE', now(), ${long}
       FROM generate_series($1::int, $2::int) n JOIN ${followed}`,
      [reader],
      SHARES.videos,
    );
    // Others were told as much as there are followers, and have read up to some day.
    const told = `INSERT INTO notification (recipient_id, cause, kind, created_at, read_at)`;
    await run(
      `${told} SELECT $3, gen_random_uuid(), 'COMMENT', t, CASE WHEN n % 3 > 0 THEN t END
       FROM (SELECT n, ${long} AS t FROM generate_series($1::int, $2::int) n) x`,
      [reader],
      SHARES.told,
    );
    await run(
      `${told} SELECT u.id, gen_random_uuid(), 'COMMENT', ${long}, NULL FROM generate_series($1::int, $2::int) n
       JOIN app_user u ON u.email_key = n || '@example.org'`,
      [],
    );
    await run(
      `INSERT INTO notification_mark (user_id, read_until) SELECT u.id, ${long} FROM generate_series($1::int, $2::int) n
       JOIN app_user u ON u.email_key = n || '@example.org' WHERE u.id <> $3 ON CONFLICT DO NOTHING`,
      [reader],
    );
    await run(
      `WITH b AS (INSERT INTO channel_notification (cause, channel_id, is_broadcast, created_at)
                  SELECT gen_random_uuid(), c.id, true, ${long} FROM generate_series($1::int, $2::int) n JOIN ${followed} RETURNING cause)
       INSERT INTO broadcast_read (recipient_id, cause)
       SELECT u.id, cause FROM b CROSS JOIN (SELECT id FROM app_user LIMIT 100) u ON CONFLICT DO NOTHING`,
      [],
      SHARES.broadcasts,
    );
  }

  /** Of the first page, and of the tenth, of each kind. */
  async costs(): Promise<Map<string, PageCost>> {
    await this.place.db.query('VACUUM ANALYZE');
    const { reader, channel, video, comment } = this.who;
    const db = this.db;
    const caches = { of: () => null } as never;
    const videos = new VideosService(db, null as never, null as never, null as never, null as never, caches);
    const subscriptions = new SubscriptionsService(db, null as never, videos, caches);
    const comments = new CommentsService(db, null as never, null as never, null as never, videos);
    const notifications = new NotificationsService(db, null as never, null as never, null as never);
    type Ask = (after: string | null) => Promise<{ rows: { place: string }[] }>;
    const kinds: Record<string, Ask> = {
      inbox: (after) => notifications.inbox(reader, false, PAGE, after),
      'inbox, unread': (after) => notifications.inbox(reader, true, PAGE, after),
      feed: (after) => subscriptions.feed(reader, PAGE, after),
      followers: (after) => subscriptions.ofChannel(channel, PAGE, after),
      'comments, newest': (after) => comments.ofVideo(video, 'NEWEST', PAGE, after),
      'comments, top': (after) => comments.ofVideo(video, 'TOP', PAGE, after),
      replies: (after) => comments.replies(comment, PAGE, after),
    };
    const costs = new Map<string, PageCost>();
    for (const [kind, ask] of Object.entries(kinds)) {
      let after: string | null = null;
      for (let page = 1; page < 10; page++) after = (await ask(after)).rows.at(-1)?.place ?? null;
      if (after === null) throw new Error(`There is no tenth page of ${kind}.`);
      costs.set(`${kind}, page 1`, await this.cost(() => ask(null)));
      costs.set(`${kind}, page 10`, await this.cost(() => ask(after)));
    }
    costs.set('unread count', await this.cost(() => notifications.unreadCount(reader)));
    return costs;
  }

  private async cost(ask: () => Promise<unknown>): Promise<PageCost> {
    const asked: [string, readonly unknown[]][] = [];
    const query = this.db.query.bind(this.db);
    this.db.query = (async (sql: string, parameters: readonly unknown[] = []) => {
      asked.push([sql, parameters]);
      return query(sql, parameters);
    }) as typeof query;
    await ask().finally(() => {
      this.db.query = query;
    });
    const cost: PageCost = { buffers: 0, scans: [] };
    for (const [sql, parameters] of asked) {
      const explain = () =>
        query<{ 'QUERY PLAN': [{ Plan: Node }] }>(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${sql}`, parameters);
      // The first time it also looks up what it needs to plan.
      await explain();
      const [row] = await explain();
      const root = row?.['QUERY PLAN'][0].Plan as Node;
      cost.buffers += root['Shared Hit Blocks'] + root['Shared Read Blocks'];
      cost.scans.push(...scansIn(root));
    }
    return cost;
  }
}

interface Node {
  'Node Type': string;
  'Relation Name'?: string;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: Node[];
}
function scansIn(node: Node): string[] {
  const own = node['Node Type'] === 'Seq Scan' ? [node['Relation Name'] ?? '?'] : [];
  return [...own, ...(node.Plans ?? []).flatMap(scansIn)];
}
