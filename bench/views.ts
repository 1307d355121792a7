import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Burst } from './burst.js';
import type { Place, Server } from './place.js';
import { table } from './report.js';

const VIDEOS = 10;
const WARM_UP = 2_000;
/** The peer's figures are a view's, and hardly change with their number: it gets as many at most. */
const PEER_VIEWS = 50_000;
/** For the last count to come into the database. */
const SETTLE_MS = 30_000;
/** Processes of the database that rest tell what they did after ten seconds. */
const STATISTICS_MS = 11_000;
/** What is said again after the kill would count again in another hour. */
const HOUR_MARGIN_S = 40;

export interface ViewsMeasured {
  sluice: BurstMeasured & { killedAt: number; awayMs: number; lastMs: number; redisBytes: number };
  peer: BurstMeasured;
}
interface BurstMeasured {
  views: number;
  /** Said again, since the answer was none. */
  again: number;
  /** The time that nobody answered left out. */
  seconds: number;
  /** Of each video. */
  counts: number[];
  isExact: boolean;
  /** Rows that were inserted, changed or deleted, in all tables. */
  writes: number;
}

export async function measureViews(place: Place, { views }: { views: number }): Promise<ViewsMeasured> {
  const videos = await seed(place);
  const sluice = await ofSluice(place, videos, views);
  const peer = await ofPeer(place, videos, Math.min(views, PEER_VIEWS));
  return { sluice, peer };
}

async function ofSluice(place: Place, videos: readonly string[], views: number): Promise<ViewsMeasured['sluice']> {
  const start = () => place.start('dist/main.js', '/readyz', { TRUST_PROXY: '1', LOG_LEVEL: 'info' });
  let server: Server | null = await start();
  const url = () => server?.url ?? null;
  const counts = () =>
    countsOf(place, videos, 'SELECT video_id AS id, view_count::float8 AS views FROM video_popularity');
  // All are published by the server itself.
  while ((await rowsOf(place, 'SELECT FROM video_popularity')).length < VIDEOS) await pause(100);
  await new Burst(url, videos, 0, WARM_UP).run();
  while (sum(await counts()) < WARM_UP) await pause(100);
  const redis = new Redis(place.redisUrl);
  const memory = async () => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
  const [memoryBefore, writesBefore] = [await memory(), await writesOf(place)];

  const burst = new Burst(url, videos, WARM_UP, WARM_UP + views);
  const began = performance.now();
  const running = burst.run();
  while (burst.taken < views / 2) await pause(5);
  while ((Date.now() / 1000) % 3600 > 3600 - HOUR_MARGIN_S) await pause(1_000);
  const killedAt = burst.taken;
  const killed = performance.now();
  process.kill((server as Server).pid, 'SIGKILL');
  server = null;
  server = await start();
  const awayMs = performance.now() - killed;
  await running;
  const seconds = (performance.now() - began - awayMs) / 1000;
  const answered = performance.now();
  while (sum(await counts()) < WARM_UP + views && performance.now() - answered < SETTLE_MS) await pause(20);
  const lastMs = performance.now() - answered;
  // What would be counted twice would come by now.
  await pause(STATISTICS_MS);
  const found = (await counts()).map((count) => count - WARM_UP / VIDEOS);
  const redisBytes = (await memory()) - memoryBefore;
  redis.disconnect();
  const writes = (await writesOf(place)) - writesBefore;
  process.kill(server.pid, 'SIGTERM');
  const measured = { views, again: burst.again, seconds, counts: found, isExact: exact(found, views), writes };
  return { ...measured, killedAt, awayMs, lastMs, redisBytes };
}

async function ofPeer(place: Place, videos: readonly string[], views: number): Promise<BurstMeasured> {
  const { url } = await place.start('bench/peers/row-views.ts', '/livez');
  const counts = () => countsOf(place, videos, 'SELECT video_id AS id, views::float8 AS views FROM peer_view_count');
  await new Burst(() => url, videos, 0, WARM_UP).run();
  await pause(STATISTICS_MS);
  const before = await writesOf(place);
  const burst = new Burst(() => url, videos, WARM_UP, WARM_UP + views);
  const began = performance.now();
  await burst.run();
  const seconds = (performance.now() - began) / 1000;
  await pause(STATISTICS_MS);
  const found = (await counts()).map((count) => count - WARM_UP / VIDEOS);
  const writes = (await writesOf(place)) - before;
  return { views, again: burst.again, seconds, counts: found, isExact: exact(found, views), writes };
}

const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0);
/** Viewers take the videos in turn. */
const exact = (counts: readonly number[], views: number) =>
  counts.every((count, n) => count === Math.floor(views / VIDEOS) + (n < views % VIDEOS ? 1 : 0));

async function countsOf(place: Place, videos: readonly string[], query: string): Promise<number[]> {
  const rows = await rowsOf<{ id: string; views: number }>(place, query);
  return videos.map((video) => rows.find(({ id }) => id === video)?.views ?? 0);
}

async function rowsOf<Row extends object>(place: Place, query: string): Promise<Row[]> {
  return (await place.db.query<Row>(query)).rows;
}

async function writesOf(place: Place): Promise<number> {
  const [row] = await rowsOf<{ writes: number }>(
    place,
    'SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::float8 AS writes FROM pg_stat_user_tables',
  );
  return row?.writes ?? 0;
}

async function seed(place: Place): Promise<string[]> {
  const rows = await rowsOf<{ id: string }>(
    place,
    `WITH u AS (INSERT INTO app_user (email, email_key, display_name, password_hash)
                VALUES ('ada@example.org', 'ada@example.org', 'Ada', 'none') RETURNING id),
          c AS (INSERT INTO channel (handle, handle_key, name) VALUES ('ada', 'ada', 'Ada films') RETURNING id)
     INSERT INTO video (channel_id, owner_id, title, visibility, state, stage, verified_at, published_at)
     SELECT c.id, u.id, 'Film ' || n, 'PUBLIC', 'READY', 'DONE', now(), now() FROM c, u, generate_series(1, ${VIDEOS}) n RETURNING id`,
  );
  return rows.map(({ id }) => id);
}

export function viewsTable({ sluice, peer }: ViewsMeasured): string {
  const line = (name: string, { views, again, seconds, isExact, writes }: BurstMeasured) => [
    ...[name, String(views), String(again), seconds.toFixed(1), (views / seconds).toFixed(0)],
    ...[isExact ? 'yes' : 'NO', String(writes), (writes / views).toFixed(4)],
  ];
  return [
    table(
      ['server', 'views', 'said again', 'seconds', 'views/s', 'exact', 'rows written', 'rows a view'],
      [line('Sluice', sluice), line('a row a view', peer)],
    ),
    '',
    `Killed after ${sluice.killedAt} views, away for ${(sluice.awayMs / 1000).toFixed(1)} s; the last count stood in the database ${(sluice.lastMs / 1000).toFixed(1)} s after the last answer. Redis: ${(sluice.redisBytes / sluice.views).toFixed(0)} bytes a viewer.`,
    `Counts of the ten videos: ${sluice.counts.join(', ')}.`,
  ].join('\n');
}
