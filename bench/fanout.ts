import { setTimeout as pause } from 'node:timers/promises';
import { ROWS_UP_TO } from '../src/modules/notifications/tell-followers.js';
import { type PageCost, Pages } from './pages.js';
import type { Place } from './place.js';
import { table } from './report.js';

const POLL_MS = 20;
const GIVE_UP_MS = 600_000;
const SEEDED_AT_ONCE = 100_000;

export interface FanoutMeasured {
  followers: number;
  /** One video of the channel that all follow: ms until the inbox of a follower shows it. */
  broadcastMs: number;
  /** Videos of channels that have as many followers as get rows, all at once. */
  rows: { channels: number; rows: number; firstMs: number; lastMs: number; perSecond: number };
  /** Another channel's video in the middle of that: ms until its follower was told; and the same alone. */
  otherMs: number;
  aloneMs: number;
  /** Of each page, at a tenth of the followers, comments, videos and notifications, and at all. */
  pages: { page: string; tenth: PageCost; all: PageCost }[];
}

export async function measureFanout(place: Place, { followers }: { followers: number }): Promise<FanoutMeasured> {
  await seedUsers(place, Math.floor(followers / 10));
  const owner = await userAt(place, 0);
  const big = await makeChannel(place, owner, 'big');
  const reader = await Pages.open(place, owner, big);
  await followAll(place, big);
  await reader.seed(0, followers / 10);
  const tenth = await reader.costs();

  await seedUsers(place, followers);
  await followAll(place, big);
  await reader.seed(followers / 10, followers);
  const all = await reader.costs();
  const pages = [...all].map(([page, cost]) => ({ page, tenth: tenth.get(page) ?? cost, all: cost }));
  const rowsEach = Math.min(ROWS_UP_TO, followers);
  const channels = Math.max(1, Math.floor(followers / rowsEach));
  const many = [];
  for (let n = 0; n < channels; n++) {
    const channel = await makeChannel(place, owner, `many${n}`);
    await follow(place, channel, rowsEach, n * rowsEach);
    many.push(channel);
  }
  const other = await makeChannel(place, owner, 'other');
  await follow(place, other, 1, 0);
  await place.db.query('ANALYZE');

  await place.start('dist/main.js', '/readyz', { LOG_LEVEL: 'info' });
  const aloneMs = await until(await publish(place, other, owner), (cause) => toldOf(place, cause));
  const broadcastMs = await until(await publish(place, big, owner), (cause) => isBroadcast(place, cause));
  const began = Date.now();
  const causes = [];
  for (const channel of many) causes.push(await publish(place, channel, owner));
  await until(causes[0] as string, (cause) => toldOf(place, cause));
  const firstMs = Date.now() - began;
  const otherMs = await until(await publish(place, other, owner), (cause) => toldOf(place, cause));
  const rows = channels * rowsEach;
  while (Date.now() - began < GIVE_UP_MS && (await countOf(place, causes)) < rows) await pause(POLL_MS);
  const told = await countOf(place, causes);
  if (told !== rows) throw new Error(`${told} of ${rows} followers were told.`);
  const { rows: ends } = await place.db.query<{ ms: number }>(
    `SELECT extract(epoch FROM max(finished_at) - min(created_at))::float8 * 1000 AS ms FROM job
     WHERE name = 'TellFollowers' AND payload->>'videoId' = ANY($1)`,
    [causes],
  );
  const lastMs = ends[0]?.ms ?? 0;
  const counted = { channels, rows, firstMs, lastMs, perSecond: rows / (lastMs / 1000) };
  return { followers, broadcastMs, rows: counted, otherMs, aloneMs, pages };
}

async function seedUsers(place: Place, count: number): Promise<void> {
  for (let from = 0; from < count; from += SEEDED_AT_ONCE) {
    await place.db.query(
      `INSERT INTO app_user (email, email_key, display_name, password_hash)
       SELECT n || '@example.org', n || '@example.org', 'Follower ' || n, 'none' FROM generate_series($1::int, $2::int - 1) n
       ON CONFLICT DO NOTHING`,
      [from, Math.min(count, from + SEEDED_AT_ONCE)],
    );
  }
}

async function userAt(place: Place, number: number): Promise<string> {
  const { rows } = await place.db.query('SELECT id FROM app_user WHERE email_key = $1', [`${number}@example.org`]);
  return rows[0].id;
}

async function makeChannel(place: Place, owner: string, handle: string): Promise<string> {
  const { rows } = await place.db.query(
    `WITH c AS (INSERT INTO channel (handle, handle_key, name) VALUES ($2, $2, $2) RETURNING id),
          m AS (INSERT INTO channel_member (channel_id, user_id, role) SELECT id, $1, 'OWNER' FROM c)
     SELECT id FROM c`,
    [owner, handle],
  );
  return rows[0].id;
}

const FOLLOW = `WITH s AS (
    INSERT INTO channel_subscription (channel_id, user_id, notify, created_at)
    SELECT $1, id, 'ALL', now() - random() * interval '30 days' FROM (SELECT id FROM app_user ORDER BY id LIMIT $2 OFFSET $3) u
    ON CONFLICT DO NOTHING RETURNING 1)
  INSERT INTO subscriber_count AS c SELECT $1, count(*) FROM s
  ON CONFLICT (channel_id) DO UPDATE SET subscribers = c.subscribers + excluded.subscribers`;
const follow = (place: Place, channel: string, count: number, offset: number) =>
  place.db.query(FOLLOW, [channel, count, offset]);
const followAll = (place: Place, channel: string) => follow(place, channel, 2 ** 31 - 1, 0);

/** Public and playing: the server finds that it is to be listed, as it does with those whose time has come. */
async function publish(place: Place, channel: string, owner: string): Promise<string> {
  const { rows } = await place.db.query(
    `INSERT INTO video (channel_id, owner_id, title, visibility, state, stage, verified_at, published_at)
     VALUES ($1, $2, 'A film', 'PUBLIC', 'READY', 'DONE', now(), now()) RETURNING id`,
    [channel, owner],
  );
  return rows[0].id;
}

async function until(cause: string, isTold: (cause: string) => Promise<boolean>): Promise<number> {
  const began = Date.now();
  while (!(await isTold(cause))) {
    if (Date.now() - began > GIVE_UP_MS) throw new Error(`Nobody was told of ${cause}.`);
    await pause(POLL_MS);
  }
  return Date.now() - began;
}

async function toldOf(place: Place, cause: string): Promise<boolean> {
  return (await countOf(place, [cause])) > 0;
}

async function isBroadcast(place: Place, cause: string): Promise<boolean> {
  const { rows } = await place.db.query('SELECT FROM channel_notification WHERE cause = $1 AND is_broadcast', [cause]);
  return rows.length > 0;
}

async function countOf(place: Place, causes: readonly string[]): Promise<number> {
  const { rows } = await place.db.query(
    'SELECT count(*)::int AS count FROM notification WHERE cause = ANY($1::uuid[])',
    [causes],
  );
  return rows[0].count;
}

export function fanoutTable({ followers, broadcastMs, rows, otherMs, aloneMs, pages }: FanoutMeasured): string {
  const told = [
    `${followers} followers: one row for all after ${broadcastMs} ms.`,
    `${rows.channels} channels with ${rows.rows / rows.channels} each at once: ${rows.rows} rows, ${rows.perSecond.toFixed(0)} a second, the first after ${rows.firstMs} ms, the last after ${rows.lastMs.toFixed(0)} ms.`,
    `Another channel's video meanwhile: told after ${otherMs} ms (alone ${aloneMs} ms).`,
  ];
  const lines = pages.map(({ page, tenth, all }) => [
    page,
    String(tenth.buffers),
    String(all.buffers),
    (all.buffers / tenth.buffers).toFixed(2),
    all.scans.join(', ') || 'none',
  ]);
  return [
    ...told,
    '',
    table(['page of 20', `buffers at ${followers / 10}`, `at ${followers}`, '×', 'sequential scans'], lines),
  ].join('\n');
}
