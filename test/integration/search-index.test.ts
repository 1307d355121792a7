import { join } from 'node:path';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { Database } from '../../src/common/database/index.js';
import { migrate } from '../../src/common/database/migrations.js';
import type { JobContext } from '../../src/common/jobs/index.js';
import { IndexWriter, Reindex } from '../../src/modules/search/index.js';
import { IndexUpdates } from '../../src/modules/search/index-updates.js';
import { channelOf, type Person, person, startApp, type TestApp, until, videoIn } from '../support/index.js';

const MIGRATIONS = join(import.meta.dirname, '../../migrations');

let app: TestApp;
let db: Database;
let writer: IndexWriter;
let updates: IndexUpdates;
let ada: Person;
let channel: string;
beforeAll(async () => {
  // Nobody but the test works off jobs.
  app = await startApp({ role: 'api' });
  [db, updates, writer] = [app.get(Database), app.get(IndexUpdates), new IndexWriter(app.get(Database))];
  ada = await person(app);
  channel = await channelOf(app, ada);
});
afterAll(() => app.stop());

async function video(title: string, language: string | null = null): Promise<string> {
  const id = await videoIn(app, channel, ada);
  await app.database.query('UPDATE video SET title = $2, language = $3 WHERE id = $1', [id, title, language]);
  return id;
}

/** In a transaction of somebody else's, that is open until `work` is done. */
async function held<T>(sql: string, work: () => Promise<T>): Promise<T> {
  const client = new pg.Client(app.database.url);
  await client.connect();
  try {
    await client.query(`BEGIN; ${sql}`);
    return await work();
  } finally {
    await client.end();
  }
}

/** How many wait for a lock. */
const waiting = async () =>
  (
    await app.database.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    )
  ).length;

/** Transactions that this process had to repeat. */
async function repeats(sqlstate: string): Promise<number> {
  const lines = await (await fetch(`${app.url}/metrics`)).text();
  const found = new RegExp(`sluice_database_transaction_repeats_total\\{sqlstate="${sqlstate}"\\} (\\d+)`).exec(lines);
  return Number(found?.[1] ?? 0);
}

const dfOf = async (word: string) =>
  (await app.database.query<{ df: number }>('SELECT df FROM search_word WHERE word = $1', [word]))[0]?.df;
const isIndexed = async (id: string) =>
  (await app.database.query('SELECT FROM video_search WHERE video_id = $1', [id])).length === 1;
const nexts = () => app.database.query(`SELECT FROM pg_class WHERE relname LIKE 'video_search%_next'`);

test('the migration draws the line by the videos there are, and has them indexed twice', async () => {
  const other = await startApp({ role: 'api' });
  try {
    const by = await person(other);
    const where = await channelOf(other, by);
    await other.database.query(
      `INSERT INTO video (channel_id, owner_id, title, visibility, state, stage, verified_at, published_at, listed_at)
       SELECT $1, $2, 'A film', 'PUBLIC', 'READY', 'DONE', now(), now(), '2020-01-01T00:00:00Z'::timestamptz + n * interval '1 day'
       FROM generate_series(1, 20005) n`,
      [where, by.userId],
    );
    await other.database.query(
      `INSERT INTO video_popularity (video_id, view_count, trend) SELECT id, 1000000000, 0 FROM video ORDER BY listed_at LIMIT 1`,
    );
    await other.database.query(
      `DROP TABLE video_search, video_search_body, channel_search, search_word, search_state, search_touched;
       DROP SEQUENCE video_search_id; DELETE FROM migration WHERE name LIKE '%-search.sql'`,
    );
    await migrate(other.database.url, MIGRATIONS);
    // The oldest has the most views, so that the 20,001st is the sixth oldest.
    const line = [{ line: Math.trunc((Date.UTC(2020, 0, 7) / 1000 - 1_479_000_000) / 126_144) }];
    const drawn = () => other.database.query('SELECT tier_from AS line FROM search_state');
    expect(await drawn()).toEqual(line);
    await other.database.query('UPDATE search_state SET tier_from = 0');
    await new IndexWriter(other.get(Database)).drawLine();
    expect(await drawn()).toEqual(line);
    const jobs = await other.database.query(
      `SELECT payload->>'of' AS kind, run_at > now() + interval '50 minutes' AS later FROM job WHERE name = 'IndexBehind' ORDER BY 1, 2`,
    );
    expect(jobs).toEqual(['channels', 'videos'].flatMap((kind) => [false, true].map((later) => ({ kind, later }))));
  } finally {
    await other.stop();
  }
}, 60_000);

test('what nobody told of is brought in and out by IndexBehind, and then words are counted', async () => {
  const [made, gone] = [await video('Numbat made'), await video('Numbat gone')];
  await writer.updateVideos([gone]);
  await app.database.query('UPDATE video SET deleted_at = now() WHERE id = $1', [gone]);
  await app.database.query(`UPDATE search_state SET maintain_at = now() + interval '1 day'`);
  await updates.behind({ of: 'videos', after: null }, { jobId: 'test' } as JobContext);
  expect(await isIndexed(made)).toBe(true);
  expect(await isIndexed(gone)).toBe(false);
  expect(await app.database.query('SELECT FROM search_state WHERE maintain_at <= now()')).toHaveLength(1);
});

test('a rescheduled video has one job for each time', async () => {
  const id = await video('Later');
  const again = (hours: number) =>
    app.database.query(
      `UPDATE video SET publish_at = date_trunc('day', now()) + $2 * interval '1 hour' WHERE id = $1`,
      [id, hours],
    );
  const jobs = () => app.database.query(`SELECT FROM job WHERE name = 'IndexVideo' AND payload->>'videoId' = $1`, [id]);
  await again(48);
  for (let n = 0; n < 3; n++) await updates.videoChanged({ videoId: id });
  expect(await jobs()).toHaveLength(1);
  await again(49);
  await updates.videoChanged({ videoId: id });
  expect(await jobs()).toHaveLength(2);
});

describe('who writes at the same time', () => {
  test('a video is changed while it is indexed, and who reads it last writes last', async () => {
    const id = await video('Old words', 'fi');
    let writes: Promise<void>[] = [];
    // The first stem of a language is noted there.
    await held('SELECT FROM search_state FOR UPDATE', async () => {
      writes = [writer.updateVideos([id])];
      await until(waiting, (count) => count === 1, 25);
      await app.database.query(
        `BEGIN; SET LOCAL lock_timeout = '200ms'; UPDATE video SET title = 'New words', language = NULL WHERE id = '${id}'; COMMIT`,
      );
      writes.push(writer.updateVideos([id]));
      await until(waiting, (count) => count === 2, 25);
    });
    await Promise.all(writes);
    const [row] = await app.database.query(
      `SELECT title_key = hashtextextended('new words', 0) AS "isNew" FROM video_search WHERE video_id = $1`,
      [id],
    );
    expect(row).toEqual({ isNew: true });
  });

  test('words, scores and tiers do not wait for each other in a circle', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 40; n++) ids.push(await video(`Wallaby ${n}`));
    await app.database.query(
      'INSERT INTO video_popularity (video_id, view_count, trend) SELECT id, 7, 0 FROM unnest($1::uuid[]) id ON CONFLICT DO NOTHING',
      [ids],
    );
    await writer.updateVideos(ids.toReversed());
    const before = await repeats('40P01');
    for (let round = 0; round < 12; round++) {
      // Nearly all of them go to the other tier.
      Object.assign(writer, { firstTier: round % 2 === 0 ? 0 : 20_000 });
      const shuffled = () => ids.toSorted(() => Math.random() - 0.5);
      const [a, b] = [new IndexWriter(db), new IndexWriter(db)];
      await Promise.all([a.updateVideos(shuffled()), b.rescore(shuffled()), writer.maintain(), a.rescore(shuffled())]);
    }
    Object.assign(writer, { firstTier: 20_000 });
    expect((await repeats('40P01')) - before).toBe(0);
  }, 60_000);
});

describe('maintenance', () => {
  test('is done by one of many, again a day later, and an hour after one that broke off', async () => {
    await app.database.query(
      `CREATE TABLE counted (at timestamptz DEFAULT now());
       CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF current_query() LIKE '%ts_stat%' THEN INSERT INTO counted DEFAULT VALUES; END IF; RETURN NULL; END $$;
       CREATE TRIGGER note AFTER UPDATE ON search_word FOR EACH STATEMENT EXECUTE FUNCTION note();
       UPDATE search_state SET maintain_at = now()`,
    );
    const counted = async () => (await app.database.query('SELECT FROM counted')).length;
    const nextIn = async () =>
      (
        await app.database.query<{ hours: number }>(
          'SELECT round(extract(epoch FROM maintain_at - now()) / 3600)::int AS hours FROM search_state',
        )
      )[0]?.hours;
    const { signal } = new AbortController();
    const some = () => Promise.all([...Array(3)].map(() => new IndexWriter(db).maintainWhenDue(signal)));
    await some();
    expect(await counted()).toBe(1);
    expect(await nextIn()).toBe(24);
    // Of a worker that was started since.
    await app.database.query(`UPDATE search_state SET maintain_at = maintain_at - interval '1 day'`);
    await updates.maintain(signal);
    expect(await counted()).toBe(2);
    await updates.maintain(signal);
    expect(await counted()).toBe(2);
    await app.database.query('UPDATE search_state SET maintain_at = now()');
    await updates.maintain(AbortSignal.abort());
    expect(await nextIn()).toBe(1);
    await app.database.query(
      'DROP TRIGGER note ON search_word; DROP FUNCTION note; DROP TABLE counted; UPDATE search_state SET maintain_at = now()',
    );
  });

  test('counts words, and forgets those that were in nothing for two nights', async () => {
    await writer.updateVideos([await video('Quoll quoll'), await video('Quoll')]);
    await app.database.query(`INSERT INTO search_word VALUES ('dodo', 3, '{}'), ('moa', 0, '{}')`);
    await writer.maintain();
    expect([await dfOf('quoll'), await dfOf('dodo'), await dfOf('moa')]).toEqual([2, 0, undefined]);
    // As one whose video came while they were counted.
    await app.database.query(`UPDATE search_word SET df = 0 WHERE word = 'quoll'`);
    await writer.maintain();
    expect([await dfOf('quoll'), await dfOf('dodo')]).toEqual([2, undefined]);
  });

  test('moves rows to where the line is now, in both tables', async () => {
    const few = Object.assign(new IndexWriter(db), { firstTier: 2 });
    await few.maintain();
    const first = () =>
      app.database.query(
        `SELECT (SELECT count(*)::int FROM video_search WHERE tier = 0) AS narrow,
                (SELECT count(*)::int FROM video_search s JOIN video_search_body b USING (id) WHERE s.tier = 0 AND b.tier = 0) AS body,
                (SELECT count(*)::int FROM video_search, search_state WHERE score >= tier_from) AS above`,
      );
    const [counts] = await first();
    expect(counts?.narrow).toBeGreaterThan(0);
    expect(counts).toEqual({ narrow: counts?.above, body: counts?.above, above: counts?.above });
    await writer.maintain();
    const all = (await app.database.query('SELECT FROM video_search')).length;
    expect(await first()).toEqual([{ narrow: all, body: all, above: all }]);
    expect(all).toBeGreaterThan(counts?.narrow as number);
  });

  test('drops what a reindex left that was killed a day ago', async () => {
    await app.database.query(
      `CREATE TABLE video_search_next (); CREATE TABLE video_search_body_next ();
       UPDATE search_state SET rebuild = gen_random_uuid(), rebuild_at = now() - interval '25 hours'`,
    );
    await writer.updateVideos([await video('Touched')]);
    await writer.maintain();
    expect(await nexts()).toEqual([]);
    expect(await app.database.query('SELECT FROM search_touched')).toEqual([]);
    expect(await app.database.query('SELECT FROM search_state WHERE rebuild IS NULL')).toHaveLength(1);
  });
});

describe('a new index', () => {
  test('has its tiers when its rows are made', async () => {
    for (let n = 0; n < 5; n++) await video(`Kookaburra ${n}`);
    // No two of them have one score.
    await app.database.query(
      `UPDATE video v SET listed_at = now() - n.place * interval '3 days' FROM (SELECT id, row_number() OVER () AS place FROM video) n WHERE n.id = v.id`,
    );
    await app.database.query('UPDATE search_state SET tier_from = -2147483648');
    await new Reindex(db, Object.assign(new IndexWriter(db), { firstTier: 2 })).run();
    // A row that was written again stands behind all the first ones.
    const [row] = await app.database.query<{ rows: number; places: number; first: number }>(
      `SELECT count(*)::int AS rows, max((ctid::text::point)[1])::int AS places, count(*) FILTER (WHERE tier = 0)::int AS first
       FROM video_search WHERE (ctid::text::point)[0] = 0`,
    );
    expect(row?.places).toBe(row?.rows);
    expect(row?.first).toBeGreaterThan(0);
    expect(row?.first).toBeLessThan(row?.rows as number);
  });

  test('takes longer than any statement may, and so does counting', async () => {
    await writer.updateVideos([await video('Slow loris')]);
    const [least] = await app.database.query<{ id: number }>('SELECT min(id) AS id FROM video_search');
    await app.database.query(
      `CREATE FUNCTION slow(id bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
         IF id = 0 AND (current_query() LIKE '%ts_stat%' OR current_query() LIKE 'CREATE INDEX%_next%') THEN PERFORM pg_sleep(2.2); END IF;
         RETURN id; END $$;
       CREATE FUNCTION slow_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM slow(0); RETURN NULL; END $$;
       CREATE TRIGGER slow AFTER UPDATE ON search_word FOR EACH STATEMENT EXECUTE FUNCTION slow_count();
       CREATE INDEX ix_video_search_slow ON video_search (slow(id - ${least?.id}))`,
    );
    const source = new DataSource({
      ...{ type: 'postgres', url: app.database.url, poolSize: 3, installExtensions: false, uuidExtension: 'pgcrypto' },
      extra: { statement_timeout: 2_000 },
    });
    await source.initialize();
    try {
      const short = new Database(source);
      expect(await new Reindex(short, new IndexWriter(short)).run()).toMatchObject({ uncounted: null });
    } finally {
      await source.destroy();
      await app.database.query(
        'DROP TRIGGER slow ON search_word; DROP FUNCTION slow_count; DROP FUNCTION slow CASCADE',
      );
    }
  }, 30_000);

  test('waits for who reads the one in use, as long as a backup does', async () => {
    const before = await repeats('55P03');
    let isOver = false;
    let made: Promise<unknown> = Promise.resolve();
    await held('LOCK TABLE video_search_body IN ACCESS SHARE MODE', async () => {
      made = new Reindex(db, writer).run().finally(() => {
        isOver = true;
      });
      // More often than one transaction is repeated.
      await until(
        async () => (await repeats('55P03')) - before,
        (count) => isOver || count > 8,
      );
      expect(isOver).toBe(false);
    });
    expect(await made).toMatchObject({ uncounted: null });
    expect(await nexts()).toEqual([]);
  }, 60_000);

  test('is there though its words cannot be counted, and a worker does that', async () => {
    const broken = Object.assign(new IndexWriter(db), { maintain: () => Promise.reject(new Error('cut')) });
    await app.database.query(`UPDATE search_state SET maintain_at = now() + interval '1 day'`);
    expect((await new Reindex(db, broken).run()).uncounted?.message).toBe('cut');
    expect(await app.database.query('SELECT FROM search_state WHERE maintain_at <= now()')).toHaveLength(1);
  });

  test('leaves nothing where it is given up, and the next one is made', async () => {
    const broken = new IndexWriter(db);
    broken.write = () => Promise.reject(new Error('cut'));
    await expect(new Reindex(db, broken).run()).rejects.toThrow('cut');
    expect(await nexts()).toEqual([]);
    expect(await app.database.query('SELECT FROM search_state WHERE rebuild IS NULL')).toHaveLength(1);
    expect(await new Reindex(db, writer).run()).toMatchObject({ uncounted: null });
  });
});
