import { Database } from '../../src/common/database/index.js';
import { Events } from '../../src/common/events/index.js';
import { CommentAdded } from '../../src/modules/comments/index.js';
import { NotificationsService } from '../../src/modules/notifications/index.js';
import { TellFollowersOfVideos } from '../../src/modules/notifications/tell-followers.js';
import { ChannelFollowed } from '../../src/modules/subscriptions/index.js';
import { VideoFailed, VideoPublished, VideoReady } from '../../src/modules/videos/index.js';
import {
  type Answer,
  channelOf,
  globalId,
  type Person,
  person,
  startApp,
  type TestApp,
  until,
  videoIn,
} from '../support/index.js';
import { openStream, SocketClient } from './edge/subscribers.js';

let app: TestApp;
let db: Database;
let ada: Person;
beforeAll(async () => {
  app = await startApp({ rateLimitFactor: 0 });
  db = app.get(Database);
  ada = await person(app);
});
afterAll(() => app.stop());

const INBOX = `query ($first: Int, $after: Cursor, $unreadOnly: Boolean) { viewer {
  unreadNotificationCount
  notifications(first: $first, after: $after, unreadOnly: $unreadOnly) {
    nodes { id kind isRead createdAt channel { id } video { id } actor { id } } pageInfo { hasNextPage endCursor } } } }`;
const inbox = async (by: Person, variables: object = {}): Promise<Answer> => (await by.ask(INBOX, variables)).viewer;
/** The list and the count are two statements: both are read again once the list has them. */
async function told(by: Person, count: number): Promise<Answer> {
  await until(
    () => inbox(by),
    ({ notifications }) => notifications.nodes.length >= count,
    50,
  );
  return inbox(by);
}
const mark = (by: Person, ids?: string[]) => by.does('markNotificationsRead', { ids }, 'unreadNotificationCount');
const prefer = (by: Person, kind: string, ways: object) =>
  by.does('updateNotificationPreference', { kind, ...ways }, 'preferences { kind inbox live push }');
const follow = (by: Person, channel: string, notify = 'ALL') =>
  by.does('subscribeToChannel', { channelId: globalId('Channel', channel), notify }, 'subscription { notify }');
const publish = async (channel: string, highlight?: boolean) => {
  const video = await videoIn(app, channel, ada, { visibility: 'PRIVATE' });
  const change = { videoId: globalId('Video', video), visibility: 'PUBLIC', highlight };
  await ada.does('updateVideo', change, 'video { id }');
  return video;
};

/** Rows without accounts behind them that could sign in. */
async function crowd(channel: string, size: number): Promise<void> {
  await db.query(
    `WITH u AS (INSERT INTO app_user (email, email_key, display_name, password_hash, role)
       SELECT e, e, 'Many', 'no hash', 'MEMBER' FROM (SELECT gen_random_uuid() || '@example.org' AS e FROM generate_series(1, $2)) x RETURNING id),
     s AS (INSERT INTO channel_subscription (channel_id, user_id, notify) SELECT $1, id, 'ALL' FROM u RETURNING 1)
     INSERT INTO subscriber_count AS c SELECT $1, count(*) FROM s
     ON CONFLICT (channel_id) DO UPDATE SET subscribers = c.subscribers + excluded.subscribers`,
    [channel, size],
  );
}
const rowsOf = async (cause: string) =>
  (await db.query<{ count: number }>('SELECT count(*)::int AS count FROM notification WHERE cause = $1', [cause]))[0]
    ?.count;
const again = (event: typeof VideoPublished, videoId: string, channelId: string) =>
  db.tx((tx) => app.get(Events).publish(tx, event, { videoId, channelId }));

describe('a new video', () => {
  it('is told to who follows with ALL, once, however often the event comes', async () => {
    const channel = await channelOf(app, ada);
    const [eve, bob, cy] = await Promise.all([person(app), person(app), person(app)]);
    await Promise.all([follow(eve, channel), follow(bob, channel, 'NONE')]);
    const video = await publish(channel);
    expect(await told(eve, 1)).toEqual({
      unreadNotificationCount: 1,
      notifications: {
        nodes: [
          {
            id: globalId('Notification', video),
            kind: 'NEW_VIDEO',
            isRead: false,
            createdAt: expect.any(String),
            channel: { id: globalId('Channel', channel) },
            video: { id: globalId('Video', video) },
            actor: null,
          },
        ],
        pageInfo: expect.objectContaining({ hasNextPage: false }),
      },
    });
    await follow(cy, channel);
    for (let n = 0; n < 3; n++) await again(VideoPublished, video, channel);
    await until(
      () => db.query(`SELECT FROM job WHERE name LIKE 'VideoPublished>%' AND state <> 'DONE'`),
      (jobs) => jobs.length === 0,
      50,
    );
    expect(await rowsOf(video)).toBe(1);
    const events = await db.query('SELECT body FROM live_event WHERE topic = $1', [`channel:${channel}`]);
    expect(events).toEqual([{ body: { videoId: video } }]);
    const named = await db.query(`SELECT body FROM live_event WHERE topic = 'fan-out' AND body->>'cause' = $1`, [
      video,
    ]);
    expect(named).toEqual([{ body: { cause: video, channelId: channel, to: [eve.userId] } }]);
    for (const other of [bob, cy]) expect((await inbox(other)).notifications.nodes).toEqual([]);

    await ada.does('updateVideo', { videoId: globalId('Video', video), visibility: 'PRIVATE' }, 'video { id }');
    expect((await inbox(eve)).notifications.nodes).toMatchObject([{ video: null }]);
  });

  it('is news to who has read all that there was when its turn came', async () => {
    const channel = await channelOf(app, ada);
    const eve = await person(app);
    await follow(eve, channel);
    const video = await publish(channel);
    await told(eve, 1);
    // As with a worker that was away when the video was published.
    await db.query('DELETE FROM notification WHERE cause = $1', [video]);
    await mark(eve);
    await app.get(TellFollowersOfVideos).tell({ videoId: video, channelId: channel, after: null });
    expect(await inbox(eve)).toMatchObject({
      unreadNotificationCount: 1,
      notifications: { nodes: [{ isRead: false }] },
    });
  });

  it('is told to nobody any more once it is hidden', async () => {
    const channel = await channelOf(app, ada);
    const eve = await person(app);
    const video = await publish(channel);
    await until(
      () =>
        db.query(`SELECT FROM job WHERE name = 'TellFollowers' AND payload->>'videoId' = $1 AND state = 'DONE'`, [
          video,
        ]),
      (rows) => rows.length === 1,
      50,
    );
    await follow(eve, channel);
    await db.query(`UPDATE channel_subscription SET notify_since = created_at - interval '1 day' WHERE user_id = $1`, [
      eve.userId,
    ]);
    await ada.does('updateVideo', { videoId: globalId('Video', video), visibility: 'PRIVATE' });
    const tell = () => app.get(TellFollowersOfVideos).tell({ videoId: video, channelId: channel, after: null });
    await tell();
    expect(await rowsOf(video)).toBe(0);
    await ada.does('updateVideo', { videoId: globalId('Video', video), visibility: 'PUBLIC' });
    await tell();
    expect(await rowsOf(video)).toBe(1);

    const hidden = await videoIn(app, channel, ada, { visibility: 'PRIVATE' });
    await app.get(TellFollowersOfVideos).published({ videoId: hidden, channelId: channel });
    expect(await db.query('SELECT FROM channel_notification WHERE cause = $1', [hidden])).toEqual([]);
  });

  it('reaches thousands in batches, and each of them once', async () => {
    const channel = await channelOf(app, ada);
    await crowd(channel, 2_500);
    const eve = await person(app);
    await follow(eve, channel);
    const video = await publish(channel);
    await until(
      () => rowsOf(video),
      (count) => count === 2_501,
      50,
    );
    await told(eve, 1);
    const batches = await db.query(`SELECT body FROM live_event WHERE topic = 'fan-out' AND body->>'cause' = $1`, [
      video,
    ]);
    expect(batches).toHaveLength(3);
  });

  it('is merged into each inbox where too many follow', async () => {
    const channel = await channelOf(app, ada);
    const [eve, bob] = await Promise.all([person(app), person(app)]);
    await Promise.all([follow(eve, channel), follow(bob, channel)]);
    await crowd(channel, 10_001);
    const few = await channelOf(app, ada);
    await follow(eve, few);
    const causes = [await publish(channel)];
    await told(eve, 1);
    causes.push(await publish(few));
    await told(eve, 2);
    causes.push(await publish(channel));
    const { unreadNotificationCount, notifications } = await told(eve, 3);
    const ids = causes.toReversed().map((cause) => globalId('Notification', cause));
    expect(notifications.nodes.map(({ id }: Answer) => id)).toEqual(ids);
    expect(unreadNotificationCount).toBe(3);
    expect(await rowsOf(causes[0] as string)).toBe(0);
    expect(await rowsOf(causes[1] as string)).toBe(1);

    // By pages of one.
    const paged = [];
    for (let after: string | null = null; ; ) {
      const page: Answer = (await inbox(eve, { first: 1, after })).notifications;
      paged.push(...page.nodes.map(({ id }: Answer) => id));
      if (!page.pageInfo.hasNextPage) break;
      after = page.pageInfo.endCursor;
    }
    expect(paged).toEqual(ids);

    expect(await mark(eve, [ids[2] as string])).toEqual({ unreadNotificationCount: 2, userErrors: [] });
    expect((await inbox(eve)).notifications.nodes.map(({ isRead }: Answer) => isRead)).toEqual([false, false, true]);
    expect((await inbox(eve, { unreadOnly: true })).notifications.nodes.map(({ id }: Answer) => id)).toEqual(
      ids.slice(0, 2),
    );
    expect((await inbox(bob)).unreadNotificationCount).toBe(2);
    expect(await mark(eve)).toEqual({ unreadNotificationCount: 0, userErrors: [] });
    expect((await inbox(eve, { unreadOnly: true })).notifications.nodes).toEqual([]);
    causes.push(await publish(channel));
    await told(eve, 4);
    expect((await inbox(eve)).unreadNotificationCount).toBe(1);
    await prefer(eve, 'NEW_VIDEO', { inbox: false });
    expect((await inbox(eve)).notifications.nodes).toHaveLength(1);
  });
});

describe('what was told to all followers of a channel with many', () => {
  /** The newest last. */
  const broadcasts = (channel: string, count: number) =>
    db.query<{ cause: string }>(
      `INSERT INTO channel_notification (cause, channel_id, is_broadcast, created_at)
       SELECT gen_random_uuid(), $1, true, now() + n * interval '1 ms' FROM generate_series(1, $2::int) n RETURNING cause`,
      [channel, count],
    );

  it('is found unread behind any number that was read', async () => {
    const channel = await channelOf(app, ada);
    const eve = await person(app);
    await follow(eve, channel);
    const [first, ...rest] = await broadcasts(channel, 1_101);
    await db.query('INSERT INTO broadcast_read (recipient_id, cause) SELECT $1, unnest($2::uuid[])', [
      eve.userId,
      rest.map(({ cause }) => cause),
    ]);
    expect(await inbox(eve, { unreadOnly: true })).toMatchObject({
      unreadNotificationCount: 1,
      notifications: { nodes: [{ id: globalId('Notification', first?.cause as string) }] },
    });
  });

  it('does not come into the inbox afterwards with another way to follow', async () => {
    const channel = await channelOf(app, ada);
    const [eve, bob] = await Promise.all([person(app), person(app)]);
    await Promise.all([follow(eve, channel, 'NONE'), follow(bob, channel)]);
    await db.query(
      `INSERT INTO channel_notification (cause, channel_id, is_broadcast) VALUES (gen_random_uuid(), $1, true)`,
      [channel],
    );
    await Promise.all([follow(eve, channel), follow(bob, channel)]);
    expect((await inbox(eve)).notifications.nodes).toEqual([]);
    expect((await inbox(bob)).notifications.nodes).toHaveLength(1);
  });

  it('is marked as read by who was told of it alone', async () => {
    const channel = await channelOf(app, ada);
    const [eve, bob] = await Promise.all([person(app), person(app)]);
    await follow(eve, channel);
    const [told, other] = await broadcasts(channel, 2);
    const ids = [told, other].map((one) => globalId('Notification', one?.cause as string));
    await mark(eve, ids.slice(0, 1));
    await mark(eve, ids);
    await mark(bob, ids);
    const heard = await db.query(`SELECT body->'causes' AS causes FROM live_event WHERE topic = $1 ORDER BY id`, [
      `user:${eve.userId}`,
    ]);
    expect(heard).toEqual([{ causes: [told?.cause] }, { causes: [other?.cause] }]);
    expect(await db.query('SELECT FROM broadcast_read WHERE recipient_id = $1', [bob.userId])).toEqual([]);
  });
});

it('what is old goes, whether it was read or not', async () => {
  const channel = await channelOf(app, ada);
  const eve = await person(app);
  await follow(eve, channel);
  const add = async (days: number, isRead: boolean) => {
    const [row] = await db.query<{ cause: string }>(
      `WITH own AS (INSERT INTO notification (recipient_id, cause, kind, channel_id, created_at)
         VALUES ($1, gen_random_uuid(), 'NEW_FOLLOWER', $2, now() - $3 * interval '1 day')),
       c AS (INSERT INTO channel_notification (cause, channel_id, is_broadcast, created_at)
         VALUES (gen_random_uuid(), $2, true, now() - $3 * interval '1 day') RETURNING cause)
       SELECT cause FROM c`,
      [eve.userId, channel, days],
    );
    if (!isRead) return;
    await db.query('INSERT INTO broadcast_read (recipient_id, cause) VALUES ($1, $2)', [eve.userId, row?.cause]);
  };
  await Promise.all([add(181, true), add(181, false), add(179, true), add(179, false)]);
  await app.get(NotificationsService).sweep();
  const [left] = await db.query(
    `SELECT (SELECT count(*)::int FROM notification WHERE recipient_id = $1) AS own,
            (SELECT count(*)::int FROM channel_notification WHERE channel_id = $2) AS merged,
            (SELECT count(*)::int FROM broadcast_read WHERE recipient_id = $1) AS marks`,
    [eve.userId, channel],
  );
  expect(left).toEqual({ own: 2, merged: 2, marks: 1 });
});

describe('a highlight', () => {
  it.each([0, 10_001])('is told to who asked for highlights alone, beside %i others', async (others) => {
    const channel = await channelOf(app, ada);
    const [eve, bob, cy] = await Promise.all([person(app), person(app), person(app)]);
    await Promise.all([follow(eve, channel), follow(bob, channel, 'HIGHLIGHTS'), follow(cy, channel, 'NONE')]);
    if (others > 0) await crowd(channel, others);
    const plain = await publish(channel);
    const marked = await publish(channel, true);
    // What is marked later was told already.
    await ada.does('updateVideo', { videoId: globalId('Video', plain), highlight: true }, 'video { highlight }');
    const ids = (causes: string[]) =>
      causes.map((cause) => expect.objectContaining({ id: globalId('Notification', cause) }));
    expect((await told(eve, 2)).notifications.nodes).toEqual(expect.arrayContaining(ids([plain, marked])));
    expect(await told(bob, 1)).toMatchObject({ unreadNotificationCount: 1, notifications: { nodes: ids([marked]) } });
    expect((await inbox(cy)).notifications.nodes).toEqual([]);
  });

  it('can be marked where the upload begins', async () => {
    const channel = await channelOf(app, ada);
    const made = { channelId: globalId('Channel', channel), fileName: 'film.mp4', sizeBytes: 1_000 };
    for (const highlight of [undefined, false, true]) {
      const input = { ...made, highlight, idempotencyKey: `highlight ${highlight}` };
      const { session } = await ada.does('createUploadSession', input, 'session { video { highlight } }');
      expect(session).toEqual({ video: { highlight: highlight ?? false } });
    }
  });
});

describe('comments', () => {
  const COMMENTS = `{ viewer { notifications(first: 50) { nodes { kind comment { text } video { id } actor { id } } } } }`;
  const heard = async (by: Person) =>
    (await by.ask(COMMENTS)).viewer.notifications.nodes.map(({ kind, comment, actor }: Answer) => [
      kind,
      comment?.text ?? null,
      actor.id,
    ]);

  it('are told to who looks after the channel, replies to who is answered, and nobody hears of his own', async () => {
    const [owner, editor, viewer, bob, eve] = (await Promise.all(Array.from({ length: 5 }, () => person(app)))) as [
      Person,
      Person,
      Person,
      Person,
      Person,
    ];
    const channel = await channelOf(app, owner);
    await db.query(
      `INSERT INTO channel_member (channel_id, user_id, role) VALUES ($1, $2, 'EDITOR'), ($1, $3, 'VIEWER')`,
      [channel, editor.userId, viewer.userId],
    );
    const video = await videoIn(app, channel, owner);
    const say = async (by: Person, text: string, parentId?: string): Promise<string> => {
      const input = { videoId: globalId('Video', video), text, parentId };
      return (await by.does('addComment', input, 'comment { id }')).comment.id;
    };
    const first = await say(bob, 'Of Bob');
    await say(owner, 'Of the owner');
    const reply = await say(eve, 'To Bob', first);
    await say(bob, 'To himself', first);
    const rowId = (id: string) => Buffer.from(id, 'base64url').toString().split(':')[1] as string;
    await db.tx((tx) =>
      app.get(Events).publish(tx, CommentAdded, {
        ...{ commentId: rowId(reply), videoId: video, channelId: channel },
        ...{ parentId: rowId(first), authorId: eve.userId },
      }),
    );
    await until(
      () => db.query(`SELECT FROM job WHERE queue = 'events' AND state <> 'DONE'`),
      (jobs) => jobs.length === 0,
      50,
    );
    expect(await heard(owner)).toEqual([['COMMENT', 'Of Bob', bob.id]]);
    expect(await heard(editor)).toEqual([
      ['COMMENT', 'Of the owner', owner.id],
      ['COMMENT', 'Of Bob', bob.id],
    ]);
    for (const nobody of [viewer, eve]) expect(await heard(nobody)).toEqual([]);
    expect(await heard(bob)).toEqual([['REPLY', 'To Bob', eve.id]]);

    await eve.does('deleteComment', { commentId: reply });
    expect(await heard(bob)).toEqual([['REPLY', null, eve.id]]);
    await owner.does('updateVideo', { videoId: globalId('Video', video), visibility: 'PRIVATE' });
    const { nodes } = (await bob.ask(COMMENTS)).viewer.notifications;
    expect(nodes).toEqual([{ kind: 'REPLY', comment: null, video: null, actor: { id: eve.id } }]);
  });

  it('that are gone by then are told to nobody', async () => {
    const owner = await person(app);
    const channel = await channelOf(app, owner);
    const video = await videoIn(app, channel, owner);
    const bob = await person(app);
    const [{ id }] = (await db.query(
      `INSERT INTO comment (video_id, author_id, text, deleted_at) VALUES ($1, $2, '', now()) RETURNING id`,
      [video, bob.userId],
    )) as [{ id: string }];
    await db.tx((tx) =>
      app.get(Events).publish(tx, CommentAdded, {
        ...{ commentId: id, videoId: video, channelId: channel, parentId: null, authorId: bob.userId },
      }),
    );
    await until(
      () => db.query(`SELECT FROM job WHERE queue = 'events' AND state <> 'DONE'`),
      (jobs) => jobs.length === 0,
      50,
    );
    expect(await heard(owner)).toEqual([]);
  });
});

describe('what concerns one person', () => {
  it('is told once for each cause', async () => {
    const owner = await person(app);
    const eve = await person(app);
    const channel = await channelOf(app, owner);
    const video = await videoIn(app, channel, owner);
    for (let n = 0; n < 2; n++) {
      await db.tx(async (tx) => {
        const events = app.get(Events);
        await events.publish(tx, VideoReady, { videoId: video, run: 1 });
        await events.publish(tx, VideoFailed, { videoId: video, run: 2, code: 'CORRUPT' });
        await events.publish(tx, ChannelFollowed, {
          channelId: channel,
          userId: eve.userId,
          at: new Date().toISOString(),
        });
      });
    }
    await until(
      () => db.query(`SELECT FROM job WHERE queue = 'events' AND state <> 'DONE'`),
      (jobs) => jobs.length === 0,
      50,
    );
    const { notifications, unreadNotificationCount } = await inbox(owner);
    expect(notifications.nodes.map(({ kind }: Answer) => kind).toSorted()).toEqual([
      'NEW_FOLLOWER',
      'UPLOAD_FAILED',
      'UPLOAD_FINISHED',
    ]);
    expect(unreadNotificationCount).toBe(3);
    const follower = notifications.nodes.find(({ kind }: Answer) => kind === 'NEW_FOLLOWER');
    expect(follower).toMatchObject({
      actor: { id: eve.id },
      channel: { id: globalId('Channel', channel) },
      video: null,
    });
    const node = 'query ($id: ID!) { node(id: $id) { id ... on Notification { kind } } }';
    expect(await owner.ask(node, { id: follower.id })).toEqual({ node: { id: follower.id, kind: 'NEW_FOLLOWER' } });
    expect(await eve.ask(node, { id: follower.id })).toEqual({ node: null });
    expect(await mark(eve, [follower.id])).toEqual({ unreadNotificationCount: 0, userErrors: [] });
    expect((await inbox(owner)).unreadNotificationCount).toBe(3);
  });

  it('comes by the ways that the person prefers', async () => {
    const owner = await person(app);
    const channel = await channelOf(app, owner);
    const all = (await owner.ask('{ viewer { notificationPreferences { kind inbox live push } } }')).viewer;
    expect(all.notificationPreferences).toHaveLength(6);
    expect(all.notificationPreferences[0]).toEqual({ kind: 'NEW_VIDEO', inbox: true, live: true, push: true });
    const { preferences } = await prefer(owner, 'NEW_FOLLOWER', { inbox: false });
    expect(preferences.at(-1)).toEqual({ kind: 'NEW_FOLLOWER', inbox: false, live: true, push: true });
    expect((await prefer(owner, 'NEW_FOLLOWER', { live: false, push: false })).preferences.at(-1)).toEqual({
      kind: 'NEW_FOLLOWER',
      inbox: false,
      live: false,
      push: false,
    });
    await follow(await person(app), channel);
    await until(
      () => db.query('SELECT is_hidden FROM notification WHERE recipient_id = $1', [owner.userId]),
      (rows) => rows.length === 1,
      50,
    );
    expect(await inbox(owner)).toMatchObject({ unreadNotificationCount: 0, notifications: { nodes: [] } });
  });
});

describe('live', () => {
  const RECEIVED = `subscription ($after: Cursor) { notificationReceived(after: $after) {
    cursor id notification { id kind video { id } } read { ids until } } }`;
  const OF_CHANNEL = `subscription ($channelId: ID!, $after: Cursor) { channelNotifications(channelId: $channelId, after: $after) {
    cursor id video { id title } } }`;

  async function listen(by: Person | null, query: string, variables: object = {}) {
    const client = await SocketClient.open(app.url, { payload: by ? { authorization: `Bearer ${by.token}` } : {} });
    await client.next();
    client.subscribe('1', query, variables);
    const next = async (): Promise<Answer> => {
      const message = await client.next();
      const data = message?.payload?.data;
      return data ? Object.values(data)[0] : (message?.payload?.errors ?? message?.type);
    };
    return { next, close: () => client.close() };
  }

  it('tells all devices what came and what was read, and what was missed', async () => {
    const channel = await channelOf(app, ada);
    const eve = await person(app);
    await follow(eve, channel);
    const [phone, laptop] = [await listen(eve, RECEIVED), await listen(eve, RECEIVED)];
    const begin = await phone.next();
    expect(begin).toEqual({ cursor: expect.any(String), id: null, notification: null, read: null });
    await laptop.next();
    const video = await publish(channel);
    const id = globalId('Notification', video);
    const seen = [];
    for (const device of [phone, laptop]) {
      const change = await device.next();
      expect(change).toMatchObject({
        notification: { id, kind: 'NEW_VIDEO', video: { id: globalId('Video', video) } },
      });
      seen.push(change.id);
    }
    expect(seen[0]).toBe(seen[1]);
    await phone.close();
    await mark(eve, [id]);
    expect(await laptop.next()).toMatchObject({ notification: null, read: { ids: [id] } });
    await follow(await person(app), channel);
    await mark(eve);
    const back = await listen(eve, RECEIVED, { after: begin.cursor });
    expect([await back.next(), await back.next(), await back.next()]).toMatchObject([
      { id: seen[0], notification: { id } },
      { notification: null, read: { ids: [id] } },
      { notification: null, read: { ids: null, until: expect.any(String) } },
    ]);
    for (const device of [back, laptop]) await device.close();

    await prefer(eve, 'NEW_VIDEO', { live: false });
    const quiet = await listen(eve, RECEIVED);
    await quiet.next();
    const second = await publish(channel);
    await told(eve, 2);
    await mark(eve, [globalId('Notification', second)]);
    expect(await quiet.next()).toMatchObject({ notification: null, read: { ids: [globalId('Notification', second)] } });
    await quiet.close();
  });

  it('tells followers of a channel with many', async () => {
    const channel = await channelOf(app, ada);
    const [eve, bob] = await Promise.all([person(app), person(app)]);
    await follow(eve, channel);
    await crowd(channel, 10_001);
    const [hers, his] = [await listen(eve, RECEIVED), await listen(bob, RECEIVED)];
    const begin = await his.next();
    await hers.next();
    const video = await publish(channel);
    expect(await hers.next()).toMatchObject({ notification: { id: globalId('Notification', video) } });
    await mark(bob);
    expect(await his.next()).toMatchObject({ read: { ids: null } });
    const back = await listen(bob, RECEIVED, { after: begin.cursor });
    const last = await back.next();
    expect(last).toMatchObject({ read: { ids: null } });
    // What was for others is not looked through again after the next break.
    await publish(channel);
    await hers.next();
    const begun = performance.now();
    const again = await listen(bob, RECEIVED, { after: last.cursor });
    const standing = await again.next();
    // What is said now and then comes after 30 s at the soonest.
    expect(performance.now() - begun).toBeLessThan(20_000);
    expect(standing).toMatchObject({ id: null, notification: null, read: null });
    expect(standing.cursor).not.toBe(last.cursor);
    for (const device of [hers, his, back, again]) await device.close();
  });

  it('tells everybody what a channel publishes, over sockets and streams', async () => {
    const channel = await channelOf(app, ada);
    const channelId = globalId('Channel', channel);
    const sockets = await Promise.all(Array.from({ length: 5 }, () => listen(null, OF_CHANNEL, { channelId })));
    const begin = await sockets[0]?.next();
    for (const socket of sockets.slice(1)) await socket.next();
    const stream = await openStream(app.url, OF_CHANNEL, { variables: { channelId } });
    await stream.next();
    const video = await publish(channel);
    const expected = {
      id: expect.any(String),
      cursor: expect.any(String),
      video: { id: globalId('Video', video), title: 'A film' },
    };
    for (const socket of sockets) expect(await socket.next()).toEqual(expected);
    expect((await stream.next())?.data.data.channelNotifications).toEqual(expected);
    const back = await listen(null, OF_CHANNEL, { channelId, after: begin.cursor });
    expect(await back.next()).toEqual(expected);
    for (const socket of [...sockets, back]) await socket.close();
    stream.close();

    const none = await listen(null, OF_CHANNEL, { channelId: globalId('Channel', video) });
    expect(await none.next()).toMatchObject([{ extensions: { code: 'NOT_FOUND' } }]);
    await none.close();
    const stranger = await listen(null, RECEIVED);
    expect(await stranger.next()).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
    await stranger.close();
  });
});
