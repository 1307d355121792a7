import pg from 'pg';
import '../../src/common/database/index.js';
import type { Sql } from '../../src/common/database/index.js';
import { parseMultirange } from '../../src/modules/uploads/byte-ranges.js';
import { runsOf } from '../../src/modules/uploads/merge-runs.js';
import * as ledger from '../../src/modules/uploads/upload-ledger.js';
import { type TestDatabase, testDatabase } from '../support/index.js';
import { brokenInvariants } from '../support/invariants.js';
import { randomFrom } from '../support/random.js';

/** The ledger's statements against each other on real connections: whatever the order, every byte counts once. */

const SIZE = 64;
const SESSIONS = 40;
let database: TestDatabase;
let pool: pg.Pool;
let sql: Sql;

beforeAll(async () => {
  database = await testDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 20 });
  sql = { query: async (text, values) => (await pool.query(text, values as unknown[])).rows };
  await database.query(
    `INSERT INTO app_user (email, email_key, display_name, password_hash) VALUES ('a', 'a', 'a', '')`,
  );
  await database.query(`INSERT INTO channel (handle, handle_key, name) VALUES ('a', 'a', 'a')`);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

async function openSession(): Promise<string> {
  const [row] = await database.query<{ id: string }>(
    `WITH v AS (INSERT INTO video (channel_id, owner_id, title) SELECT c.id, u.id, 'a' FROM channel c, app_user u RETURNING *),
          u AS (UPDATE app_user SET used_bytes = used_bytes + $1)
     INSERT INTO upload_session (owner_id, channel_id, video_id, file_name, size_bytes, idempotency_key, input_hash)
     SELECT owner_id, channel_id, id, 'a', $1, id::text, '' FROM v RETURNING id`,
    [SIZE],
  );
  return row?.id as string;
}

/** Ranges that overlap at will, each with an object of its own, some twice in a batch or sent again later. */
async function batches(
  sessionId: string,
  writer: number,
  from: number,
  next: () => number,
): Promise<ledger.StoredChunk[][]> {
  const all = Array.from({ length: 8 }, (_, batch) =>
    Array.from({ length: 4 }, (_, index): ledger.StoredChunk => {
      // Those of one writer are neighbours that do not overlap, which can be merged.
      const start = writer === 2 ? batch * 8 + index * 2 : from + Math.floor(next() * (SIZE - from));
      const end = writer === 2 ? start + 2 : Math.min(SIZE, start + 1 + Math.floor(next() * 16));
      return {
        range: { start, end },
        key: `incoming/${sessionId}/${writer}-${batch}-${index}`,
        sha256: '00'.repeat(32),
      };
    }),
  );
  await sql.query(`INSERT INTO stored_object (key) SELECT unnest($1::text[])`, [all.flat().map((chunk) => chunk.key)]);
  return [...all, ...all.slice(0, 3)];
}

let merged = 0;

/** What the job does, without the bytes. @returns how many runs became one chunk */
async function mergeRuns(sessionId: string, name: string): Promise<number> {
  const rows = await sql.query<{ key: string; span: string }>(
    `SELECT object_key AS key, span::text FROM upload_chunk WHERE session_id = $1 AND covers = int8multirange(span) ORDER BY lower(span)`,
    [sessionId],
  );
  const runs = runsOf(
    rows.flatMap(({ key, span }) => parseMultirange(span).map((range) => ({ key, range }))),
    SIZE / 2,
    2,
  );
  let count = 0;
  for (const [index, run] of runs.entries()) {
    const key = `merged/${sessionId}/${name}-${index}`;
    await sql.query('INSERT INTO stored_object (key) VALUES ($1)', [key]);
    const range = { start: run[0]?.range.start as number, end: run.at(-1)?.range.end as number };
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      const tx: Sql = { query: async (text, values) => (await client.query(text, values as unknown[])).rows };
      const keys = run.map((chunk) => chunk.key);
      if (await ledger.merge(tx, sessionId, { range, key, sha256: '00'.repeat(32) }, keys)) count++;
      await client.query('COMMIT');
    } finally {
      client.release();
    }
  }
  return count;
}

async function race(seed: number): Promise<{ id: string; late: number }> {
  const next = randomFrom(seed);
  const id = await openSession();
  let ended = false;
  let late = 0;
  const write = async (writer: number) => {
    for (const batch of await batches(id, writer, seed % 2 ? SIZE - 8 : 0, next)) {
      const endedBefore = ended;
      const result = await ledger.commit(sql, id, batch);
      if (result && endedBefore) late++;
    }
  };
  const complete = async () => {
    for (let tries = 0; tries < 12; tries++) if ((await ledger.complete(sql, id, null)) !== null) ended = true;
  };
  const cancel = async () => {
    if (next() > 0.3) return;
    const rows = await sql.query(
      `UPDATE upload_session SET state = 'CANCELLED', epoch = epoch + 1 WHERE id = $1 AND state IN ('OPEN', 'COMPLETING') RETURNING id`,
      [id],
    );
    if (rows.length > 0) {
      ended = true;
      await sql.query('UPDATE app_user SET used_bytes = used_bytes - $1', [SIZE]);
    }
  };
  const discard = async () => {
    for (let tries = 0; tries < 6; tries++) {
      const start = Math.floor(next() * SIZE);
      await ledger.discard(sql, id, [{ start, end: start + 4 }]);
    }
  };
  const collect = async () => {
    for (let tries = 0; tries < 3; tries++) {
      await sql.query(
        `UPDATE stored_object SET state = 'DELETING' WHERE key IN
           (SELECT key FROM stored_object WHERE state = 'PENDING' AND key LIKE $1 LIMIT 2 FOR UPDATE SKIP LOCKED)`,
        [`incoming/${id}/%`],
      );
    }
  };
  let written = false;
  const merging = async (merger: number) => {
    for (let tries = 0; !written; tries++) merged += await mergeRuns(id, `${merger}-${tries}`);
  };
  const writing = Promise.all([write(2), write(0), write(1)]).finally(() => {
    written = true;
  });
  await Promise.all([writing, complete(), complete(), discard(), collect(), cancel(), merging(0), merging(1)]);
  return { id, late };
}

it('keeps every session right, whatever races', async () => {
  const outcomes: { id: string; late: number }[] = [];
  for (let seed = 0; seed < SESSIONS; seed += 4) {
    outcomes.push(...(await Promise.all([0, 1, 2, 3].map((offset) => race(seed + offset)))));
  }
  expect(outcomes.filter((outcome) => outcome.late > 0)).toEqual([]);
  expect(merged).toBeGreaterThan(0);
  const {
    'something unfinished has no job': _,
    'a kept object belongs to nothing': __,
    ...broken
  } = await brokenInvariants(database);
  expect(broken).toEqual({});
});

it('counts what was inserted, not what was asked for: a batch replayed after a discard adds nothing', async () => {
  const id = await openSession();
  const chunk = { range: { start: 0, end: 8 }, key: `incoming/${id}/a`, sha256: '00'.repeat(32) };
  await sql.query('INSERT INTO stored_object (key) VALUES ($1)', [chunk.key]);
  expect(await ledger.commit(sql, id, [chunk])).toEqual({
    covered: [chunk.range],
    contributing: [chunk.key],
    addedBytes: 8,
    reached: false,
  });
  expect(await ledger.discard(sql, id, [{ start: 7, end: 9 }])).toMatchObject({ any: true });
  expect(await ledger.commit(sql, id, [chunk])).toEqual({
    ...{ covered: [], contributing: [], addedBytes: 0, reached: false },
  });
});

it('lets one chunk of a batch give way to an earlier one, and cuts what overlaps', async () => {
  const id = await openSession();
  const chunks = ['a', 'b', 'c'].map((name, index) => ({
    range: [
      { start: 0, end: 8 },
      { start: 4, end: 12 },
      { start: 5, end: 7 },
    ][index] as { start: number; end: number },
    key: `incoming/${id}/${name}`,
    sha256: '00'.repeat(32),
  }));
  await sql.query('INSERT INTO stored_object (key) SELECT unnest($1::text[])', [chunks.map((chunk) => chunk.key)]);
  const result = await ledger.commit(sql, id, chunks);
  expect(result?.covered).toEqual([{ start: 0, end: 12 }]);
  expect(result?.contributing.sort()).toEqual([chunks[0]?.key, chunks[1]?.key]);
  expect(await ledger.parts(sql, id)).toEqual([
    { key: chunks[0]?.key, start: 0, end: 8 },
    { key: chunks[1]?.key, start: 4, end: 8 },
  ]);
});

it('merges only what is all still there, and counts as verified what all were', async () => {
  const id = await openSession();
  const chunks = [0, 8, 16].map((start) => ({
    ...{ range: { start, end: start + 8 }, key: `appended/${id}/${start}`, sha256: '00'.repeat(32) },
  }));
  const into = (name: string) => ({
    range: { start: 0, end: 24 },
    key: `merged/${id}/${name}`,
    sha256: '11'.repeat(32),
  });
  const keys = chunks.map(({ key }) => key);
  await sql.query('INSERT INTO stored_object (key) SELECT unnest($1::text[])', [
    [...keys, ...['a', 'b'].map((name) => into(name).key)],
  ]);
  for (const chunk of chunks) await ledger.commit(sql, id, [chunk], chunk.range.start !== 8);
  expect(await ledger.merge(sql, id, into('a'), [...keys, `appended/${id}/24`])).toBe(false);
  await ledger.discard(sql, id, [{ start: 20, end: 21 }]);
  expect(await ledger.merge(sql, id, into('a'), keys)).toBe(false);
  const rest = { ...into('b'), range: { start: 0, end: 16 } };
  expect(await ledger.merge(sql, id, { ...rest, range: { start: 0, end: 15 } }, keys.slice(0, 2))).toBe(false);
  expect(await ledger.merge(sql, id, rest, keys.slice(0, 2))).toBe(true);
  expect(
    await sql.query(
      `SELECT object_key, span::text, verified, encode(sha256, 'hex') AS sha256 FROM upload_chunk WHERE session_id = $1`,
      [id],
    ),
  ).toEqual([{ object_key: rest.key, span: '[0,16)', verified: false, sha256: '11'.repeat(32) }]);
  expect(await ledger.parts(sql, id)).toEqual([{ key: rest.key, start: 0, end: 16 }]);
});

it('lets a completion be ended and taken back by its own verdict alone, once', async () => {
  const id = await openSession();
  const chunk = { range: { start: 0, end: SIZE }, key: `incoming/${id}/a`, sha256: '00'.repeat(32) };
  const master = `masters/${id}/a`;
  await sql.query('INSERT INTO stored_object (key) VALUES ($1), ($2)', [chunk.key, master]);
  const finish = (epoch: number) => ledger.finish(sql, id, epoch, master);
  const reopen = (epoch: number) => ledger.reopen(sql, id, epoch, { code: 'FILE_DIGEST_MISMATCH', message: '' });
  await ledger.commit(sql, id, [chunk]);
  const first = (await ledger.complete(sql, id, null)) as number;
  expect(await reopen(first)).toBe(true);
  expect([await finish(first), await reopen(first)]).toEqual([false, false]);
  // A worker that slept since then knows only the first one.
  const second = (await ledger.complete(sql, id, null)) as number;
  expect([await finish(first), await reopen(first)]).toEqual([false, false]);
  expect(await finish(second)).toBe(true);
  expect([await finish(second), await reopen(second)]).toEqual([false, false]);
  expect(await sql.query('SELECT state, master_key FROM upload_session WHERE id = $1', [id])).toEqual([
    { state: 'COMPLETED', master_key: master },
  ]);
});
