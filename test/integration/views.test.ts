import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { bothTrendsSql, sumOfTrendsSql, trendOfPublicationSql, trendOfSql } from '../../src/modules/views/trend.js';
import { ViewFlush } from '../../src/modules/views/view-flush.js';
import { ViewStore } from '../../src/modules/views/view-store.js';
import { viewerOf, viewersKey } from '../../src/modules/views/viewer.js';
import { ViewsService } from '../../src/modules/views/views.service.js';
import {
  channelOf,
  globalId,
  type Person,
  person,
  startApp,
  type TestApp,
  testRedis,
  until,
  videoIn,
} from '../support/index.js';

/** It flushes when a test says so: a process that answers requests has no periodic tasks. */
let app: TestApp;
let redis: Redis;
let ada: Person;
let channel: string;
let film: string;

beforeAll(async () => {
  app = await startApp({ role: 'api', trustProxy: 1, corsOrigins: ['https://blog.example'] });
  redis = new Redis(app.config.redisUrl, { keyPrefix: `${app.config.redisPrefix}views:` });
  ada = await person(app);
  channel = await channelOf(app, ada);
});
afterAll(async () => {
  redis.disconnect();
  await app.stop();
});
beforeEach(async () => {
  film = await videoIn(app, channel, ada);
  // All of a test is in one hour.
  await until(
    async () => (Date.now() / 1000) % 3600,
    (second) => second < 3_500,
    110,
  );
});

interface From {
  address?: string;
  userAgent?: string;
  token?: string;
}
async function view(
  video: string,
  { address = '192.0.2.1', userAgent = 'A browser', token }: From = {},
  url = app.url,
) {
  const response = await fetch(`${url}/views/${video}`, {
    method: 'POST',
    headers: {
      ...{ 'x-forwarded-for': address, 'user-agent': userAgent },
      ...(token && { authorization: `Bearer ${token}` }),
    },
  });
  await response.arrayBuffer();
  return response;
}
const flush = () => app.get(ViewFlush).flush();
async function counted(video = film): Promise<number> {
  await flush();
  return inDatabase(video);
}
async function inDatabase(video = film): Promise<number> {
  const [row] = await app.database.query<{ views: number }>(
    'SELECT view_count::float8 AS views FROM video_popularity WHERE video_id = $1',
    [video],
  );
  return row?.views ?? 0;
}

describe('a view', () => {
  it('is counted once per viewer and hour, signed in or not', async () => {
    const bea = await person(app);
    for (let again = 0; again < 3; again++) {
      expect((await view(film)).status).toBe(204);
      expect((await view(film, { address: '192.0.2.2' })).status).toBe(204);
      expect((await view(film, { userAgent: 'Another browser' })).status).toBe(204);
      expect((await view(film, { token: ada.token })).status).toBe(204);
      // Who is signed in is one viewer wherever they are.
      expect((await view(film, { token: bea.token, address: `192.0.2.${again}` })).status).toBe(204);
      expect(await counted()).toBe(5);
    }
  });

  it('of one network of IPv6 is that of one viewer', async () => {
    await view(film, { address: '2001:db8::1' });
    await view(film, { address: '2001:db8::2' });
    await view(film, { address: '2001:db8:0:1::1' });
    expect(await counted()).toBe(2);
  });

  it('is counted again in another hour', async () => {
    await view(film);
    expect(await counted()).toBe(1);
    // Redis's clock says the hour, so the keys become those of the hour before.
    const [era] = await redis.keys(`${app.config.redisPrefix}views:era:${film}:*`);
    const hour = Number(era?.split(':').at(-1));
    for (const kind of ['seen', 'from', 'era'])
      await redis.rename(`${kind}:${film}:${hour}`, `${kind}:${film}:${hour - 3600}`);
    await app.database.query(`UPDATE view_bucket SET hour = hour - interval '1 hour' WHERE video_id = $1`, [film]);
    await view(film);
    expect(await counted()).toBe(2);
  });

  it('may be told of by the id that the API has', async () => {
    expect((await view(globalId('Video', film))).status).toBe(204);
    expect((await view(film)).status).toBe(204);
    expect(await counted()).toBe(1);
  });

  it('with a token that is no good is nobody’s', async () => {
    expect((await view(film, { token: 'old' })).status).toBe(401);
    expect(await counted()).toBe(0);
  });

  it('is shown where the video is, as a whole number', async () => {
    await view(film);
    await app.database.query(`UPDATE video_popularity SET view_count = 3000000000 WHERE video_id = $1`, [film]);
    expect(await counted()).toBe(1);
    await app.database.query(`UPDATE video_popularity SET view_count = 3000000000 WHERE video_id = $1`, [film]);
    const { data } = await app.graphql('query ($id: ID!) { video(id: $id) { viewCount } }', {
      id: globalId('Video', film),
    });
    expect(data).toEqual({ video: { viewCount: 3_000_000_000 } });
  });

  it('may come with a body, of whatever type, that nobody looks at', async () => {
    const bodies: [string, string | null][] = [
      ['application/json', null],
      ['application/json', '{'],
      ['application/json', 'x'.repeat(300_000)],
      ['application/octet-stream', 'x'],
      ['text/plain', 'x'],
      ['multipart/form-data', 'x'],
      ['none', 'x'],
    ];
    for (const [n, [type, body]] of bodies.entries()) {
      const headers = { 'x-forwarded-for': `192.0.2.${n}`, 'content-type': type };
      const response = await fetch(`${app.url}/views/${film}`, { method: 'POST', body, headers });
      expect([type, response.status]).toEqual([type, 204]);
    }
    expect(await counted()).toBe(bodies.length);
  });

  it('is refused to pages that may not read here', async () => {
    const from = async (origin: string) => {
      const response = await fetch(`${app.url}/views/${film}`, { method: 'POST', headers: { origin } });
      return [response.status, await response.text()];
    };
    for (const origin of ['https://evil.example', 'null']) {
      expect(await from(origin)).toEqual([403, expect.stringContaining('"ORIGIN_NOT_ALLOWED"')]);
    }
    expect(await counted()).toBe(0);
    for (const origin of ['https://blog.example', app.url]) expect(await from(origin)).toEqual([204, '']);
    expect(await counted()).toBe(1);
  });

  it('may come from a page of another site', async () => {
    const preflight = await fetch(`${app.url}/views/${film}`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://blog.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      },
    });
    expect(preflight.ok).toBe(true);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization');
  });
});

describe('who may not watch a video', () => {
  it.each([
    ['a private one', { visibility: 'PRIVATE' }],
    ['one that does not play', { state: 'PROCESSING' }],
    ['one whose time has not come', { publishAt: '2100-01-01' }],
  ])('counts nothing: %s', async (_what, row) => {
    const hidden = await videoIn(app, channel, ada, row);
    const missing = await view(randomUUID());
    const refused = await view(hidden);
    expect([refused.status, missing.status]).toEqual([404, 404]);
    expect(Object.keys(Object.fromEntries(refused.headers))).toEqual(Object.keys(Object.fromEntries(missing.headers)));
    expect((await view(hidden, { token: (await person(app)).token })).status).toBe(404);
    expect((await view(hidden, { token: ada.token })).status).toBe(204);
    expect(await counted(hidden)).toBe(1);
  });

  it('counts nothing of what is deleted, from a second after', async () => {
    expect((await view(film)).status).toBe(204);
    await app.database.query('UPDATE video SET deleted_at = now() WHERE id = $1', [film]);
    while ((await view(film, { address: '192.0.2.9' })).status !== 404) await pause(50);
    expect(await counted()).toBe(0);
    expect(await redis.hlen('dirty')).toBe(0);
  });

  it('may be anybody who has the address of an unlisted one', async () => {
    const unlisted = await videoIn(app, channel, ada, { visibility: 'UNLISTED' });
    expect((await view(unlisted)).status).toBe(204);
    expect(await counted(unlisted)).toBe(1);
  });

  it.each(['x', '%00', globalId('Channel', randomUUID()), `${randomUUID()}:1`])('cannot say %s', async (id) => {
    expect((await view(id)).status).toBe(404);
  });
});

it('forged programs of one address are 300 viewers of a video and hour, whoever else watches', async () => {
  const forged = Array.from({ length: 400 }, (_, n) => view(film, { userAgent: `Browser ${n}` }));
  expect(new Set((await Promise.all(forged)).map(({ status }) => status))).toEqual(new Set([204]));
  await view(film, { token: ada.token });
  await view(film, { address: '192.0.2.2' });
  expect(await counted()).toBe(302);
});

it('one address begins with 3,000 videos in an hour, whoever else does; and so does who is signed in', async () => {
  const store = app.get(ViewStore);
  const key = viewersKey(app.config.playbackSecret);
  const take = async (watcher: Parameters<typeof viewerOf>[2], videos: number) => {
    const ids = Array.from({ length: videos }, () => randomUUID());
    const outcomes = await Promise.all(ids.map((id) => store.take(id, viewerOf(key, id, watcher))));
    return outcomes.filter((outcome) => outcome === 'counted').length;
  };
  expect(await take({ block: '198.51.100.7', userAgent: 'One' }, 2_000)).toBe(2_000);
  expect(await take({ block: '198.51.100.7', userAgent: 'Another' }, 1_500)).toBe(1_000);
  expect(await take({ userId: 'somebody' }, 3_001)).toBe(3_000);
  expect(await take({ block: '198.51.100.8', userAgent: 'One' }, 10)).toBe(10);
  // Nothing of this is a video of the database.
  await flush();
  expect(await redis.hlen('dirty')).toBe(0);
});

describe('what Redis has', () => {
  it('says nobody’s address, program or name, and ends by itself', async () => {
    await view(film, { address: '192.0.2.77', userAgent: 'Mozilla of Ada' });
    await view(film, { token: ada.token });
    const hour = Math.floor(Date.now() / 3_600_000) * 3600;
    const viewers = await redis.smembersBuffer(`seen:${film}:${hour}`);
    expect(viewers.map((viewer) => viewer.length)).toEqual([8, 8]);
    for (const kind of ['seen', 'from', 'era'])
      expect(await redis.expiretime(`${kind}:${film}:${hour}`)).toBe(hour + 3900);
    expect(await redis.expiretime(`videos:${hour}`)).toBe(hour + 3900);
    await flush();
    expect((await redis.keys(`${app.config.redisPrefix}views:*`)).map((key) => key.split(':')[2])).not.toContain(
      'dirty',
    );
  });

  it('may be wiped in mid hour: what was flushed stays, and what comes then counts', async () => {
    await view(film, { address: '192.0.2.1' });
    await view(film, { address: '192.0.2.2' });
    expect(await counted()).toBe(2);
    await redis.del(
      ...(await redis.keys(`${app.config.redisPrefix}views:*`)).map((key) => key.split('views:')[1] as string),
    );
    await view(film, { address: '192.0.2.3' });
    expect(await counted()).toBe(3);
    const eras = await app.database.query('SELECT era FROM view_bucket WHERE video_id = $1', [film]);
    expect(eras).toHaveLength(2);
  });

  it('may come back as it was some time ago: what comes then counts', async () => {
    const hour = Math.floor(Date.now() / 3_600_000) * 3600;
    await view(film, { address: '192.0.2.1' });
    const before = await redis.dumpBuffer(`seen:${film}:${hour}`);
    for (const address of ['192.0.2.2', '192.0.2.3', '192.0.2.4']) await view(film, { address });
    expect(await counted()).toBe(4);
    await redis.restore(`seen:${film}:${hour}`, 0, before, 'REPLACE');
    // By the first of these it is known; it is lost itself.
    await view(film, { address: '192.0.2.5' });
    expect(await counted()).toBe(4);
    await view(film, { address: '192.0.2.6' });
    await view(film, { address: '192.0.2.7' });
    expect(await counted()).toBe(6);
  });
});

it('while Redis is away a view is refused, to be said again, and nothing else is; then it counts', async () => {
  const own = await testRedis();
  const other = await startApp({ redisUrl: own.url });
  try {
    const video = await videoIn(other, await channelOf(other, await person(other)), await person(other));
    while ((await view(video, {}, other.url)).status !== 204) await pause(20);
    const process = new Redis(own.url);
    // One that hangs: all that wait are told at once, and not a thousand after the other.
    await process.client('PAUSE', 60_000, 'WRITE');
    const key = viewersKey(other.config.playbackSecret);
    const ends: number[] = [];
    const taken = Array.from({ length: 2_500 }, (_, n) =>
      other
        .get(ViewStore)
        .take(video, viewerOf(key, video, { userId: String(n) }))
        .finally(() => ends.push(performance.now())),
    );
    expect((await Promise.allSettled(taken)).every(({ status }) => status === 'rejected')).toBe(true);
    expect((ends.at(-1) as number) - (ends[0] as number)).toBeLessThan(1_000);
    await process.client('UNPAUSE');
    // Nobody who knows the old password comes in.
    await process.config('SET', 'requirepass', 'away');
    await process.call('AUTH', 'away');
    await process.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    let refused = await view(video, { userAgent: 'Later' }, other.url);
    while (refused.status === 204) refused = await view(video, { userAgent: randomUUID() }, other.url);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('2');
    await process.config('SET', 'requirepass', new URL(own.url).password);
    process.disconnect();
    while ((await view(video, { userAgent: 'At last' }, other.url)).status !== 204) await pause(50);
    const total = async () => {
      const [row] = await other.database.query<{ views: number }>(
        'SELECT view_count::float8 AS views FROM video_popularity WHERE video_id = $1',
        [video],
      );
      return row?.views ?? 0;
    };
    const keys = new Redis(own.url);
    const [seen] = await keys.keys(`${other.config.redisPrefix}views:seen:${video}:*`);
    const size = await keys.scard(seen as string);
    keys.disconnect();
    while ((await total()) < size) await pause(50);
    expect(await total()).toBe(size);
  } finally {
    await other.stop();
    await own.stop();
  }
});

describe('a flush', () => {
  const say = (from: number, to: number) =>
    Promise.all(
      Array.from({ length: to - from }, (_, n) => view(film, { address: `10.1.${n >> 8}.${(from + n) & 255}` })),
    );

  it('may be done twice, and by several at once, beside what comes', async () => {
    for (let round = 0; round < 5; round++) {
      const coming = say(round * 40, round * 40 + 40);
      await Promise.all([flush(), flush(), flush(), coming, flush(), flush()]);
    }
    expect(await counted()).toBe(200);
    await flush();
    expect(await inDatabase()).toBe(200);
  });

  it('that was cut before Redis knew of it is no harm', async () => {
    await say(0, 7);
    const dirty = await redis.hgetall('dirty');
    await flush();
    expect(await redis.hlen('dirty')).toBe(0);
    await redis.hset('dirty', dirty);
    expect(await counted()).toBe(7);
  });

  it('leaves what came while it wrote for the next one', async () => {
    const other = new pg.Client(app.database.url);
    await other.connect();
    try {
      await say(0, 1);
      await flush();
      await say(1, 2);
      await other.query('BEGIN');
      await other.query('SELECT FROM video_popularity WHERE video_id = $1 FOR UPDATE', [film]);
      const flushing = flush();
      const isWaiting = () =>
        app.database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%view_bucket%'`,
        );
      await until(isWaiting, (waiting) => waiting.length > 0, 10);
      await say(2, 3);
      await other.query('COMMIT');
      await flushing;
      expect(await inDatabase()).toBe(2);
      expect(await counted()).toBe(3);
    } finally {
      await other.end();
    }
  });

  it('writes a row a video, however many views', async () => {
    await say(0, 60);
    await flush();
    const rows = await app.database.query('SELECT count::int AS count FROM view_bucket WHERE video_id = $1', [film]);
    expect(rows).toEqual([{ count: 60 }]);
  });

  it('keeps nothing of videos that this database has not', async () => {
    const hour = Math.floor(Date.now() / 3_600_000) * 3600;
    await redis.hset('dirty', `${randomUUID()}:${hour}:${randomUUID()}`, 3);
    await view(film);
    expect(await counted()).toBe(1);
    expect(await redis.hlen('dirty')).toBe(0);
  });

  it('puts views that waited where they belong in time', async () => {
    const hour = Math.floor(Date.now() / 3_600_000) * 3600;
    for (const [age, views] of [
      [96, 8],
      [48, 4],
    ] as const)
      await redis.hset('dirty', `${film}:${hour - age * 3600}:${randomUUID()}`, views);
    await flush();
    const [row] = await app.database.query<{ trend: number }>(
      'SELECT trend FROM video_popularity WHERE video_id = $1',
      [film],
    );
    // Eight of four days ago weigh as much as four of two days ago.
    expect(row?.trend).toBeCloseTo(trendOf(8, hour - 47 * 3600), 9);
  });

  it('drops what is no count, and brings the others', async () => {
    await redis.hset('dirty', 'x', 1, `${film}:soon:${randomUUID()}`, 1, `${film}:0:${randomUUID()}`, 'many');
    await view(film);
    expect(await counted()).toBe(1);
    expect(await redis.hlen('dirty')).toBe(0);
  });

  it('forgets hours of three days ago, and no view', async () => {
    await view(film);
    expect(await counted()).toBe(1);
    await app.database.query(`UPDATE view_bucket SET hour = hour - interval '3 days' WHERE video_id = $1`, [film]);
    await app.get(ViewFlush).forget();
    expect(await app.database.query('SELECT hour FROM view_bucket WHERE video_id = $1', [film])).toEqual([]);
    expect(await inDatabase()).toBe(1);
  });
});

/** Of so many views at one time, in Unix seconds: a view weighs half of one that comes two days later. */
const trendOf = (views: number, at: number) => (at - Date.UTC(2020) / 1000) / (2 * 86_400) + Math.log2(views);
const sumOf = (...trends: number[]) => {
  const high = Math.max(...trends);
  return high + Math.log2(trends.reduce((sum, trend) => sum + 2 ** (trend - high), 0));
};

describe('the trend', () => {
  const NOW = Date.UTC(2026, 10, 22, 8) / 1000;
  it('is what docs/decisions/0032-views.md says, and no error however old a view is', async () => {
    for (const [views, at] of [
      [1, NOW],
      [3, NOW - 1e6],
      [1e9, 1.6e9],
      [1, 0],
      [7, NOW + 4e9],
    ] as const) {
      const trends = [trendOf(views, at), trendOf(5, NOW), trendOf(2, NOW - 1e5)] as const;
      const [row] = await app.database.query<Record<string, number>>(
        `SELECT ${trendOfSql('$1::bigint', 'to_timestamp($2)')} AS of, ${trendOfPublicationSql('to_timestamp($2)')} AS published,
                ${bothTrendsSql('$3::float8', '$4::float8')} AS both,
                (SELECT ${sumOfTrendsSql('t', 'h')} FROM (SELECT t, max(t) OVER () AS h FROM unnest($5::float8[]) t) x GROUP BY h) AS sum`,
        [views, at, trends[0], trends[1], trends],
      );
      expect(row?.of).toBeCloseTo(trends[0], 9);
      expect(row?.published).toBeCloseTo(trendOf(4, at), 9);
      expect(row?.both).toBeCloseTo(sumOf(trends[0], trends[1]), 9);
      expect(row?.sum).toBeCloseTo(sumOf(...trends), 9);
    }
  });
});

it('what a process of the version before published trends, once', async () => {
  const trend = async () =>
    (
      await app.database.query('SELECT trend, is_published FROM video_popularity WHERE video_id = $1', [film])
    )[0] as object;
  expect(await trend()).toBeUndefined();
  await app.get(ViewsService).sweep();
  const swept = await trend();
  expect(swept).toMatchObject({ is_published: true });
  await app.get(ViewsService).sweep();
  expect(await trend()).toEqual(swept);
});

describe('with workers', () => {
  let whole: TestApp;
  beforeAll(async () => {
    whole = await startApp({ trustProxy: 1 });
  });
  afterAll(() => whole.stop());

  const popularity = async (video: string) => {
    const [row] = await whole.database.query<{ views: number; trend: number; published: boolean; listed: number }>(
      `SELECT p.view_count::float8 AS views, trend, is_published AS published, extract(epoch FROM v.listed_at)::float8 AS listed
       FROM video_popularity p JOIN video v ON v.id = video_id WHERE video_id = $1`,
      [video],
    );
    return row;
  };

  it('a video trends from its publication on, which counts once, and goes with it', async () => {
    const bea = await person(whole);
    const hidden = await videoIn(whole, await channelOf(whole, bea), bea, { visibility: 'UNLISTED' });
    expect((await view(hidden, {}, whole.url)).status).toBe(204);
    while ((await popularity(hidden))?.views !== 1) await pause(50);
    const before = await popularity(hidden);
    expect(before?.published).toBe(false);

    const id = globalId('Video', hidden);
    await bea.does('updateVideo', { videoId: id, visibility: 'PUBLIC' });
    while (!(await popularity(hidden))?.published) await pause(50);
    const after = await popularity(hidden);
    expect(after?.trend).toBeCloseTo(sumOf(before?.trend ?? 0, trendOf(4, after?.listed ?? 0)), 9);
    for (const visibility of ['PRIVATE', 'PUBLIC']) await bea.does('updateVideo', { videoId: id, visibility });
    expect(await popularity(hidden)).toEqual(after);
    expect(after?.views).toBe(1);

    await bea.does('deleteVideo', { videoId: id });
    // The handler is due after those who were still at it.
    await whole.database.query(`UPDATE job SET run_at = now() WHERE state = 'QUEUED'`);
    while (await popularity(hidden)) await pause(50);
  });
});
