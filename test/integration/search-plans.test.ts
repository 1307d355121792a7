import { Database } from '../../src/common/database/index.js';
import { IndexWriter, Reindex, SearchService } from '../../src/modules/search/index.js';
import { channelOf, type Person, person, startApp, type TestApp } from '../support/index.js';

const FEW = 3_000;
const TIMES = 10;
/** What one page may read more where there is ten times as much. */
const MORE = 1.2;

let app: TestApp;
let ada: Person;
let channel: string;
beforeAll(async () => {
  app = await startApp({ role: 'api' });
  ada = await person(app);
  channel = await channelOf(app, ada);
  await seed(0, FEW);
}, 120_000);
afterAll(() => app.stop());

/** Titles of their own, in which one of ten words stands, with the same rare ones however many there are. */
async function seed(from: number, to: number): Promise<void> {
  await app.database.query(
    `INSERT INTO video (channel_id, owner_id, title, description, visibility, state, stage, verified_at, published_at, listed_at, duration_ms)
     SELECT $3, $4, CASE WHEN n = 30 THEN 'Seen by a heron' ELSE CASE WHEN n < 30 THEN 'Rare ' ELSE '' END || 'film' || n || ' common' || n % 2 || ' number' || n END,
            CASE WHEN n < 30 THEN 'seldom told' ELSE 'told' END, 'PUBLIC', 'READY', 'DONE', now(), now(), now() - n * interval '1 minute', 1000
     FROM generate_series($1::int, $2::int - 1) n`,
    [from, to, channel, ada.userId],
  );
  const db = app.get(Database);
  await new Reindex(db, new IndexWriter(db)).run();
  for (const table of ['video', 'video_search', 'video_search_body', 'search_word', 'channel_search']) {
    // The servers of tests commit before the log is written, and VACUUM marks no page before its rows' commits are: this waits.
    await app.database.query(`BEGIN; SET LOCAL synchronous_commit = on; ANALYZE ${table}; COMMIT`);
    await app.database.query(`VACUUM ${table}`);
  }
}

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: Plan[];
}

interface Cost {
  blocks: number;
  /** What is read from one end to the other. */
  scans: string[];
  indexes: Set<string>;
}

const ONE_ROW = ['search_state', 'channel'];

/** What the statements of `work` cost, those in its transactions included. */
async function cost(work: () => Promise<unknown>): Promise<Cost> {
  const db = app.get(Database);
  const asked: [string, readonly unknown[]][] = [];
  const [query, tx] = [db.query.bind(db), db.tx.bind(db)];
  const heard = (sql: string, parameters: readonly unknown[] = []) => {
    if (/^\s*\(?SELECT/i.test(sql)) asked.push([sql, [...parameters]]);
  };
  db.query = (async (sql: string, parameters: readonly unknown[] = []) => {
    heard(sql, parameters);
    return query(sql, parameters);
  }) as typeof db.query;
  db.tx = ((fn) =>
    tx((inside) => {
      const original = inside.query;
      const spied = async (sql: string, parameters: readonly unknown[] = []) => {
        heard(sql, parameters);
        return original(sql, parameters);
      };
      return fn({ ...inside, query: spied as typeof original });
    })) as typeof db.tx;
  try {
    await work();
  } finally {
    Object.assign(db, { query, tx });
  }
  const found: Cost = { blocks: 0, scans: [], indexes: new Set() };
  const look = (plan: Plan) => {
    const table = plan['Relation Name'] ?? '';
    if (plan['Node Type'] === 'Seq Scan' && !ONE_ROW.includes(table)) found.scans.push(table);
    if (plan['Index Name']) found.indexes.add(plan['Index Name']);
    for (const inner of plan.Plans ?? []) look(inner);
  };
  for (const [sql, parameters] of asked) {
    const [row] = await query<{ 'QUERY PLAN': { Plan: Plan }[] }>(
      `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${sql}`,
      parameters,
    );
    const plan = row?.['QUERY PLAN'][0]?.Plan as Plan;
    found.blocks += plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
    look(plan);
  }
  return found;
}

it(`reads no more for a page where there is ${TIMES} times as much, and finds it by an index`, async () => {
  const search = app.get(SearchService);
  const videos = (text: string, orderBy: 'RELEVANCE' | 'NEWEST' = 'RELEVANCE', filter = {}) =>
    search.videos({ text, orderBy, filter }, 20, null);
  const lists: Record<string, [work: () => Promise<unknown>, index: string]> = {
    // Of words: numbered ones have more that differ in a digit where there are more.
    title: [() => videos('seen by a heron'), 'ix_video_search_title'],
    'title with a typo': [() => videos('seen by a hreon'), 'ix_search_word_deletes'],
    'rare words': [() => videos('rare '), 'ix_video_search_tsv'],
    phrase: [() => videos('"rare film7"'), 'ix_video_search_tsv'],
    description: [() => videos('seldom '), 'ix_video_search_body_first'],
    'unfinished word': [() => videos('hero'), 'ix_search_word_prefix'],
    'newest of many': [() => videos('common1 ', 'NEWEST'), 'ix_video_search_listed'],
    suggestions: [() => search.suggestions('rar', 8), 'ix_video_search_first'],
    channels: [() => search.channels('films ', 20, null), ''],
  };
  const few = new Map<string, Cost>();
  for (const [name, [work]] of Object.entries(lists)) few.set(name, await cost(work));
  await seed(FEW, FEW * TIMES);
  for (const [name, [work, index]] of Object.entries(lists)) {
    const many = await cost(work);
    // A channel is the only one there is.
    const scans = many.scans.filter((table) => name !== 'channels' || table !== 'channel_search');
    expect({ name, scans }).toEqual({ name, scans: [] });
    if (index) expect({ name, indexes: [...many.indexes] }).toEqual({ name, indexes: expect.arrayContaining([index]) });
    const blocks = few.get(name)?.blocks ?? 0;
    // A tree may have grown by a level, and each word asks several.
    expect({ name, blocks: many.blocks }).toEqual({
      name,
      blocks: Math.min(many.blocks, Math.max(blocks * MORE, blocks + 40)),
    });
  }
});

it('asks the best first for words that most titles have, and no more than there are', async () => {
  const found = await cost(() =>
    app.get(SearchService).videos({ text: 'common1 ', orderBy: 'RELEVANCE', filter: {} }, 20, null),
  );
  expect([...found.indexes]).toContain('ix_video_search_first');
  expect(found.scans).toEqual([]);
});

it('passes no videos for frequent words that seldom stand together, the newest first', async () => {
  await app.database.query(
    `UPDATE video_search SET tsv = tsv || '''common0'':1A ''common1'':2A'
     WHERE id IN (SELECT id FROM video_search ORDER BY listed_ms LIMIT 21)`,
  );
  const found = await cost(async () => {
    const { rows } = await app
      .get(SearchService)
      .videos({ text: 'common1 common0 ', orderBy: 'NEWEST', filter: {} }, 20, null);
    expect(rows).toHaveLength(20);
  });
  expect([...found.indexes]).toContain('ix_video_search_tsv');
  expect([...found.indexes]).not.toContain('ix_video_search_listed');
});
