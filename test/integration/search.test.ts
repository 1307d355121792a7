import { Database } from '../../src/common/database/index.js';
import { ChannelsService } from '../../src/modules/channels/index.js';
import { IndexWriter, Reindex, SearchIndex } from '../../src/modules/search/index.js';
import { channelOf, globalId, type Person, person, startApp, type TestApp, until, videoIn } from '../support/index.js';

/** How soon a change is found. */
const CURRENT_MS = 2_000;

interface Found {
  edges: { node: { id: string; title: string }; highlights: string[] }[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
  totalCount: number | null;
  correctedQuery: string | null;
}

let app: TestApp;
let ada: Person;
let eve: Person;
let channel: string;
beforeAll(async () => {
  // It asks again and again until something is found.
  app = await startApp({ rateLimitFactor: 0 });
  [ada, eve] = [await person(app), await person(app)];
  channel = await channelOf(app, ada);
});
afterAll(() => app.stop());

const FIND = `query ($query: String!, $filter: VideoSearchFilter, $orderBy: VideoSearchOrder, $first: Int, $after: Cursor) {
  searchVideos(query: $query, filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    edges { node { id title } highlights } pageInfo { hasNextPage endCursor } totalCount correctedQuery } }`;

async function find(query: string, more: object = {}, by?: Person): Promise<Found> {
  const { data, errors } = await app.graphql<{ searchVideos: Found }>(FIND, { query, ...more }, by?.token);
  if (errors) throw new Error(JSON.stringify(errors));
  return data.searchVideos;
}
const titles = async (query: string, more: object = {}, by?: Person) =>
  (await find(query, more, by)).edges.map(({ node }) => node.title);
const suggest = async (prefix: string) =>
  (
    await app.graphql<{ searchSuggestions: string[] }>('query ($p: String!) { searchSuggestions(prefix: $p) }', {
      p: prefix,
    })
  ).data.searchSuggestions;

interface Said {
  title: string;
  description?: string;
  tags?: string[];
  language?: string | null;
  durationMs?: number;
  views?: number;
  listedAt?: string;
  visibility?: string;
  publishAt?: string;
  state?: string;
}

/** A video as if it had been said and indexed so. */
async function video(said: Said, where: string = channel): Promise<string> {
  const id = await videoIn(app, where, ada, said);
  await app.database.query(
    'UPDATE video SET title = $2, description = $3, tags = $4, language = $5, duration_ms = $6 WHERE id = $1',
    [id, said.title, said.description ?? '', said.tags ?? [], said.language ?? null, said.durationMs ?? 60_000],
  );
  if (said.views) {
    await app.database.query(
      `INSERT INTO video_popularity (video_id, view_count, trend) VALUES ($1, $2, 0)
       ON CONFLICT (video_id) DO UPDATE SET view_count = excluded.view_count`,
      [id, said.views],
    );
  }
  await app.get(SearchIndex).updateVideos([id]);
  return id;
}

const change = (by: Person, id: string, input: object) =>
  by.does('updateVideo', { videoId: globalId('Video', id), ...input }, 'video { id }');

/** Waits for a search to have this many results, and says for how long. */
async function current(query: string, count: number): Promise<number> {
  const began = Date.now();
  await until(
    () => titles(query),
    (found) => found.length === count,
    25,
  );
  return Date.now() - began;
}

describe('words', () => {
  beforeAll(async () => {
    await video({ title: 'Sailing boats in the harbour', language: 'en', tags: ['Slow Travel'] });
    await video({ title: 'Die Häuser am Straßenrand', language: 'de-CH' });
    await video({ title: 'Les élèves mangeaient du crème brûlée', language: 'fr' });
    await video({ title: 'Говорящие собаки', language: 'ru' });
    await video({ title: 'Красивая осень', language: 'ru' });
    await video({ title: '本日の京都', language: 'ja' });
    await video({ title: 'パーティー', language: 'ja' });
    await video({ title: 'AC/DC live', tags: ['Sci-Fi'] });
    await video({ title: 'Selfhosted webmail' });
    await video({ title: 'LEGO™ bricks' });
    await video({ title: '東京タワーの夜', language: 'ja' });
    await video({ title: 'Night falls', description: 'A lighthouse keeper tells of zephyrs & <b>storms</b>.' });
  });

  it.each([
    ['sailing boats', 'Sailing boats in the harbour'],
    ['HARBOUR', 'Sailing boats in the harbour'],
    ['sails boat', 'Sailing boats in the harbour'],
    ['slow travel', 'Sailing boats in the harbour'],
    ['haus', 'Die Häuser am Straßenrand'],
    ['strassenrand', 'Die Häuser am Straßenrand'],
    ['eleve', 'Les élèves mangeaient du crème brûlée'],
    ['creme brulee', 'Les élèves mangeaient du crème brûlée'],
    ['собака', 'Говорящие собаки'],
    ['красивый', 'Красивая осень'],
    ['東京', '東京タワーの夜'],
    ['本日', '本日の京都'],
    ['京都 本日', '本日の京都'],
    ['ﾊﾟｰﾃｨｰ', 'パーティー'],
    ['acdc', 'AC/DC live'],
    ['AC-DC', 'AC/DC live'],
    ['scifi', 'AC/DC live'],
    ['"AC/DC live"', 'AC/DC live'],
    ['self-hosted web-mail', 'Selfhosted webmail'],
    ['lego', 'LEGO™ bricks'],
    ['zephyrs', 'Night falls'],
    ['lighthouse night', 'Night falls'],
    ['harb', 'Sailing boats in the harbour'],
    ['sailing har', 'Sailing boats in the harbour'],
    ['"boats in the"', 'Sailing boats in the harbour'],
    ['Ada films zephyrs', 'Night falls'],
  ])('%s finds %s', async (query, title) => {
    expect(await titles(query)).toEqual([title]);
  });

  it.each([
    ['salling boats', 'sailing boats'],
    ['sailing baots', 'sailing boats'],
    ['sailing boatss', 'sailing boats'],
    ['ailing boats ', 'sailing boats'],
    ['Häuzer am Straßenrand', 'hauser am strassenrand'],
  ])('%s is taken for %s', async (query, corrected) => {
    const found = await find(query);
    expect(found.edges).toHaveLength(1);
    expect(found.correctedQuery).toBe(corrected);
  });

  it.each([
    '日本',
    '"boats sailing"',
    '"salling boats"',
    'sailing cars',
    'xyzzy',
    '',
    '!!!',
    "'",
    '" "',
  ])('%j finds nothing', async (query) => {
    expect(await find(query)).toMatchObject({ edges: [], correctedQuery: null });
  });

  it('are counted', async () => {
    expect((await find('boats')).totalCount).toBe(1);
    expect((await find('night')).totalCount).toBe(1);
  });

  it('are marked in titles and descriptions, and nothing else is markup', async () => {
    expect((await find('sail')).edges[0]?.highlights).toEqual(['<mark>Sailing</mark> boats in the harbour']);
    expect((await find('brulee')).edges[0]?.highlights).toEqual(['Les élèves mangeaient du crème <mark>brûlée</mark>']);
    expect((await find('storm zephyr')).edges[0]?.highlights).toEqual([
      'Night falls',
      'A lighthouse keeper tells of <mark>zephyrs</mark> &amp; &lt;b&gt;<mark>storms</mark>&lt;/b&gt;.',
    ]);
    await video({ title: '<img src=x onerror="alert(1)"> gizmo </mark>' });
    expect((await find('gizmo')).edges[0]?.highlights).toEqual([
      '&lt;img src=x onerror=&quot;alert(1)&quot;&gt; <mark>gizmo</mark> &lt;/mark&gt;',
    ]);
  });

  it.each([
    'a-x',
    'or',
    '-boats',
    '!boats',
    "boats' & 'x",
    'boats:*',
    '\\',
    'boats\\',
    'a <-> b',
    '((((',
    '\u202e',
    '%_%',
    '💧',
    Array(60).fill('a').join(' '),
    Array(60).fill('"a b"').join(' ').slice(0, 200),
  ])('%j is no trouble', async (query) => {
    await expect(find(query)).resolves.toBeDefined();
    await expect(suggest(query)).resolves.toBeDefined();
  });

  it('of descriptions cost nothing that titles have', async () => {
    const found = await app.get(Database).tx(async (tx) => {
      await tx.query('LOCK TABLE video_search_body');
      return find('boats');
    });
    expect(found.edges.map(({ node }) => node.title)).toEqual(['Sailing boats in the harbour']);
    expect(found).toMatchObject({ totalCount: null, pageInfo: { hasNextPage: false } });
  });

  it('are given up when they take too long', async () => {
    const { errors } = await app.get(Database).tx(async (tx) => {
      await tx.query('LOCK TABLE video_search');
      return app.graphql(FIND, { query: 'boats' });
    });
    expect(errors?.[0]?.extensions).toMatchObject({ reason: 'SEARCH_TOO_BROAD' });
  });

  it('are too many', async () => {
    const { errors } = await app.graphql(FIND, { query: 'x'.repeat(201) });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
  });
});

describe('ranking and filters', () => {
  let other: string;
  beforeAll(async () => {
    other = await channelOf(app, eve);
    await video({ title: 'Quokka', listedAt: '2020-01-01T00:00:00Z', durationMs: 1_000, language: 'en' });
    await video({
      title: 'Quokka seen',
      listedAt: '2024-01-01T00:00:00Z',
      durationMs: 600_000,
      language: 'de-CH',
      views: 5,
    });
    await video({
      title: 'Quokka loved',
      listedAt: '2023-01-01T00:00:00Z',
      views: 1_000_000,
      tags: ['Slow travel', 'Été'],
    });
    await video(
      { title: 'Of animals', listedAt: '2025-01-01T00:00:00Z', description: 'A quokka', views: 100_000_000 },
      other,
    );
  });

  it('puts the title itself first, then by views and age, then descriptions', async () => {
    expect(await titles('quokka')).toEqual(['Quokka', 'Quokka loved', 'Quokka seen', 'Of animals']);
    expect(await titles('quokka', { orderBy: 'NEWEST' })).toEqual([
      'Quokka seen',
      'Quokka loved',
      'Quokka',
      'Of animals',
    ]);
  });

  it.each([
    [{ publishedAfter: '2023-06-01T00:00:00Z' }, ['Quokka seen', 'Of animals']],
    [{ publishedBefore: '2023-06-01T00:00:00Z' }, ['Quokka', 'Quokka loved']],
    [{ minDurationMs: 500_000 }, ['Quokka seen']],
    [{ maxDurationMs: 5_000 }, ['Quokka']],
    [{ language: 'de' }, ['Quokka seen']],
    [{ language: 'de-CH' }, ['Quokka seen']],
    [{ language: 'de-AT' }, []],
    [{ tags: ['slow TRAVEL'] }, ['Quokka loved']],
    [{ tags: ['slow travel', 'ete'] }, ['Quokka loved']],
    [{ tags: ['travel'] }, []],
    [{ tags: ['slow travel'], minDurationMs: 500_000 }, []],
  ])('%j', async (filter, expected) => {
    for (const orderBy of ['RELEVANCE', 'NEWEST']) {
      expect((await titles('quokka', { filter, orderBy })).sort()).toEqual([...expected].sort());
    }
  });

  it.each([
    [Array(21).fill('travel')],
    [['x'.repeat(31)]],
    [[Array(200).fill('travel').join(' ')]],
    [['!']],
  ])('is bound to no such tags: %.40j', async (tags) => {
    const { errors } = await app.graphql(FIND, { query: 'quokka', filter: { tags } });
    expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: ['filter', 'tags'] });
  });

  it('is bound to a channel', async () => {
    expect(await titles('quokka', { filter: { channelId: globalId('Channel', other) } })).toEqual(['Of animals']);
    const { errors } = await app.graphql(FIND, { query: 'a', filter: { channelId: 'x' } });
    expect(errors?.[0]?.extensions?.code).toMatch(/INVALID|NOT_FOUND/);
  });

  it('is drawn anew with views', async () => {
    const [seen] = await app.database.query<{ id: string }>(`SELECT id FROM video WHERE title = 'Quokka seen'`);
    await app.database.query('UPDATE video_popularity SET view_count = 1000000000 WHERE video_id = $1', [seen?.id]);
    await app.get(SearchIndex).rescore([seen?.id as string]);
    expect(await titles('quokka')).toEqual(['Quokka', 'Quokka seen', 'Quokka loved', 'Of animals']);
  });
});

describe('pages', () => {
  it.each(['RELEVANCE', 'NEWEST'])('are complete, and repeat nothing: %s', async (orderBy) => {
    const word = `wombat${orderBy.toLowerCase()}`;
    const made = new Set<string>();
    for (let n = 0; n < 23; n++) {
      const inTitle = n % 3 > 0;
      const said = {
        title: inTitle ? `${word} number ${n % 5}` : `Other ${n}`,
        description: inTitle ? '' : `with ${word}`,
      };
      made.add(globalId('Video', await video({ ...said, listedAt: `2024-01-0${1 + (n % 4)}T00:00:00Z` })));
    }
    made.add(globalId('Video', await video({ title: word })));
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page: Found = await find(word, { first: 4, after, orderBy });
      expect(page.totalCount).toBe(24);
      seen.push(...page.edges.map(({ node }) => node.id));
      if (!page.pageInfo.hasNextPage) break;
      after = page.pageInfo.endCursor;
    }
    expect(seen).toHaveLength(24);
    expect(new Set(seen)).toEqual(made);
  });

  it.each([
    'x',
    '',
    Buffer.from('["ALL",1]').toString('base64url'),
    Buffer.from('["NONE",1,1]').toString('base64url'),
  ])('do not begin at %j', async (after) => {
    const { errors } = await app.graphql(FIND, { query: 'quokka', after });
    expect(errors?.[0]?.extensions?.code).toMatch(/INVALID_CURSOR|BAD_USER_INPUT/);
  });
});

describe('what does not stand in lists', () => {
  it.each([
    ['private', { visibility: 'PRIVATE' }],
    ['unlisted', { visibility: 'UNLISTED' }],
    ['scheduled', { publishAt: '2100-01-01T00:00:00Z' }],
    ['processed', { state: 'PROCESSING' }],
  ])('is not found, suggested or counted when it is %s', async (name, said) => {
    const word = `numbat${name}`;
    await video({ title: `${word} film`, description: word, tags: [word], ...said });
    for (const by of [undefined, eve, ada]) {
      for (const query of [word, `${word} film`, `"${word} film"`, `${word}x film`, word.slice(0, -2)]) {
        expect(await find(query, {}, by)).toMatchObject({ edges: [], totalCount: 0 });
      }
    }
    expect(await suggest(word.slice(0, -2))).toEqual([]);
  });

  it('is shown by no index that is behind', async () => {
    const id = await video({ title: 'Bilby at night' });
    expect(await titles('bilby')).toEqual(['Bilby at night']);
    // As if nobody had told the index.
    await app.database.query(`UPDATE video SET visibility = 'PRIVATE' WHERE id = $1`, [id]);
    for (const by of [undefined, eve, ada]) expect(await titles('bilby', {}, by)).toEqual([]);
    expect(await suggest('bil')).toEqual([]);
    await app.database.query(`UPDATE video SET visibility = 'PUBLIC' WHERE id = $1`, [id]);
    expect(await titles('bilby')).toEqual(['Bilby at night']);
    await app.database.query('UPDATE channel SET deleted_at = now() WHERE id = $1', [channel]);
    expect(await titles('bilby')).toEqual([]);
    await app.database.query('UPDATE channel SET deleted_at = NULL WHERE id = $1', [channel]);
  });
});

describe('of what an index that is behind still has', () => {
  const hide = (ids: readonly string[]) =>
    app.database.query(`UPDATE video SET visibility = 'PRIVATE' WHERE id = ANY($1::uuid[])`, [ids]);

  it('neither the number is told, nor the place', async () => {
    const ids = [];
    for (let n = 0; n < 3; n++) ids.push(await video({ title: 'Merger announcement' }));
    const told = await video({ title: 'Merger announcement', listedAt: '2015-01-01T00:00:00Z' });
    await hide(ids);
    for (const orderBy of ['RELEVANCE', 'NEWEST']) {
      // The hidden ones stand before it.
      expect(await find('merger announcement', { first: 1, orderBy })).toMatchObject({
        edges: [{ node: { id: globalId('Video', told) } }],
        ...{ totalCount: 1, pageInfo: { hasNextPage: false } },
      });
    }
    await hide([told]);
    for (const query of ['merger announcement', 'merger', 'announcememt']) {
      expect(await find(query, { first: 1 })).toEqual({
        ...{ edges: [], totalCount: 0, correctedQuery: null },
        pageInfo: { hasNextPage: false, endCursor: null },
      });
    }
  });

  it('no word is told by what a typo is taken for', async () => {
    await hide([await video({ title: 'Zebrafox plan', tags: ['zebrafix2'] })]);
    await video({ title: 'Zebrafux', tags: ['zebraful'] });
    expect((await find('zebrafix ')).correctedQuery).toBe('zebrafux');
    expect((await find('zebrafuxx ')).correctedQuery).toBe('zebrafux');
    expect((await find('zebrafull ')).correctedQuery).toBe('zebraful');
    await video({ title: 'Of animals', description: 'zebrafix' });
    expect((await find('zebrafix plan')).correctedQuery).toBeNull();
  });

  it('no word is suggested, however many had it', async () => {
    const ids = [];
    for (let n = 0; n < 60; n++) ids.push(await video({ title: `Okapiproject ${n}` }));
    await app.get(IndexWriter).maintain();
    expect(await suggest('okapip')).toContain('okapiproject');
    await hide(ids);
    expect(await suggest('okapip')).toEqual([]);
  });
});

describe('a title that is a typo, or unfinished', () => {
  beforeAll(async () => {
    for (let n = 0; n < 60; n++) await video({ title: `Dugongcraft ${n}`, description: 'Of building' });
    await video({ title: 'Dugogncraft' });
    await video({ title: 'Numbatology' });
    await video({ title: 'Numbat' });
    await app.get(IndexWriter).maintain();
  });

  it('stands first, before what was meant', async () => {
    const found = await find('dugogncraft', { first: 5 });
    expect(found.edges.map(({ node }) => node.title)).toEqual([
      'Dugogncraft',
      ...Array(4).fill(expect.stringMatching(/^Dugongcraft/)),
    ]);
    expect(found.correctedQuery).toBeNull();
    expect(await titles('numbat')).toEqual(['Numbat', 'Numbatology']);
    expect(await titles('dugogncraft 17')).toEqual(['Dugongcraft 17']);
    expect((await find('dugogncraft 17')).correctedQuery).toBe('dugongcraft 17');
  });

  it('hides nothing in a channel that has no such title', async () => {
    const other = await channelOf(app, eve);
    await video({ title: 'Numbatologists' }, other);
    expect(await titles('numbat', { filter: { channelId: globalId('Channel', other) } })).toEqual(['Numbatologists']);
  });
});

test('the newest of many descriptions come first', async () => {
  // More than are ranked of those. The newest is written last, and is the only one that there is.
  const newest = await videoIn(app, channel, ada);
  await app.database.query(
    `WITH made AS (INSERT INTO video_search (video_id, channel_id, listed_ms, duration_ms, score, tier, title_key, tsv)
       SELECT CASE n WHEN 1500 THEN $2::uuid ELSE gen_random_uuid() END, $1, n, 1, 0, 0, 0, '' FROM generate_series(1, 1500) n
       RETURNING id)
     INSERT INTO video_search_body (id, score, tier, tsv) SELECT id, 0, 0, '''echidna'':1D' FROM made`,
    [channel, newest],
  );
  try {
    const { edges } = await find('echidna', { orderBy: 'NEWEST', first: 1 });
    expect(edges.map(({ node }) => node.id)).toEqual([globalId('Video', newest)]);
  } finally {
    await app.database.query(
      `WITH gone AS (DELETE FROM video_search WHERE listed_ms BETWEEN 1 AND 1500 RETURNING id)
       DELETE FROM video_search_body b USING gone WHERE gone.id = b.id`,
    );
  }
});

test('suggestions look at three words before the last', async () => {
  await video({ title: 'Seven red foxes quietly crossing' });
  const long = `${Array(60).fill('xyz').join(' ').slice(0, 150)} foxes quietly cross`;
  expect(await suggest('red foxes quietly cross')).toContain('red foxes quietly crossing');
  // What stands further ahead is not asked for.
  expect(await suggest(`nowhere ${'red foxes quietly cross'}`)).toContain('nowhere red foxes quietly crossing');
  expect(await suggest(long)).toEqual([]);
  expect(await suggest('the foxes the')).toEqual([]);
});

describe('changes', () => {
  it('are found within two seconds', async () => {
    const id = await videoIn(app, channel, ada);
    const took: number[] = [];
    const changes = async (input: object, query: string, count: number) => {
      await change(ada, id, input);
      took.push(await current(query, count));
    };
    await changes({ title: 'Pademelon' }, 'pademelon', 1);
    await changes({ title: 'Potoroo' }, 'potoroo', 1);
    expect(await titles('pademelon')).toEqual([]);
    await changes({ tags: ['macropod'] }, 'macropod', 1);
    await changes({ description: 'Of Tasmania' }, 'tasmania', 1);
    await changes({ visibility: 'PRIVATE' }, 'potoroo', 0);
    await changes({ visibility: 'PUBLIC' }, 'potoroo', 1);
    await changes({ publishAt: new Date(Date.now() + 700).toISOString() }, 'potoroo', 0);
    await current('potoroo', 1);
    await ada.does('deleteVideo', { videoId: globalId('Video', id) });
    took.push(await current('potoroo', 0));
    expect(await suggest('potor')).toEqual([]);
    expect(Math.max(...took)).toBeLessThan(CURRENT_MS);
    expect(await app.database.query('SELECT FROM video_search WHERE video_id = $1', [id])).toEqual([]);
  });

  it('of a channel are found too, and its end', async () => {
    const own = await channelOf(app, ada);
    await video({ title: 'Currawong' }, own);
    await ada.does(
      'updateChannel',
      { channelId: globalId('Channel', own), name: 'Feathered friends' },
      'channel { id }',
    );
    await current('feathered currawong', 1);
    await ada.does('deleteChannel', { channelId: globalId('Channel', own) });
    expect(await titles('currawong')).toEqual([]);
    await until(
      () => app.database.query('SELECT FROM video_search WHERE channel_id = $1', [own]),
      (rows) => rows.length === 0,
    );
  });
});

describe('channels', () => {
  const CHANNELS = `query ($query: String!, $first: Int, $after: Cursor) { searchChannels(query: $query, first: $first, after: $after) {
    nodes { handle } pageInfo { hasNextPage endCursor } } }`;
  const channels = async (query: string, more: object = {}) =>
    (
      await app.graphql<{ searchChannels: { nodes: { handle: string }[]; pageInfo: Found['pageInfo'] } }>(CHANNELS, {
        query,
        ...more,
      })
    ).data.searchChannels;
  const handles = async (query: string) => (await channels(query)).nodes.map(({ handle }) => handle);

  it('are found by name and handle, with typos, unfinished, and until they are deleted', async () => {
    const made = await app.get(ChannelsService).create(eve.userId, { handle: 'kite.maker', name: 'Élise Drachenbau' });
    await until(
      () => handles('drachenbau'),
      (found) => found.length > 0,
    );
    for (const query of ['Elise', 'drachenbua', 'drach', '@kite.maker', 'kitemaker', 'elise kite']) {
      expect(await handles(query)).toEqual(['kite.maker']);
    }
    expect(await handles('nobody')).toEqual([]);
    await eve.does('deleteChannel', { channelId: globalId('Channel', made.id) });
    expect(await handles('drachenbau')).toEqual([]);
  });

  it('come in pages that are complete', async () => {
    for (let n = 0; n < 7; n++)
      await app.get(ChannelsService).create(eve.userId, { handle: `lyre${n}`, name: 'Lyrebirds' });
    await until(
      () => handles('lyrebirds'),
      (found) => found.length === 7,
    );
    const seen: string[] = [];
    for (let after: string | null = null; ; ) {
      const page: Awaited<ReturnType<typeof channels>> = await channels('lyrebirds', { first: 3, after });
      seen.push(...page.nodes.map(({ handle }) => handle));
      if (!page.pageInfo.hasNextPage) break;
      after = page.pageInfo.endCursor;
    }
    expect(seen.toSorted()).toEqual([...Array(7).keys()].map((n) => `lyre${n}`));
  });
});

test('suggestions are titles and words, each once', async () => {
  await video({ title: 'Platypus playing', views: 1_000 });
  await video({ title: 'Platypus PLAYING' });
  await video({ title: 'Platinum' });
  const found = await suggest('plat');
  expect(found).toEqual(expect.arrayContaining(['Platypus playing', 'Platinum', 'platypus']));
  expect(new Set(found.map((text) => text.toLowerCase())).size).toBe(found.length);
  expect(await suggest('platypus pl')).toContain('Platypus playing');
  // Nothing has both of these.
  expect(await suggest('quokka plat')).toEqual([]);
  const { errors } = await app.graphql('{ searchSuggestions(prefix: "a", first: 21) }');
  expect(errors?.[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT' });
});

describe('a new index', () => {
  it('is made while searches are answered, and has what changed meanwhile', async () => {
    const kept = await video({ title: 'Thylacine kept' });
    const renamed = await video({ title: 'Thylacine old name' });
    const hidden = await video({ title: 'Thylacine hidden' });
    for (let n = 0; n < 40; n++) await video({ title: `Bandicoot ${n}` });
    const before = await app.database.query('SELECT video_id, id, tsv::text FROM video_search WHERE video_id = $1', [
      kept,
    ]);
    const writer = new IndexWriter(app.get(Database));
    let answered = 0;
    let isOver = false;
    const searching = (async () => {
      for (; !isOver; answered++) {
        expect((await find('bandicoot', { first: 50 })).edges).toHaveLength(40);
        expect(await titles('thylacine kept')).toEqual(['Thylacine kept']);
      }
    })();
    let changed = false;
    let made = '';
    // In the middle of it: rows are copied, nothing is exchanged.
    const write = writer.write.bind(writer);
    writer.write = async (tx, ids, tables) => {
      await write(tx, ids, tables);
      if (changed) return;
      changed = true;
      await app.database.query(`UPDATE video SET title = 'Thylacine new name' WHERE id = $1`, [renamed]);
      await app.database.query(`UPDATE video SET visibility = 'PRIVATE' WHERE id = $1`, [hidden]);
      made = await videoIn(app, channel, ada);
      await app.database.query(`UPDATE video SET title = 'Thylacine made' WHERE id = $1`, [made]);
      await app.get(SearchIndex).updateVideos([renamed, hidden, made]);
    };
    await new Reindex(app.get(Database), writer).run();
    isOver = true;
    await searching;
    expect(changed).toBe(true);
    expect(answered).toBeGreaterThan(0);
    expect((await titles('thylacine')).sort()).toEqual(['Thylacine kept', 'Thylacine made', 'Thylacine new name']);
    // Places in lists are those of before.
    expect(
      await app.database.query('SELECT video_id, id, tsv::text FROM video_search WHERE video_id = $1', [kept]),
    ).toEqual(before);
    expect(await app.database.query('SELECT FROM search_touched')).toEqual([]);
    await current('quokka', 4);
    const id = await videoIn(app, channel, ada);
    await change(ada, id, { title: 'Thylacine afterwards' });
    await current('thylacine afterwards', 1);
  });

  it('has the indexes of the one before', async () => {
    const indexes = () =>
      app.database.query(
        `SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'video_search%' ORDER BY indexname`,
      );
    const before = await indexes();
    await app.get(Reindex).run();
    expect(await indexes()).toEqual(before);
    expect(before).toHaveLength(10);
  });

  it('leaves the one in use where it is broken off, and gives way to a later one', async () => {
    const writer = new IndexWriter(app.get(Database));
    const write = writer.write.bind(writer);
    writer.write = async (tx, ids, tables) => {
      await write(tx, ids, tables);
      throw new Error('cut');
    };
    await expect(new Reindex(app.get(Database), writer).run()).rejects.toThrow('cut');
    expect((await find('bandicoot', { first: 50 })).edges).toHaveLength(40);
    await app.get(Reindex).run();
    expect((await find('bandicoot', { first: 50 })).edges).toHaveLength(40);
  });
});
