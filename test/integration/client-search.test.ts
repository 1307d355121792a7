import {
  Api,
  ChannelSearchList,
  SearchList,
  SearchSuggestions,
  SearchVideos,
  SuggestionList,
  type TextPart,
} from '../../client/src/api/index.js';
import { ChannelsService } from '../../src/modules/channels/index.js';
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
const running: { stop(): void }[] = [];
beforeAll(async () => {
  app = await startApp();
  link = await startLink(app.url);
  ada = await person(app);
  channel = await channelOf(app, ada);
  await app.get(ChannelsService).create(ada.userId, { handle: 'waterways', name: 'Waterways of Delft' });
  await publish('The locks of Delft', 'A walk along the canals, from lock to lock & back.');
  await publish('Canals by night', 'No boat is moving.');
  for (let n = 1; n <= 5; n++) await publish(`Windmill ${n}`, '');
  await found('canals', 2);
  await found('windmill', 5);
});
afterAll(async () => {
  link.stop();
  await app.stop();
});
afterEach(() => {
  for (const one of running.splice(0)) one.stop();
});

async function publish(title: string, description: string): Promise<void> {
  const videoId = globalId('Video', await videoIn(app, channel, ada, { visibility: 'PRIVATE' }));
  const input = { videoId, title, description, visibility: 'PUBLIC' };
  expect(await ada.does('updateVideo', input)).toEqual({ userErrors: [] });
}
/** It is in the index. */
const found = (query: string, count: number) =>
  until(
    () => new Api({ endpoint: app.url }).request(SearchVideos, { query }),
    ({ searchVideos }) => searchVideos.edges.length === count,
    50,
  );
function kept<List extends { stop(): void }>(list: List): List {
  running.push(list);
  return list;
}
const searchList = (pageSize = 20, api = new Api({ endpoint: link.url })) => kept(new SearchList(api, pageSize));
const seen = <View>(list: { read(): View }, done: (view: View) => boolean) => until(async () => list.read(), done, 20);
const isReady = ({ state }: { state: string }) => state === 'ready';
const titlesOf = (list: SearchList) => list.read().results.map(({ video }) => video.title);
const textOf = (parts: readonly TextPart[]) => parts.map(({ text, marked }) => (marked ? `[${text}]` : text)).join('');

it('finds, and says where as text', async () => {
  const list = searchList();
  list.search({ query: 'lock' });
  expect(list.read()).toMatchObject({ state: 'loading', query: 'lock', results: [] });
  await seen(list, isReady);
  const [result] = list.read().results;
  expect(textOf(result?.title ?? [])).toBe('The [locks] of Delft');
  const excerpt = textOf(result?.excerpt ?? []);
  expect(excerpt).toContain('[lock]');
  // No escapes in it.
  expect(excerpt.replaceAll(/[[\]]/g, '')).toContain('from lock to lock & back');
});

it('finds in spite of a typo, and says what it looked for', async () => {
  const list = searchList();
  list.search({ query: 'windmlil' });
  await seen(list, isReady);
  expect(list.read().correctedQuery).toBe('windmill');
  expect(titlesOf(list)).toHaveLength(5);
  list.search({ query: 'canals' });
  await seen(list, ({ state, results }) => state === 'ready' && results.length === 2);
  expect(list.read().correctedQuery).toBeNull();
});

it('turns pages, each once', async () => {
  const list = searchList(2);
  list.search({ query: 'windmill', orderBy: 'NEWEST' });
  await seen(list, isReady);
  expect(titlesOf(list)).toHaveLength(2);
  while (list.read().hasMore) await list.loadMore();
  expect(titlesOf(list)).toEqual(['Windmill 5', 'Windmill 4', 'Windmill 3', 'Windmill 2', 'Windmill 1']);
});

it('filters', async () => {
  const list = searchList();
  list.search({ query: 'windmill', filter: { publishedBefore: '2001-01-01T00:00:00Z' } });
  await seen(list, isReady);
  expect(titlesOf(list)).toEqual([]);
  list.search({ query: 'windmill', filter: { channelId: globalId('Channel', channel) } });
  await seen(list, ({ results }) => results.length === 5);
});

it('shows what was asked for last, in whatever order the answers come', async () => {
  const api = new HeldApi({ endpoint: link.url });
  const list = searchList(20, api);
  api.holds = SearchVideos;
  list.search({ query: 'windmill' });
  await api.isHeld();
  list.search({ query: 'canals' });
  await api.isHeld(2);
  const [older, newer] = api.held.splice(0) as [() => void, () => void];
  api.letGo();
  newer();
  await seen(list, isReady);
  older();
  await list.loadMore();
  expect(list.read()).toMatchObject({ query: 'canals', state: 'ready' });
  expect(titlesOf(list).sort()).toEqual(['Canals by night', 'The locks of Delft']);
});

it('keeps what it shows until there is another answer, and shows nothing for nothing', async () => {
  const api = new HeldApi({ endpoint: link.url });
  const list = searchList(20, api);
  list.search({ query: 'canals' });
  await seen(list, isReady);
  api.holds = SearchVideos;
  list.search({ query: 'windmill' });
  await api.isHeld();
  expect(list.read()).toMatchObject({ state: 'loading', query: 'windmill', totalCount: null });
  expect(titlesOf(list)).toHaveLength(2);
  const { bytes } = link;
  list.search({ query: '  ' });
  expect(list.read()).toMatchObject({ state: 'idle', results: [] });
  api.letGo();
  await list.loadMore();
  expect(list.read()).toMatchObject({ state: 'idle', results: [] });
  expect(link.bytes).toBe(bytes);
});

it('says what is refused', async () => {
  const list = searchList();
  list.search({ query: 'x'.repeat(10_000) });
  await seen(list, ({ state }) => state === 'failed');
  expect(list.read()).toMatchObject({ results: [], error: { code: 'BAD_USER_INPUT' } });
  list.search({ query: 'windmill' });
  await seen(list, ({ results }) => results.length === 5);
  expect(list.read().error).toBeNull();
});

it('waits while it is cut off, and comes back by itself', async () => {
  const list = searchList();
  link.stop();
  list.search({ query: 'canals' });
  await seen(list, ({ state }) => state === 'waiting');
  expect(list.read()).toMatchObject({ results: [], error: { code: 'OFFLINE' } });
  await link.start();
  await seen(list, isReady);
  expect(titlesOf(list)).toHaveLength(2);
}, 30_000);

it('finds channels', async () => {
  const list = kept(new ChannelSearchList(new Api({ endpoint: link.url })));
  const { channels } = await until(
    async () => {
      list.search({ query: 'waterways' });
      return seen(list, isReady);
    },
    (view) => view.channels.length > 0,
    50,
  );
  expect(channels).toMatchObject([{ handle: 'waterways', name: 'Waterways of Delft' }]);
});

it('suggests to who types, in whatever order the answers come', async () => {
  const api = new HeldApi({ endpoint: link.url });
  const list = kept(new SuggestionList(api));
  await list.suggest('windm');
  expect(list.read().length).toBeGreaterThan(0);
  for (const text of list.read()) expect(text.toLowerCase()).toContain('windm');
  api.holds = SearchSuggestions;
  const first = list.suggest('can');
  await api.isHeld();
  const second = list.suggest('cana');
  await api.isHeld(2);
  const [older, newer] = api.held.splice(0) as [() => void, () => void];
  newer();
  await second;
  const shown = list.read();
  older();
  await first;
  expect(list.read()).toBe(shown);
  const { bytes } = link;
  await list.suggest(' ');
  expect(list.read()).toEqual([]);
  expect(link.bytes).toBe(bytes);
  link.cut();
  link.stop();
  await list.suggest('windm');
  expect(list.read()).toEqual([]);
  await link.start();
});
