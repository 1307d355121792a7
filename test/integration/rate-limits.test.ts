import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Config } from '../../src/common/config/index.js';
import { RateLimits } from '../../src/common/rate-limits/index.js';
import { freePort, until } from '../support/index.js';
import { deleteKeys, sharedRedisUrl } from '../support/redis.js';
import { startRedis } from './edge/redis.js';

const LIMIT = { name: 'walks', points: 10, seconds: 60 };
const redisPrefix = `test-${randomUUID()}:`;
const made: RateLimits[] = [];

const limits = (changes: Partial<Config> = {}): RateLimits => {
  const settings = { redisUrl: sharedRedisUrl(), redisPrefix, rateLimitFactor: 1, role: 'api', ...changes };
  made.push(new RateLimits(settings as Config));
  return made.at(-1) as RateLimits;
};
/** Of so many at once. */
const admitted = async (on: readonly RateLimits[], key: string, times = 30): Promise<number> => {
  const spent = Array.from({ length: times }, (_, k) => on[k % on.length]?.spend(LIMIT, key));
  return (await Promise.allSettled(spent)).filter(({ status }) => status === 'fulfilled').length;
};
/** Until then it counts alone. */
const connected = (one: RateLimits): Promise<unknown> =>
  until(
    async () => (one as unknown as { redis: { status: string } }).redis.status,
    (status) => status === 'ready',
    10,
  );
afterAll(async () => {
  for (const one of made) one.onApplicationShutdown();
  await deleteKeys(redisPrefix);
});

it('counts for all processes together, and says what is left', async () => {
  const [one, other] = [limits(), limits()];
  await connected(one);
  await connected(other);
  expect(await one.spend(LIMIT, 'ada')).toEqual({
    'ratelimit-policy': '"walks";q=10;w=60',
    ratelimit: '"walks";r=9;t=60',
  });
  // On a busy machine Redis may not be heard of in time, and then each counts alone for a moment.
  const [key] = await until(
    async () => {
      const bob = randomUUID();
      return [bob, await admitted([one, other], bob)] as const;
    },
    ([, count]) => count === LIMIT.points,
  );
  await expect(other.spend(LIMIT, key)).rejects.toMatchObject({
    code: 'RATE_LIMITED',
    statusCode: 429,
    details: { retryAfterMs: expect.any(Number) },
    headers: {
      'retry-after': expect.stringMatching(/^[1-6]?\d$/),
      ratelimit: expect.stringContaining('"walks";r=0;t='),
    },
  });
});

it('gives back what was no burden', async () => {
  const one = limits();
  await connected(one);
  for (let k = 0; k < 30; k++) {
    await one.spend(LIMIT, 'eve');
    one.giveBack(LIMIT, 'eve');
  }
  expect(await admitted([one], 'eve')).toBe(10);
});

it('counts alone while Redis is away, and at once', async () => {
  const away = limits({ redisUrl: `redis://127.0.0.1:${await freePort()}` });
  const begun = performance.now();
  expect(await admitted([away], 'ada')).toBe(10);
  expect(performance.now() - begun).toBeLessThan(1_000);
});

it('waits once for a Redis that does not answer, and then counts alone for a moment', async () => {
  const port = await freePort();
  const stop = await startRedis(port);
  const hanging = limits({ redisUrl: `redis://127.0.0.1:${port}` });
  await connected(hanging);
  const look = new Redis(port, '127.0.0.1');
  const redisPid = Number(/process_id:(\d+)/.exec(await look.info('server'))?.[1]);
  process.kill(redisPid, 'SIGSTOP');
  try {
    const begun = performance.now();
    await hanging.spend(LIMIT, 'first');
    const once = performance.now() - begun;
    for (let k = 0; k < 8; k++) await hanging.spend(LIMIT, `of many ${k % 2}`);
    expect(await admitted([hanging], 'ada')).toBe(10);
    const others = performance.now() - begun - once;
    expect({ once: once >= 240 && once < 900, others: others < 200 }).toEqual({ once: true, others: true });
  } finally {
    process.kill(redisPid, 'SIGCONT');
    look.disconnect();
    hanging.onApplicationShutdown();
    await stop();
  }
});

it('is as wide as the operator says, or not there', async () => {
  const [wide, off] = [limits({ rateLimitFactor: 2 }), limits({ rateLimitFactor: 0 })];
  await connected(wide);
  expect(await admitted([wide], 'zoe')).toBe(20);
  expect(await admitted([off], 'zoe')).toBe(30);
  expect(await off.spend(LIMIT, 'zoe')).toEqual({});
});

describe('in parcels', () => {
  const DRAWN = { name: 'strolls', points: 100, seconds: 60, parcel: 5 };
  const drawn = async (on: readonly RateLimits[], key: string, times: number): Promise<number> => {
    const all = Array.from({ length: times }, (_, k) => on[k % on.length]?.draw(DRAWN, key));
    return (await Promise.allSettled(all)).filter(({ status }) => status === 'fulfilled').length;
  };

  it('grants the bound and no more, to many processes at once', async () => {
    const processes = [limits(), limits(), limits()];
    for (const one of processes) await connected(one);
    expect(await drawn(processes, 'ada', 400)).toBe(100);
    expect(await drawn(processes, 'bob', 60)).toBe(60);
  });

  it('gives the last points to whoever asks for them, and takes some of them for what it refuses', async () => {
    const one = limits();
    await connected(one);
    const left = async (points: number, fee?: number) => (await one.draw(DRAWN, 'eve', points, fee)).remaining;
    expect(await left(1)).toBe(99);
    expect(await left(90)).toBe(9);
    await expect(left(20)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    expect(await left(2)).toBe(7);
    await expect(left(20, 4)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
    one.check(DRAWN, 'eve');
    expect(await left(3)).toBe(0);
    expect(() => one.check(DRAWN, 'eve')).toThrow(/Too many/);
    expect(() => one.check(DRAWN, 'zoe')).not.toThrow();
  });

  it('counts alone while Redis is away', async () => {
    const away = limits({ redisUrl: `redis://127.0.0.1:${await freePort()}` });
    expect(await drawn([away], 'ada', 300)).toBe(100);
    expect(await drawn([limits({ rateLimitFactor: 0 })], 'ada', 300)).toBe(300);
  });
});
