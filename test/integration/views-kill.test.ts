import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import {
  channelOf,
  person,
  spawnServer,
  startApp,
  type TestApp,
  type TestRedis,
  type TestServer,
  testRedis,
  until,
  videoIn,
} from '../support/index.js';

const FILMS = 3;
const VIEWERS = 1_000;
const AT_ONCE = 40;

let redis: TestRedis;
let app: TestApp;
let server: TestServer;
let films: string[];

beforeAll(async () => {
  redis = await testRedis();
  // It brings nothing into the database: that is for the one that is killed.
  app = await startApp({ role: 'api', redisUrl: redis.url });
  server = await spawnServer({
    env: {
      ...{ DATABASE_URL: app.database.url, REDIS_URL: redis.url, REDIS_PREFIX: app.config.redisPrefix },
      ...{ TRUST_PROXY: '1', LOG_LEVEL: 'silent' },
    },
  });
});
afterAll(async () => {
  await server.remove();
  await app.stop();
  await redis.stop();
});
beforeEach(async () => {
  const ada = await person(app);
  const channel = await channelOf(app, ada);
  films = await Promise.all(Array.from({ length: FILMS }, () => videoIn(app, channel, ada)));
  // All of a test is in one hour, also where the machine is slow.
  await until(
    async () => (Date.now() / 1000) % 3600,
    (second) => second < 3_300,
    310,
  );
}, 360_000);

/** Says it until it is answered, as players do. */
async function view(film: string, viewer: number): Promise<void> {
  const address = `10.${viewer >> 16}.${(viewer >> 8) & 255}.${viewer & 255}`;
  for (;;) {
    const status = await fetch(`${server.url}/views/${film}`, {
      method: 'POST',
      headers: { 'x-forwarded-for': address },
    }).then(
      async (response) => {
        await response.arrayBuffer();
        return response.status;
      },
      () => 0,
    );
    if (status === 204) return;
    expect([0, 503]).toContain(status);
    await pause(20);
  }
}

const views = async () => {
  const rows = await app.database.query<{ id: string; views: number; buckets: number }>(
    `SELECT video_id AS id, view_count::float8 AS views,
            (SELECT sum(count) FROM view_bucket b WHERE b.video_id = p.video_id)::float8 AS buckets FROM video_popularity p`,
  );
  return films.map((film) => rows.find(({ id }) => id === film)).map((row) => [row?.views ?? 0, row?.buckets ?? 0]);
};
const all = (counts: number[][]) => counts.every(([views]) => views === VIEWERS);

it('a burst is counted exactly, though the process is killed in its midst, and again', async () => {
  const todo = films.flatMap((film) => Array.from({ length: VIEWERS }, (_, viewer) => ({ film, viewer })));
  // Some say it twice, whether they were answered or not.
  todo.push(...todo.filter((_, n) => n % 5 === 0));
  todo.sort(() => Math.random() - 0.5);
  const total = todo.length;
  const clients = Array.from({ length: AT_ONCE }, async () => {
    for (let next = todo.pop(); next; next = todo.pop()) await view(next.film, next.viewer);
  });
  for (const share of [0.8, 0.5, 0.2]) {
    await until(
      async () => todo.length,
      (left) => left < share * total,
      60,
    );
    await server.kill();
    await server.start();
  }
  await Promise.all(clients);
  await until(views, all, 60);
  await server.kill();
  await server.start();
  // Twice all that waits was brought since.
  const keys = new Redis(redis.url, { keyPrefix: `${app.config.redisPrefix}views:` });
  const flushed = async () => Number(await keys.get('flushed'));
  const before = await flushed();
  await until(flushed, (now) => now >= before + 2, 100);
  keys.disconnect();
  expect(await views()).toEqual(films.map(() => [VIEWERS, VIEWERS]));
}, 300_000);

it('what was in the database before the process was killed, and Redis not told, counts once', async () => {
  const keys = new Redis(redis.url, { keyPrefix: `${app.config.redisPrefix}views:` });
  try {
    const [film] = films as [string];
    await view(film, 1);
    // Redis answers whoever reads, and nobody who writes.
    await keys.client('PAUSE', 60_000, 'WRITE');
    await until(views, ([counts]) => counts?.[0] === 1, 20);
    await server.kill();
    expect(await keys.hlen('dirty')).toBe(1);
    await keys.client('UNPAUSE');
    await server.start();
    await view(film, 1);
    await view(film, 2);
    await until(views, ([counts]) => counts?.[0] === 2, 20);
    await until(
      () => keys.hlen('dirty'),
      (length) => length === 0,
      20,
    );
    expect((await views())[0]).toEqual([2, 2]);
  } finally {
    await keys.client('UNPAUSE');
    keys.disconnect();
  }
}, 120_000);

it('what was not yet in the database when the process was killed comes there', async () => {
  const other = new pg.Client(app.database.url);
  await other.connect();
  try {
    const [film] = films as [string];
    await view(film, 1);
    await until(views, ([counts]) => counts?.[0] === 1, 20);
    await other.query('BEGIN');
    await other.query('SELECT FROM video_popularity WHERE video_id = $1 FOR UPDATE', [film]);
    await view(film, 2);
    await until(
      () =>
        app.database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%view_bucket%'`,
        ),
      (waiting) => waiting.length > 0,
      20,
    );
    await server.kill();
    await other.query('COMMIT');
    await server.start();
    await until(views, ([counts]) => counts?.[0] === 2, 20);
    expect((await views())[0]).toEqual([2, 2]);
  } finally {
    await other.end();
  }
}, 120_000);
