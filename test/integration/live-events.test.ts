import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { DataSource } from 'typeorm';
import type { Config } from '../../src/common/config/index.js';
import { Database } from '../../src/common/database/index.js';
import { NotFound } from '../../src/common/errors/index.js';
import { type EventStream, Live, LiveEvents } from '../../src/common/live/index.js';
import { type TestDatabase, testDatabase } from '../support/database.js';
import { sharedRedisUrl } from '../support/redis.js';

interface Said {
  n: number;
}
type Heard = { id: string; cursor: string; n: number };

let database: TestDatabase;
let source: DataSource;
let db: Database;
let live: Live;
let events: LiveEvents;
const clients: pg.Client[] = [];
const hubs: LiveEvents[] = [];
let topics = 0;
const newTopic = () => `test:${++topics}`;
const config = { liveEventDays: 3, redisUrl: sharedRedisUrl(), redisPrefix: `test-${randomUUID()}:` } as Config;

beforeAll(async () => {
  database = await testDatabase();
  source = await new DataSource({ type: 'postgres', url: database.url, poolSize: 10 }).initialize();
  db = new Database(source);
  live = new Live(config);
  events = new LiveEvents(db, live, config);
});
afterEach(async () => {
  for (const hub of hubs.splice(0)) hub.onApplicationShutdown();
  for (const client of clients.splice(0)) await client.end();
});
afterAll(async () => {
  events.onApplicationShutdown();
  live.onApplicationShutdown();
  await source.destroy();
  await database.drop();
});

const say = (topic: string, n: number) => db.tx((tx) => events.append(tx, topic, { n }));

/** What another process would have: a tail and a memory of its own. */
function anotherHub(): LiveEvents {
  const hub = new LiveEvents(db, live, config);
  hubs.push(hub);
  return hub;
}

async function connect(url = database.url): Promise<pg.Client> {
  const client = new pg.Client(url);
  await client.connect();
  clients.push(client);
  return client;
}
interface Tail {
  running: unknown;
  quietMs: number;
  stop(): void;
}
const tailOf = (hub: LiveEvents) => (hub as unknown as { tail: Tail }).tail;
/** No tick tells of it. */
const insert = (client: pg.Client, topic: string, n: number) =>
  client.query('INSERT INTO live_event (topic, body) VALUES ($1, $2)', [topic, { n }]);

/** Where a stream begins now. */
async function begin(topic: string, hub = events): Promise<{ stream: EventStream<Said>; cursor: string }> {
  const stream = await hub.stream<Said>({ topic });
  const { value } = await stream.next();
  if (!value || value.id !== null) throw new Error('A stream without a cursor first says where it begins.');
  return { stream, cursor: value.cursor };
}

/** Null at the end. */
async function hear(stream: EventStream<Said>): Promise<Heard | null> {
  for (;;) {
    const { value, done } = await stream.next();
    if (done) return null;
    if (value.id !== null) return { id: value.id, cursor: value.cursor, n: value.body.n };
  }
}
async function hearAll(stream: EventStream<Said>, count: number): Promise<Heard[]> {
  const heard: Heard[] = [];
  while (heard.length < count) {
    const one = await hear(stream);
    if (!one) throw new Error('The stream has ended.');
    if (!heard.some(({ id }) => id === one.id)) heard.push(one);
  }
  return heard;
}
const numbers = (heard: readonly Heard[]) => heard.map(({ n }) => n);
/** Nothing is heard: what is said last comes first. */
async function expectOnly(stream: EventStream<Said>, topic: string, n: number): Promise<void> {
  await say(topic, n);
  expect((await hear(stream))?.n).toBe(n);
}

describe('a stream', () => {
  it('tells what happens, in its topic alone', async () => {
    const topic = newTopic();
    await say(topic, 0);
    const { stream } = await begin(topic);
    await say(newTopic(), 1);
    for (const n of [2, 3, 4]) await say(topic, n);
    expect(numbers(await hearAll(stream, 3))).toEqual([2, 3, 4]);
    await stream.return();
    expect(await hear(stream)).toBeNull();
  });

  it('goes on behind each cursor, in memory and from the table alike', async () => {
    const topic = newTopic();
    const { stream, cursor } = await begin(topic);
    for (let n = 0; n < 10; n++) await say(topic, n);
    const heard = await hearAll(stream, 10);
    for (const hub of [events, anotherHub(), anotherHub()]) {
      for (const after of [cursor, ...heard.map((one) => one.cursor)]) {
        const again = await hub.stream<Said>({ topic, after });
        const from = after === cursor ? 0 : heard.findIndex((one) => one.cursor === after) + 1;
        expect(numbers(await hearAll(again, 10 - from))).toEqual(numbers(heard).slice(from));
        await expectOnly(again, `${topic}`, 10);
        await again.return();
        await db.query('DELETE FROM live_event WHERE topic = $1 AND body = $2', [topic, { n: 10 }]);
        // Out of the memory, too.
        tailOf(hub).stop();
      }
    }
  });

  it('reads on where more was missed than is kept in memory', async () => {
    const topic = newTopic();
    const { stream, cursor } = await begin(topic);
    await db.query(
      `INSERT INTO live_event (topic, body) SELECT $1, jsonb_build_object('n', n) FROM generate_series(1, 700) n`,
      [topic],
    );
    for (let n = 701; n <= 1_300; n += 10) {
      const ten = Array.from({ length: 10 }, (_, index) => n + index);
      await db.tx(async (tx) => {
        for (const each of ten) await events.append(tx, topic, { n: each });
      });
    }
    const all = Array.from({ length: 1_300 }, (_, index) => index + 1);
    expect(numbers(await hearAll(stream, 1_300))).toEqual(all);
    for (const hub of [events, anotherHub()]) {
      const again = await hub.stream<Said>({ topic, after: cursor });
      const heard = await hearAll(again, 1_300);
      expect(numbers(heard)).toEqual(all);
      // Cut off in the middle of it.
      const rest = await hub.stream<Said>({ topic, after: heard[1_099]?.cursor });
      expect(numbers(await hearAll(rest, 200))).toEqual(all.slice(1_100));
    }
  });

  it('does not wait for a reader that does not read', async () => {
    const topic = newTopic();
    const { stream: slow } = await begin(topic);
    const { stream: quick } = await begin(topic);
    for (let from = 0; from < 600; from += 50) {
      await db.query(
        `INSERT INTO live_event (topic, body) SELECT $1, jsonb_build_object('n', n) FROM generate_series($2::int, $2::int + 49) n`,
        [topic, from],
      );
      expect(numbers(await hearAll(quick, 50))[0]).toBe(from);
    }
    expect(numbers(await hearAll(slow, 600))).toHaveLength(600);
  });
});

const xmax = (cursor = '') => Number(Buffer.from(cursor, 'base64url').toString().split(/[.:]/)[2]);

describe('a stream of one reader', () => {
  const FOR = [{ to: ['b'] }, { to: ['a', 'c'] }, { lo: 'a', hi: 'c' }, { lo: 'c', hi: 'd' }, {}, { to: [] }];
  const sayFor = (topic: string, n: number) =>
    db.tx(async (tx) => {
      for (const [index, recipients] of FOR.entries()) {
        await events.append(tx, topic, { n: n + index, ...recipients });
      }
    });

  it('leaves out what is for others, live and missed', async () => {
    const topic = newTopic();
    const stream = await events.stream<Said>({ topic, reader: 'b' });
    const cursor = (await stream.next()).value?.cursor;
    await sayFor(topic, 0);
    expect(numbers(await hearAll(stream, 3))).toEqual([0, 2, 4]);
    for (const hub of [events, anotherHub()]) {
      const again = await hub.stream<Said>({ topic, reader: 'b', after: cursor });
      expect(numbers(await hearAll(again, 3))).toEqual([0, 2, 4]);
      await again.return();
    }
    await sayFor(topic, 10);
    expect(numbers(await hearAll(stream, 3))).toEqual([10, 12, 14]);
  });

  it('says where it stands while only others are told, so that they are not looked through again', async () => {
    const topic = newTopic();
    const hub = anotherHub();
    tailOf(hub).quietMs = 100;
    const stream = await hub.stream<Said>({ topic, reader: 'x' });
    await stream.next();
    await say(newTopic(), 0);
    const [now] = await db.query<{ xmax: number }>(
      'SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8 AS xmax',
    );
    for (let at = 0; at < (now?.xmax as number); ) {
      const { value } = await stream.next();
      expect(value).toMatchObject({ id: null, body: null });
      at = xmax(value?.cursor);
    }
    await stream.return();
  });

  it('says where it stands at once when all that was missed was for others', async () => {
    const topic = newTopic();
    const { cursor } = await begin(topic);
    await db.tx((tx) => events.append(tx, topic, { n: 0, to: ['b'] }));
    const begun = performance.now();
    const { value } = await (await anotherHub().stream<Said>({ topic, reader: 'x', after: cursor })).next();
    // What is said now and then comes after 30 s at the soonest.
    expect(performance.now() - begun).toBeLessThan(20_000);
    expect(value).toMatchObject({ id: null, body: null });
    expect(xmax(value?.cursor)).toBeGreaterThan(xmax(cursor));
  });
});

it('what is looked for rests for longer than each look takes', async () => {
  const looks: { from: number; to: number }[] = [];
  const slow = Object.assign(Object.create(db), {
    query: async (sql: string, parameters: unknown[]) => {
      const from = performance.now();
      await pause(50);
      const rows = await db.query(sql, parameters);
      looks.push({ from, to: performance.now() });
      return rows;
    },
  });
  const hub = new LiveEvents(slow, live, config);
  hubs.push(hub);
  await begin(newTopic(), hub);
  while (looks.length < 6) await say(newTopic(), 0);
  // The first is where it begins.
  for (const [index, { from, to }] of looks.slice(1, -1).entries()) {
    const rested = (looks[index + 2]?.from as number) - to;
    expect(rested).toBeGreaterThan(Math.min(450, 3 * (to - from)));
  }
});

it('an event that cannot be told ends the streams, and each goes on at its cursor', async () => {
  const [odd, topic] = [newTopic(), newTopic()];
  const hub = anotherHub();
  await hub.stream({ topic: odd, reader: 'b' });
  const { stream, cursor } = await begin(topic, hub);
  await db.tx(async (tx) => {
    await events.append(tx, odd, { n: 0, to: 5 });
    await events.append(tx, topic, { n: 1 });
  });
  expect(await hear(stream)).toBeNull();
  expect((await hear(await hub.stream<Said>({ topic, after: cursor })))?.n).toBe(1);
});

it('a page of what was missed reads no more than the page, of one topic or two', async () => {
  const names = [newTopic(), newTopic()];
  const { cursor } = await begin(names[0] as string);
  // In many transactions, as they come.
  await db.query(`DO $$ BEGIN FOR n IN 1..300 LOOP
      INSERT INTO live_event (topic, body)
      SELECT unnest(ARRAY['${names.join("','")}', 'other']), '{}' FROM generate_series(1, 33);
      COMMIT;
    END LOOP; END $$`);
  await db.query('ANALYZE live_event');
  const asked: [string, unknown[]][] = [];
  const spy = Object.assign(Object.create(db), {
    query: (sql: string, parameters: unknown[]) => {
      asked.push([sql, parameters]);
      return db.query(sql, parameters);
    },
  });
  const hub = new LiveEvents(spy, live, config);
  hubs.push(hub);
  for (const topic of [names.slice(0, 1), names]) {
    const stream = await hub.stream<Said>({ topic, after: cursor });
    for (let n = 0; n < 1_200; n++) await stream.next();
    await stream.return();
  }
  const replays = asked.filter(([sql]) => sql.includes('($4::text[])'));
  expect(replays.length).toBeGreaterThan(5);
  for (const [sql, parameters] of replays) {
    const [row] = (await db.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, parameters)) as unknown as [Explained];
    const scans = scansIn(row['QUERY PLAN'][0].Plan);
    const expected = (parameters[3] as string[]).map(() => 'ix_live_event_topic');
    expect(scans.map((scan) => scan['Index Name'])).toEqual(expected);
    for (const scan of scans) expect(scan['Actual Rows']).toBeLessThanOrEqual(501);
  }
});

interface Explained {
  'QUERY PLAN': [{ Plan: PlanNode }];
}
interface PlanNode {
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  Plans?: PlanNode[];
}
const scansIn = (node: PlanNode): PlanNode[] => [
  ...(node['Relation Name'] === 'live_event' ? [node] : []),
  ...(node.Plans ?? []).flatMap(scansIn),
];

describe('transactions that commit in another order than they begin', () => {
  it('are told as they come to light, and none is skipped', async () => {
    const topic = newTopic();
    const { stream, cursor } = await begin(topic);
    const first = await connect();
    const second = await connect();
    const third = await connect();
    for (const [n, client] of [first, second, third].entries()) {
      await client.query('BEGIN');
      await insert(client, topic, n);
    }
    await third.query('COMMIT');
    const late = await hear(stream);
    expect(late?.n).toBe(2);
    await second.query('COMMIT');
    const middle = await hear(stream);
    expect(middle?.n).toBe(1);
    await first.query('COMMIT');
    expect((await hear(stream))?.n).toBe(0);

    for (const hub of [events, anotherHub()]) {
      const from = async (after: string | undefined, count: number) =>
        numbers(await hearAll(await hub.stream<Said>({ topic, after }), count)).toSorted();
      expect(await from(cursor, 3)).toEqual([0, 1, 2]);
      expect(await from(late?.cursor, 2)).toEqual([0, 1]);
      expect(await from(middle?.cursor, 1)).toEqual([0]);
    }
  });

  it('wait for no long transaction, in this or another database', async () => {
    const other = await testDatabase();
    const long = [await connect(), await connect(other.url)];
    for (const client of long) {
      await client.query('BEGIN');
      await client.query('SELECT pg_current_xact_id()');
    }
    const topic = newTopic();
    const { stream, cursor } = await begin(topic);
    for (let n = 0; n < 5; n++) {
      await say(topic, n);
      expect((await hear(stream))?.n).toBe(n);
    }
    const again = await anotherHub().stream<Said>({ topic, after: cursor });
    expect(numbers(await hearAll(again, 5))).toEqual([0, 1, 2, 3, 4]);
    for (const client of long) await client.query('ROLLBACK');
    await clients.pop()?.end();
    await other.drop();
  });

  it('reach every reader once, however often it is cut off', async () => {
    const topic = newTopic();
    const writers = 12;
    const each = 25;
    const { cursor } = await begin(topic);
    const foreign = await connect();
    await foreign.query('BEGIN');
    await foreign.query('SELECT pg_current_xact_id()');

    const readers = Array.from({ length: 16 }, async (_, index) => {
      const hub = index % 2 === 0 ? events : (hubs[0] ?? anotherHub());
      const heard = new Map<string, number>();
      let after = cursor;
      let repeats = 0;
      while (heard.size < writers * each) {
        const stream = await hub.stream<Said>({ topic, after });
        for (let left = 1 + Math.floor(Math.random() * 40); left > 0 && heard.size < writers * each; left--) {
          const one = await hear(stream);
          if (!one) break;
          if (heard.has(one.id)) repeats++;
          heard.set(one.id, one.n);
          after = one.cursor;
        }
        await stream.return();
      }
      return { heard, repeats };
    });
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const client = await connect();
        for (let n = 0; n < each; n++) {
          await client.query('BEGIN');
          await insert(client, topic, writer * each + n);
          await client.query('SELECT pg_sleep($1)', [Math.random() * 0.02]);
          // One in ten never happened.
          if (Math.random() < 0.1) {
            await client.query('ROLLBACK');
            n--;
          } else await client.query('COMMIT');
        }
      }),
    );
    await foreign.query('COMMIT');
    const all = Array.from({ length: writers * each }, (_, n) => n);
    for (const { heard, repeats } of await Promise.all(readers)) {
      expect([...heard.values()].toSorted((a, b) => a - b)).toEqual(all);
      // By the batch, at most: a cursor within one is exact up to the transaction.
      expect(repeats).toBeLessThan(writers * each);
    }
  });
});

describe('a cursor', () => {
  it.each([
    '',
    'x',
    'x.10:10:',
    '10:10:',
    `${'x'.repeat(20_000)}`,
  ])('is refused when it is none (%#)', async (after) => {
    await expect(events.stream({ topic: newTopic(), after })).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
  });

  it('ends with the era of the database, and so do the streams', async () => {
    const topic = newTopic();
    const { stream, cursor } = await begin(topic);
    await db.query('UPDATE live_era SET id = gen_random_uuid()');
    expect(await hear(stream)).toBeNull();
    await expect(events.stream({ topic, after: cursor })).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
    const { stream: next } = await begin(topic);
    await expectOnly(next, topic, 1);
  });

  it('ends when something after it has been swept, and not before', async () => {
    const topic = newTopic();
    const { stream, cursor: early } = await begin(topic);
    await say(topic, 1);
    const late = (await hear(stream))?.cursor;
    await say(topic, 2);
    await db.query(
      `UPDATE live_event SET at = at - interval '4 days' WHERE xid <= (SELECT xid FROM live_event WHERE topic = $1 ORDER BY id LIMIT 1)`,
      [topic],
    );
    const hub = anotherHub();
    await hub.sweep();
    expect(await db.query('SELECT body FROM live_event WHERE topic = $1', [topic])).toEqual([{ body: { n: 2 } }]);
    const expired = await hub.stream<Said>({ topic, after: early });
    await expect(expired.next()).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
    expect(await hear(expired)).toBeNull();
    expect((await hear(await hub.stream<Said>({ topic, after: late })))?.n).toBe(2);
    // What is still in memory is still told.
    expect(numbers(await hearAll(await events.stream<Said>({ topic, after: early }), 2))).toEqual([1, 2]);
  });
});

describe('a database that came by other ways', () => {
  it('does not tell what another cluster had, and forgets it', async () => {
    const topic = newTopic();
    const { stream, cursor } = await begin(topic);
    await db.query(`INSERT INTO live_event (topic, xid, body) VALUES ($1, '90000000000', '{"n": 7}')`, [topic]);
    await db.query(`UPDATE live_era SET swept = '80000000000'`);
    await expectOnly(stream, topic, 1);
    const again = await anotherHub().stream<Said>({ topic, after: cursor });
    expect((await hear(again))?.n).toBe(1);
    await events.sweep();
    expect(await db.query('SELECT body FROM live_event WHERE topic = $1', [topic])).toEqual([{ body: { n: 1 } }]);
    await db.query(`UPDATE live_era SET swept = '0'`);
  });

  it('takes no cursor of a future that it has not had', async () => {
    const topic = newTopic();
    const { cursor } = await begin(topic);
    const [era] = Buffer.from(cursor, 'base64url').toString().split('.');
    const after = Buffer.from(`${era}.90000000000:90000000000:`).toString('base64url');
    await expect(events.stream({ topic, after })).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' });
  });
});

it('a stream that is opened while the process stops ends at once, and nothing is read for it', async () => {
  const hub = anotherHub();
  const { stream } = await begin(newTopic(), hub);
  hub.onApplicationShutdown();
  expect(await hear(stream)).toBeNull();
  expect((await (await hub.stream({ topic: newTopic(), after: null })).next()).value?.id ?? null).toBeNull();
  expect(tailOf(hub).running).toBeUndefined();
});

describe('who may read', () => {
  it('is asked at the beginning, and before anything that happens after a change', async () => {
    const topic = newTopic();
    const access = newTopic();
    let allowed = true;
    let asked = 0;
    const ask = async () => {
      asked++;
      if (!allowed) throw new NotFound('video');
    };
    const open = () => events.stream<Said>({ topic, access: { topic: access, ask } });
    const stream = await open();
    await stream.next();
    const idle = await open();
    await idle.next();
    const silence = idle.next();
    await say(topic, 1);
    expect((await hear(stream))?.n).toBe(1);
    await say(access, 0);
    await say(topic, 2);
    expect((await hear(stream))?.n).toBe(2);
    expect(asked).toBeGreaterThanOrEqual(4);

    allowed = false;
    await db.tx(async (tx) => {
      await events.append(tx, topic, { n: 3 });
      await events.append(tx, access, {});
    });
    await expect(stream.next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await silence).value).toMatchObject({ body: { n: 1 } });
    expect(await Promise.allSettled([idle.next()])).toMatchObject([{ reason: { code: 'NOT_FOUND' } }]);
    await expect(open()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('waits while nobody can tell', async () => {
    const topic = newTopic();
    const access = newTopic();
    let fails = 0;
    const ask = async () => {
      if (fails-- > 0) throw new Error('the database is away');
    };
    const stream = await events.stream<Said>({ topic, access: { topic: access, ask } });
    await stream.next();
    fails = 2;
    await say(access, 0);
    await say(topic, 1);
    const before = Date.now();
    expect((await hear(stream))?.n).toBe(1);
    expect(Date.now() - before).toBeGreaterThan(500);
  });
});

it('a stream needs no hints', async () => {
  const topic = newTopic();
  const { stream } = await begin(topic);
  const client = await connect();
  for (let n = 0; n < 4; n++) {
    await insert(client, topic, n);
    expect((await hear(stream))?.n).toBe(n);
  }
});
