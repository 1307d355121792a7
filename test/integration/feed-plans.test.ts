import { FeedsService, RelatedService, TrendingService } from '../../src/modules/feeds/index.js';
import { type VideoRow, VideosService } from '../../src/modules/videos/index.js';
import { channelOf, type Person, person, startApp, type TestApp } from '../support/index.js';
import { type PageOf, pageCosts, settle } from '../support/plans.js';

/**
 * Of each kind of video, of which there are four. An index on ids has two levels with ten times as many too; the third comes with some
 * sixty thousand rows, the fourth with fifteen million, and costs a block for each row that is looked up by its id.
 */
const FEW = 1_300;
const TIMES = 10;
/** What one page may read more where there is ten times as much. */
const MORE = 1.3;
/** What every page may: the way down an index that has a level more by then. */
const LEVEL = 1;
const CHANNELS = 100;
const TABLES = [
  'video',
  'channel',
  'video_popularity',
  'video_term',
  'trending',
  'trending_generation',
  'related_videos',
];

let app: TestApp;
let ada: Person;
let channel: string;
let editors: string;
beforeAll(async () => {
  app = await startApp({ role: 'api' });
  ada = await person(app);
  channel = await channelOf(app, ada);
  editors = await channelOf(app, ada);
  await app.database.query(
    `INSERT INTO channel (handle, handle_key, name) SELECT h, h, h FROM (SELECT 'many' || n AS h FROM generate_series(1, ${CHANNELS}) n) x`,
  );
  await seed(0, FEW);
}, 120_000);
afterAll(() => app.stop());

/** Videos, those with numbers from `from` on: in many channels, and as many private ones; in one channel many private ones before a few. */
async function seed(from: number, to: number): Promise<void> {
  const run = (sql: string, values: unknown[] = []) => app.database.query(sql, [from, to - 1, ...values]);
  await run(
    `INSERT INTO video (channel_id, owner_id, title, visibility, state, verified_at, listed_at, publish_at)
     SELECT c.id, $3, 'Number ' || n, CASE side WHEN 0 THEN 'PUBLIC' ELSE 'PRIVATE' END, 'READY', now(), t,
            -- A few were shown, and shall be shown again later.
            CASE WHEN n % 50 = 7 THEN now() + interval '1 day' END
     FROM generate_series($1::int, $2::int) n CROSS JOIN generate_series(0, 1) side
       CROSS JOIN LATERAL (SELECT now() - random() * interval '300 days' + n * interval '0 s' AS t) x
       JOIN (SELECT id, row_number() OVER (ORDER BY handle) - 1 AS place FROM channel WHERE handle LIKE 'many%') c
         ON c.place = n % ${CHANNELS}`,
    [ada.userId],
  );
  // The listed ones are the oldest, so that what is private stands before them.
  await run(
    `INSERT INTO video (channel_id, owner_id, title, visibility, state, verified_at, listed_at, created_at)
     SELECT $3, $4, 'Draft ' || n, 'PRIVATE', 'READY', now(), NULL, now() + n * interval '1 ms'
     FROM generate_series($1::int, $2::int) n`,
    [channel, ada.userId],
  );
  if (from === 0) {
    await app.database.query(
      `INSERT INTO video (channel_id, owner_id, title, visibility, state, verified_at, listed_at, created_at)
       SELECT $1, $2, 'Film ' || n, 'PUBLIC', 'READY', now(), now() - interval '400 days', now() - n * interval '1 s'
       FROM generate_series(1, 600) n`,
      [channel, ada.userId],
    );
  }
  await run(
    `INSERT INTO video (channel_id, owner_id, title, visibility, state, verified_at, listed_at, created_at)
     SELECT $3, $4, 'Film ' || n, 'PUBLIC', 'READY', now(), t, t
     FROM generate_series($1::int, $2::int) n CROSS JOIN LATERAL (SELECT now() - random() * interval '300 days' + n * interval '0 s' AS t) x`,
    [editors, ada.userId],
  );
  // A word that all have, a tag of every tenth, one of every twentieth, and how often they were watched.
  await run(
    `INSERT INTO video_term (video_id, term, score) SELECT v.id, x.term, (random() * 10000)::int
     FROM (SELECT id, substring(title FROM '\\d+')::int AS n FROM video WHERE listed_at IS NOT NULL AND visibility = 'PUBLIC') v
       CROSS JOIN LATERAL (VALUES ('number', 1), ('canals', 10), ('mills', 20)) x (term, nth)
     WHERE v.n % x.nth = 0 AND v.n BETWEEN $1 AND $2 ON CONFLICT DO NOTHING`,
  );
  await app.database.query(
    `INSERT INTO video_popularity (video_id, view_count, trend) SELECT id, (random() * 1000)::int, random() * 100 FROM video
     WHERE listed_at IS NOT NULL ON CONFLICT DO NOTHING`,
  );
  await app.get(TrendingService).rank();
  await settle(app, TABLES);
}

it(`reads no more for a page where there is ${TIMES} times as much, and finds it by an index`, async () => {
  const feeds = app.get(FeedsService);
  const videos = app.get(VideosService);
  const trending = app.get(TrendingService);
  const related = app.get(RelatedService);
  const subject = async () => {
    const [row] = await app.database.query<{ id: string }>(
      `SELECT id FROM video WHERE channel_id = $1 AND title = 'Film 200' LIMIT 1`,
      [editors],
    );
    const id = row?.id as string;
    await app.database.query(`UPDATE video SET title = 'Number of canals', tags = '{mills}' WHERE id = $1`, [id]);
    const video = (await videos.byIds([id])).get(id);
    await app.database.query(`UPDATE video SET title = 'Film 200' WHERE id = $1`, [id]);
    return video as VideoRow;
  };
  const seen = await subject();
  const pages: Record<string, { page: PageOf; by: string }> = {
    trending: { page: (after) => trending.page(20, after), by: 'Index Scan: trending_pkey' },
    'what goes with a video': {
      page: async () => {
        await related.candidates(seen);
        return { rows: [] };
      },
      by: 'Index Only Scan: ix_video_term',
    },
    newest: { page: (after) => feeds.newest(20, after), by: 'Index Scan: ix_video_newest' },
    'a channel that is mostly private, to others': {
      page: (after) => videos.ofChannel(channel, false, 50, after),
      by: 'Index Scan: ix_video_channel_listed',
    },
    'a large channel, to others': {
      page: (after) => videos.ofChannel(editors, false, 50, after),
      by: 'Index Scan: ix_video_channel_listed',
    },
    'a large channel, to its editors': {
      page: (after) => videos.ofChannel(editors, true, 20, after),
      by: 'Index Scan: ix_video_channel',
    },
  };
  const all = Object.fromEntries(Object.entries(pages).map(([name, { page }]) => [name, page]));
  const few = await pageCosts(app, all, true);
  await seed(FEW, FEW * TIMES);
  const many = await pageCosts(app, all);
  const rows = Object.entries(few).map(([name, { blocks }]) => ({ name, few: blocks, many: many[name]?.blocks ?? 0 }));
  process.stderr.write(`${rows.map((row) => `${row.name}: ${row.few} blocks, ${row.many}`).join('\n')}\n`);
  expect(rows.filter((row) => row.many > row.few * MORE + LEVEL)).toEqual([]);
  for (const [name, { scans, indexes }] of Object.entries(many)) {
    // The few channels and rankings that there are may be read as they lie.
    expect({ name, scans: scans.filter((table) => !['channel', 'trending_generation'].includes(table)) }).toEqual({
      name,
      scans: [],
    });
    expect({ name, indexes: [...indexes] }).toEqual({
      name,
      indexes: expect.arrayContaining([pages[name.replace(/, \w+ page$/, '')]?.by]),
    });
  }
}, 300_000);
