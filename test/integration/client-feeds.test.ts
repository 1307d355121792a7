import { Api, type Feed, FeedList, NewestVideos, type Operation } from '../../client/src/api/index.js';
import { TrendingService } from '../../src/modules/feeds/index.js';
import {
  channelOf,
  globalId,
  HeldApi,
  type Link,
  type Person,
  person,
  startApp,
  startLink,
  type TestApp,
  until,
  videoIn,
} from '../support/index.js';

let app: TestApp;
let link: Link;
let ada: Person;
let channel: string;
const running: FeedList[] = [];
beforeAll(async () => {
  // No worker: what these tests make is all there is.
  app = await startApp({ role: 'api' });
  link = await startLink(app.url);
  ada = await person(app);
});
afterAll(async () => {
  link.stop();
  await app.stop();
});
/** Each test has the lists to itself. */
beforeEach(async () => {
  await app.database.query('UPDATE video SET deleted_at = now() WHERE deleted_at IS NULL');
  await app.database.query('DELETE FROM trending_generation');
  channel = await channelOf(app, ada);
});
afterEach(() => {
  for (const list of running.splice(0)) list.stop();
});

function started(feed: Feed, pageSize = 2, api = new Api({ endpoint: link.url })): FeedList {
  const list = new FeedList(api, feed, pageSize);
  running.push(list);
  list.start();
  return list;
}
const seen = <View>(list: { read(): View }, done: (view: View) => boolean) => until(async () => list.read(), done, 20);
const isReady = ({ state }: { state: string }) => state === 'ready';
const titlesOf = (list: FeedList) =>
  list
    .read()
    .videos.map(({ title }) => title)
    .join('');

let seconds = 0;
/** Videos that are called so, each newer than the one before it, and watched as they say. */
async function films(titles: string): Promise<string[]> {
  const ids: string[] = [];
  for (const title of titles) {
    const listedAt = new Date(Date.now() - 3_600_000 + seconds++ * 1_000).toISOString();
    const id = await videoIn(app, channel, ada, { listedAt });
    await app.database.query('UPDATE video SET title = $2 WHERE id = $1', [id, title]);
    ids.push(id);
  }
  return ids;
}
async function rank(ids: readonly string[]): Promise<void> {
  await app.database.query(
    `INSERT INTO video_popularity (video_id, trend) SELECT * FROM unnest($1::uuid[], $2::float8[])
     ON CONFLICT (video_id) DO UPDATE SET trend = excluded.trend`,
    [ids, ids.map((_, n) => -n)],
  );
  await app.get(TrendingService).rank();
}

it('newest: each once while others publish, and those are offered', async () => {
  await films('fedcba');
  const list = started('newest');
  await seen(list, isReady);
  expect(titlesOf(list)).toBe('ab');
  expect(list.read().videos[0]).toMatchObject({ viewCount: 0, channel: { name: 'Ada films' } });
  await films('x');
  await list.loadMore();
  expect(titlesOf(list)).toBe('abcd');
  await list.refresh();
  expect(list.read().newCount).toBe(1);
  expect(titlesOf(list)).toBe('abcd');
  list.showNew();
  expect(list.read()).toMatchObject({ newCount: 0, hasMore: true });
  expect(titlesOf(list)).toBe('xa');
  while (list.read().hasMore) await list.loadMore();
  expect(titlesOf(list)).toBe('xabcdef');
  await list.refresh();
  expect(list.read().newCount).toBe(0);
});

it('newest: a page that is on its way when the new ones are shown is not put below them', async () => {
  await films('dcba');
  const api = new HeldApi({ endpoint: link.url });
  const list = started('newest', 2, api);
  await seen(list, isReady);
  await films('zyx');
  await list.refresh();
  expect(list.read().newCount).toBe(2);
  api.holds = NewestVideos;
  const more = list.loadMore();
  await api.isHeld();
  list.showNew();
  api.letGo();
  await more;
  expect(titlesOf(list)).toBe('xy');
  while (list.read().hasMore) await list.loadMore();
  expect(titlesOf(list)).toBe('xyzabcd');
});

it('trending: goes on in a ranking that is not kept any more, each once', async () => {
  const [a, b, c, d, e, f] = (await films('abcdef')) as [string, string, string, string, string, string];
  await rank([a, b, c, d, e, f]);
  const list = started('trending');
  await seen(list, isReady);
  await list.loadMore();
  expect(titlesOf(list)).toBe('abcd');
  await app.database.query('DELETE FROM trending_generation');
  const [g] = (await films('g')) as [string];
  await rank([g, f, c, e, a, d, b]);
  await list.loadMore();
  // What is shown stays where it is.
  expect(titlesOf(list).slice(0, 4)).toBe('abcd');
  while (list.read().hasMore) await list.loadMore();
  expect(titlesOf(list)).toBe('abcdgfe');
  expect(list.read()).toMatchObject({ state: 'ready', error: null });
  await list.refresh();
  expect(list.read().newCount).toBe(0);
});

it('trending: what has come up since is offered', async () => {
  const [a, b, c, d] = (await films('abcd')) as [string, string, string, string];
  await rank([a, b, c, d]);
  const list = started('trending');
  await seen(list, isReady);
  await rank([d, a, b, c]);
  await list.refresh();
  expect(list.read().newCount).toBe(1);
  list.showNew();
  expect(titlesOf(list)).toBe('da');
});

it('a channel, by its handle or its id', async () => {
  await films('cba');
  const [row] = await app.database.query<{ handle: string }>('SELECT handle FROM channel WHERE id = $1', [channel]);
  for (const which of [row?.handle as string, globalId('Channel', channel)]) {
    const list = started({ channel: which });
    await seen(list, isReady);
    await list.loadMore();
    expect(titlesOf(list)).toBe('abc');
  }
});

it('subscriptions: of whoever is signed in', async () => {
  const eve = await person(app);
  await eve.does('subscribeToChannel', { channelId: globalId('Channel', channel) });
  await films('cba');
  const list = started('subscriptions', 2, new Api({ endpoint: link.url, token: eve.token }));
  await seen(list, isReady);
  await list.loadMore();
  expect(titlesOf(list)).toBe('abc');
  const nobodys = started('subscriptions');
  await seen(nobodys, ({ state }) => state === 'failed');
  expect(nobodys.read()).toMatchObject({ videos: [], error: { code: 'UNAUTHENTICATED' } });
});

it('related: what goes with a video', async () => {
  const [, b] = (await films('abcd')) as [string, string];
  const list = started({ related: globalId('Video', b) });
  await seen(list, isReady);
  await list.loadMore();
  expect([...titlesOf(list)].sort().join('')).toBe('acd');
  expect(list.read().hasMore).toBe(false);
});

it('of a channel that is not there: says so', async () => {
  const list = started({ channel: 'nobody' });
  await seen(list, ({ state }) => state === 'failed');
  expect(list.read()).toMatchObject({ videos: [], hasMore: false, error: { code: 'NOT_FOUND' } });
});

it('waits while it is cut off, and comes back by itself', async () => {
  await films('cba');
  link.stop();
  const list = started('newest');
  await seen(list, ({ state }) => state === 'waiting');
  expect(list.read()).toMatchObject({ videos: [], error: { code: 'OFFLINE' } });
  await link.start();
  await seen(list, isReady);
  link.stop();
  const more = list.loadMore();
  await seen(list, ({ state }) => state === 'waiting');
  expect(titlesOf(list)).toBe('ab');
  await link.start();
  await more;
  expect(titlesOf(list)).toBe('abc');
  expect(list.read()).toMatchObject({ state: 'ready', hasMore: false, error: null });
}, 30_000);

it('leaves a server alone that it asked too often', async () => {
  class Counting extends Api {
    requests = 0;
    override async request<Data, Variables>(operation: Operation<Data, Variables>, variables: Variables) {
      this.requests++;
      return super.request(operation, variables);
    }
  }
  const narrow = await startApp({ role: 'api', rateLimitFactor: 0.01 });
  try {
    const api = new Counting({ endpoint: narrow.url });
    const spend = async () => {
      for (;;) await api.request(NewestVideos, { first: 100 });
    };
    await expect(spend()).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    const list = started('newest', 20, api);
    const { error } = await seen(list, ({ state }) => state === 'waiting');
    expect(error).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    const { requests } = api;
    list.retry();
    await seen(list, ({ state }) => state === 'waiting');
    expect(list.read().error).toMatchObject({ code: 'RATE_LIMITED' });
    expect(api.requests).toBe(requests);
  } finally {
    await narrow.stop();
  }
});
