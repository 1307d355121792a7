import { Injectable, Module } from '@nestjs/common';
import { OnEvent } from '../../src/common/events/index.js';
import { ChannelFollowed } from '../../src/modules/subscriptions/index.js';
import { VideoPublished } from '../../src/modules/videos/index.js';
import { channelOf, globalId, type Person, person, startApp, type TestApp, until, videoIn } from '../support/index.js';
import { brokenInvariants } from '../support/invariants.js';

/** What was told, of each event. */
const told = { followed: [] as { channelId: string; userId: string }[], published: [] as string[] };

@Injectable()
class Listener {
  @OnEvent(ChannelFollowed)
  async followed(event: { channelId: string; userId: string }): Promise<void> {
    told.followed.push(event);
  }

  @OnEvent(VideoPublished)
  async published({ videoId }: { videoId: string }): Promise<void> {
    told.published.push(videoId);
  }
}

@Module({ providers: [Listener] })
class ListenerModule {}

let app: TestApp;
let ada: Person;
beforeAll(async () => {
  app = await startApp({}, [ListenerModule]);
  ada = await person(app);
});
afterAll(() => app.stop());
afterEach(async () => {
  expect(await brokenInvariants(app.database)).toEqual({});
});

const follow = (by: Person, channelId: string, notify?: string) =>
  by.does('subscribeToChannel', { channelId: globalId('Channel', channelId), notify }, 'subscription { notify }');
const leave = (by: Person, channelId: string) =>
  by.does('unsubscribeFromChannel', { channelId: globalId('Channel', channelId) }, 'channel { subscriberCount }');

const SEEN = `query ($id: ID!) { channel(id: $id) { subscriberCount viewerSubscription { notify } subscribers { totalCount nodes { notify subscriber { id } } } } }`;
const see = async (by: Person | null, channelId: string) =>
  (await app.graphql(SEEN, { id: globalId('Channel', channelId) }, by?.token)).data.channel as Record<string, unknown>;

/** All pages of two. */
async function all(by: Person, list: string, item: string): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | null = null; ; ) {
    const { viewer } = await by.ask(
      `query ($after: Cursor) { viewer { ${list}(first: 2, after: $after) { nodes { ${item} } pageInfo { hasNextPage endCursor } } } }`,
      { after },
    );
    const page = viewer[list];
    found.push(...page.nodes.map((node: { id?: string; channel?: { id: string } }) => node.channel?.id ?? node.id));
    if (!page.pageInfo.hasNextPage) return found;
    after = page.pageInfo.endCursor;
  }
}

describe('following', () => {
  it('is counted once however often it is asked for, changed, and undone', async () => {
    const [channel, eve] = await Promise.all([channelOf(app, ada), person(app)]);
    expect(await see(eve, channel)).toEqual({ subscriberCount: 0, viewerSubscription: null, subscribers: null });
    expect(await follow(eve, channel)).toEqual({ subscription: { notify: 'ALL' }, userErrors: [] });
    expect(await follow(eve, channel, 'NONE')).toEqual({ subscription: { notify: 'NONE' }, userErrors: [] });
    expect(await follow(eve, channel)).toEqual({ subscription: { notify: 'NONE' }, userErrors: [] });
    expect(await see(eve, channel)).toMatchObject({ subscriberCount: 1, viewerSubscription: { notify: 'NONE' } });
    expect(await see(null, channel)).toEqual({ subscriberCount: 1, viewerSubscription: null, subscribers: null });
    expect(await see(ada, channel)).toEqual({
      subscriberCount: 1,
      viewerSubscription: null,
      subscribers: { totalCount: 1, nodes: [{ notify: 'NONE', subscriber: { id: eve.id } }] },
    });
    expect(await leave(eve, channel)).toEqual({ channel: { subscriberCount: 0 }, userErrors: [] });
    expect(await leave(eve, channel)).toEqual({ channel: { subscriberCount: 0 }, userErrors: [] });
    expect(await see(eve, channel)).toMatchObject({ subscriberCount: 0, viewerSubscription: null });
  });

  it('is told once, though it was asked for twenty times at once', async () => {
    const [channel, eve] = await Promise.all([channelOf(app, ada), person(app)]);
    await Promise.all([...Array(20).keys()].map(() => follow(eve, channel, 'ALL')));
    expect(await see(eve, channel)).toMatchObject({ subscriberCount: 1 });
    // The next one is told after the first, were there any more of that one.
    await leave(eve, channel);
    await follow(eve, channel);
    const mine = await until(
      async () => told.followed.filter((event) => event.channelId === channel),
      (events) => events.length >= 2,
    );
    expect(mine).toHaveLength(2);
    expect(mine[0]).toMatchObject({ channelId: channel, userId: eve.userId });
    const [jobs] = await app.database.query(
      `SELECT count(*)::int AS all FROM job WHERE name LIKE 'ChannelFollowed>Listener%' AND payload->>'channelId' = $1`,
      [channel],
    );
    expect(jobs).toEqual({ all: 2 });
  });

  it.each([
    globalId('Channel', '00000000-0000-4000-8000-000000000000'),
    globalId('Video', '00000000-0000-4000-8000-000000000000'),
    'x',
  ])('knows no channel %s', async (channelId) => {
    const unknown = { userErrors: [{ code: 'NOT_FOUND', field: ['channelId'] }] };
    expect(await ada.does('subscribeToChannel', { channelId }, 'subscription { notify }')).toMatchObject(unknown);
    expect(await ada.does('unsubscribeFromChannel', { channelId }, 'channel { id }')).toMatchObject(unknown);
  });

  it('has an end', async () => {
    const eve = await person(app);
    await app.database.query(
      `WITH c AS (INSERT INTO channel (handle, handle_key, name) SELECT h, h, h FROM (SELECT 'many' || n AS h FROM generate_series(1, 2000) n) x RETURNING id),
            s AS (INSERT INTO channel_subscription (channel_id, user_id, notify) SELECT id, $1, 'ALL' FROM c RETURNING channel_id)
       INSERT INTO subscriber_count SELECT channel_id, 1 FROM s`,
      [eve.userId],
    );
    const channel = await channelOf(app, ada);
    expect(await follow(eve, channel)).toEqual({
      subscription: null,
      userErrors: [{ code: 'TOO_MANY_SUBSCRIPTIONS', field: ['channelId'] }],
    });
    expect(await see(eve, channel)).toMatchObject({ subscriberCount: 0, viewerSubscription: null });
  });

  it('is listed latest first, each once, also of one instant, and for nobody else', async () => {
    const eve = await person(app);
    const channels = await Promise.all([...Array(5).keys()].map(() => channelOf(app, ada)));
    for (const channel of channels) await follow(eve, channel);
    await app.database.query(
      `UPDATE channel_subscription SET created_at = '2026-01-01 10:00:00.123456+00' WHERE user_id = $1`,
      [eve.userId],
    );
    const latest = await channelOf(app, ada);
    await follow(eve, latest);
    const listed = await all(eve, 'subscriptions', 'channel { id }');
    expect(listed[0]).toBe(globalId('Channel', latest));
    expect(listed.toSorted()).toEqual([...channels, latest].map((id) => globalId('Channel', id)).sort());
    // Eve is somebody whom Ada can meet as a follower of hers.
    const { channel } = await ada.ask(
      `query ($id: ID!) { channel(id: $id) { subscribers(first: 3) { nodes { subscriber { id email subscriptions(first: 3) { totalCount nodes { notify } } subscriptionFeed(first: 3) { nodes { id } } } } } } }`,
      { id: globalId('Channel', latest) },
    );
    expect(channel.subscribers.nodes).toEqual([
      {
        subscriber: {
          id: eve.id,
          email: null,
          subscriptions: { totalCount: 0, nodes: [] },
          subscriptionFeed: { nodes: [] },
        },
      },
    ]);
  });
});

describe('the feed', () => {
  const uuidOf = (id: string) => Buffer.from(id, 'base64url').toString().split(':')[1];
  const feed = async (by: Person) => (await all(by, 'subscriptionFeed', 'id')).map(uuidOf);
  const publish = (videoId: string, change: object) =>
    ada.does('updateVideo', { videoId: globalId('Video', videoId), ...change });

  it('has what is public and plays, of the followed channels alone, by when it came', async () => {
    const eve = await person(app);
    const [one, two, other] = await Promise.all([channelOf(app, ada), channelOf(app, ada), channelOf(app, ada)]);
    const at = (minute: number) => `2026-01-01 10:0${minute}:00+00`;
    const first = await videoIn(app, one, ada, { listedAt: at(1) });
    const second = await videoIn(app, two, ada, { listedAt: at(2) });
    const third = await videoIn(app, one, ada, { listedAt: at(3) });
    await videoIn(app, other, ada, { listedAt: at(4) });
    await videoIn(app, one, ada, { visibility: 'UNLISTED' });
    const hidden = await videoIn(app, one, ada, { visibility: 'PRIVATE' });
    await follow(eve, one);
    await follow(eve, two, 'NONE');
    expect(await feed(eve)).toEqual([third, second, first]);

    // It was ready long ago, and is new all the same.
    expect(await publish(hidden, { visibility: 'PUBLIC' })).toEqual({ userErrors: [] });
    expect(await feed(eve)).toEqual([hidden, third, second, first]);
    // Hiding it and showing it again makes it no newer, and nobody is told again.
    await publish(third, { visibility: 'PRIVATE' });
    expect(await feed(eve)).toEqual([hidden, second, first]);
    await publish(third, { visibility: 'PUBLIC' });
    expect(await feed(eve)).toEqual([hidden, third, second, first]);
    await leave(eve, one);
    expect(await feed(eve)).toEqual([second]);
    await until(
      async () => told.published,
      (ids) => ids.includes(hidden),
    );
    expect(told.published.filter((id) => [first, second, third, hidden].includes(id))).toEqual([hidden]);
  });

  it('gives each video once to who turns its pages while others come', async () => {
    const eve = await person(app);
    const channel = await channelOf(app, ada);
    await follow(eve, channel);
    const at = '2026-01-01 10:00:00.000001+00';
    const before = await Promise.all([...Array(5).keys()].map(() => videoIn(app, channel, ada, { listedAt: at })));
    const later = await videoIn(app, channel, ada, { visibility: 'PRIVATE' });
    const found: string[] = [];
    for (let after: string | null = null; ; ) {
      const { viewer } = await eve.ask(
        'query ($after: Cursor) { viewer { subscriptionFeed(first: 2, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } } }',
        { after },
      );
      found.push(...viewer.subscriptionFeed.nodes.map((node: { id: string }) => uuidOf(node.id)));
      if (!viewer.subscriptionFeed.pageInfo.hasNextPage) break;
      after = viewer.subscriptionFeed.pageInfo.endCursor;
      await videoIn(app, channel, ada);
      if (found.length === 2) await publish(later, { visibility: 'PUBLIC' });
    }
    expect(found.toSorted()).toEqual(before.toSorted());
    expect((await feed(eve)).slice(0, 3)).toContain(later);
  });

  it('takes up by itself what becomes public by the clock, and once', async () => {
    const eve = await person(app);
    const channel = await channelOf(app, ada);
    await follow(eve, channel);
    const video = await videoIn(app, channel, ada, { visibility: 'PRIVATE' });
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    await publish(video, { visibility: 'PUBLIC', publishAt: soon });
    expect(await feed(eve)).toEqual([]);
    await app.database.query('UPDATE video SET publish_at = now() WHERE id = $1', [video]);
    await until(
      () => feed(eve),
      (ids) => ids.includes(video),
    );
    await until(
      async () => told.published,
      (ids) => ids.includes(video),
    );
    await publish(video, { title: 'Another name' });
    expect(
      await app.database.query(
        `SELECT name FROM job WHERE name LIKE 'VideoPublished>Listener%' AND payload->>'videoId' = $1`,
        [video],
      ),
    ).toHaveLength(1);
  });
});
