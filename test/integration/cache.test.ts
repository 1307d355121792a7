import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Cache, type CacheOptions, Caches } from '../../src/common/cache/index.js';
import type { Config } from '../../src/common/config/index.js';
import { Live } from '../../src/common/live/index.js';
import { freePort } from '../support/app.js';
import { until } from '../support/client.js';
import { randomFrom } from '../support/random.js';
import { startRedis } from './edge/redis.js';

const CROWD = 500;
const LONG_MS = 600_000;
const SEEDS = Number(process.env.SLUICE_SEEDS ?? 60);

let port: number;
let stopRedis: () => Promise<void>;
let look: Redis;
const running: Live[] = [];

beforeAll(async () => {
  port = await freePort();
  stopRedis = await startRedis(port);
  look = new Redis(port, '127.0.0.1', { lazyConnect: true });
  look.on('error', () => undefined);
});
afterEach(() => {
  for (const live of running.splice(0)) live.onApplicationShutdown();
});
afterAll(async () => {
  look.disconnect();
  await stopRedis();
});

let prefixes = 0;

/** What changes, and how often it was asked for. */
class Truth {
  version = 1;
  loads = 0;
  /** Before and after it looks. */
  waits: () => [number, number] = () => [1, 1];

  async load(keys: readonly string[]): Promise<Map<string, number>> {
    this.loads++;
    const [before, after] = this.waits();
    await pause(before);
    const { version } = this;
    await pause(after);
    return new Map(keys.map((key) => [key, version]));
  }
}

interface Process {
  live: Live;
  caches: Caches;
  cache: Cache<number>;
}

/** Processes as far as caches go: each with connections and a memory of its own. */
async function processes(
  count: number,
  truth: Truth,
  options: Partial<CacheOptions<number>> = {},
  installation = ++prefixes,
): Promise<Process[]> {
  const redisPrefix = `cache-test-${installation}:`;
  const config = { redisUrl: `redis://127.0.0.1:${port}`, redisPrefix } as Config;
  const started = Array.from({ length: count }, () => {
    const live = new Live(config);
    running.push(live);
    const caches = new Caches(live, config);
    const load = (keys: readonly string[]) => truth.load(keys);
    const cache = caches.of<number>({ name: 'things', topic: 'thing', ttlMs: LONG_MS, max: 100, ...options, load });
    return { live, caches, cache };
  });
  await hear(started);
  return started;
}

const first = (started: readonly Process[]) => started[0] as Process;
const single = async (truth: Truth, options: Partial<CacheOptions<number>> = {}) =>
  first(await processes(1, truth, options));

/** Until each hears of what all others say. */
async function hear(started: readonly Process[]): Promise<void> {
  const heard = started.map(({ caches }) => {
    let count = 0;
    const of = caches.of({
      name: 'heard',
      topic: 'heard',
      ttlMs: LONG_MS,
      max: 1,
      load: async () => new Map([['', ++count]]),
    });
    return of;
  });
  for (const [index, cache] of heard.entries()) {
    const from = started[(index + 1) % started.length] as Process;
    const before = await cache.get('');
    await until(
      async () => {
        from.live.tick('heard:');
        return cache.get('');
      },
      (now) => now !== before && from.live.publisher.status === 'ready',
    );
  }
}

const SHARED = { shared: { version: 1, ttlMs: LONG_MS } };
const crowd = (started: readonly Process[], key: string) =>
  Promise.all(Array.from({ length: CROWD }, (_, k) => (started[k % started.length] as Process).cache.get(key)));

describe('a crowd', () => {
  it('that asks for what is not there has it read once by each process', async () => {
    const truth = new Truth();
    const started = await processes(2, truth);
    expect(new Set(await crowd(started, 'a'))).toEqual(new Set([1]));
    expect(truth.loads).toBe(2);
    expect(new Set(await crowd(started, 'a'))).toEqual(new Set([1]));
    expect(truth.loads).toBe(2);
  });

  it('has it read once by all processes where Redis has it too', async () => {
    const truth = new Truth();
    truth.waits = () => [20, 20];
    const started = await processes(3, truth, SHARED);
    expect(new Set(await crowd(started, 'a'))).toEqual(new Set([1]));
    expect(truth.loads).toBe(1);
    // One that comes later finds it there.
    const [late] = await processes(1, truth, SHARED, prefixes);
    expect(await late?.cache.get('a')).toBe(1);
    expect(truth.loads).toBe(1);
  });

  it('gets right answers while Redis is wiped, at one reading more for each process', async () => {
    const truth = new Truth();
    truth.waits = () => [10, 10];
    const started = await processes(2, truth, SHARED);
    const asked = crowd(started, 'a');
    await look.flushall();
    expect(new Set(await asked)).toEqual(new Set([1]));
    await look.flushall();
    truth.version = 2;
    first(started).live.tick('thing:a');
    await until(
      () => (started[1] as Process).cache.get('a'),
      (value) => value === 2,
    );
    expect(truth.loads).toBeLessThanOrEqual(4);
  });

  it('gets right answers while Redis is away, each process for itself, and together once it is back', async () => {
    const truth = new Truth();
    const started = await processes(2, truth, SHARED);
    await stopRedis();
    try {
      await until(async () => started.every(({ live }) => live.publisher.status !== 'ready'), Boolean);
      expect(new Set(await crowd(started, 'a'))).toEqual(new Set([1]));
      expect(truth.loads).toBe(2);
      // What a process changes by itself it needs no Redis for.
      truth.version = 2;
      for (const { live, cache } of started) {
        live.tick('thing:a');
        expect(await cache.get('a')).toBe(2);
      }
    } finally {
      stopRedis = await startRedis(port);
    }
    await hear(started);
    await until(
      async () => {
        truth.loads = 0;
        first(started).live.tick('thing:a');
        await until(
          async () => (await look.keys('*:things:*')).length,
          (found) => found === 0,
        );
        await crowd(started, 'a');
        return truth.loads;
      },
      (loads) => loads === 1,
    );
  });

  it.each(['V{"cut', 'of another tool', ''])('reads anew what it cannot make out in Redis: %j', async (text) => {
    const truth = new Truth();
    const [one, other] = (await processes(2, truth, SHARED)) as [Process, Process];
    const key = `cache-test-${prefixes}:cache:things:1:a`;
    await look.set(key, text);
    expect(await one.cache.get('a')).toBe(1);
    await until(
      () => look.get(key),
      (now) => now === null,
    );
    expect(await other.cache.get('a')).toBe(1);
    expect(await look.get(key)).toBe('V1');
  });

  it('waits no longer than a moment for a Redis that does not answer', async () => {
    const truth = new Truth();
    const started = await processes(2, truth, SHARED);
    const redisPid = Number(/process_id:(\d+)/.exec(await look.info('server'))?.[1]);
    process.kill(redisPid, 'SIGSTOP');
    try {
      const began = performance.now();
      expect(new Set(await crowd(started, 'a'))).toEqual(new Set([1]));
      const once = performance.now() - began;
      expect(await first(started).cache.get('b')).toBe(1);
      const second = performance.now() - began - once;
      expect({ first: once < 1_000, second: second < 200, loads: truth.loads }).toEqual({
        first: true,
        second: true,
        loads: 3,
      });
    } finally {
      process.kill(redisPid, 'SIGCONT');
    }
  });
});

describe('a change', () => {
  it.each([
    ['in the process', {}],
    ['in the process and Redis', SHARED],
  ])('is seen by all processes, long before time ends what is kept %s', async (_, options) => {
    const truth = new Truth();
    const started = await processes(3, truth, options);
    await crowd(started, 'a');
    truth.version = 2;
    first(started).live.tick('thing:a');
    expect(await first(started).cache.get('a')).toBe(2);
    for (const { cache } of started)
      await until(
        () => cache.get('a'),
        (value) => value === 2,
      );
  });

  it('that nobody heard of is seen after the time to live', async () => {
    const truth = new Truth();
    const one = await single(truth, { ttlMs: 200 });
    await one.cache.get('a');
    truth.version = 2;
    const changed = performance.now();
    await until(
      () => one.cache.get('a'),
      (value) => value === 2,
    );
    expect(performance.now() - changed).toBeLessThan(200 + 300);
  });

  it('that was told while a process could not hear is seen once it hears again', async () => {
    const truth = new Truth();
    const one = await single(truth);
    await one.cache.get('a');
    truth.version = 2;
    expect(await one.cache.get('a')).toBe(1);
    await look.client('KILL', 'TYPE', 'pubsub');
    await until(
      () => one.cache.get('a'),
      (value) => value === 2,
    );
  });

  it.each([
    ['the process', {}],
    ['the process and Redis', SHARED],
  ])('races readings as it likes, and nothing older stays in %s', async (_, options) => {
    const truth = new Truth();
    const started = await processes(2, truth, options);
    for (let seed = 1; seed <= SEEDS; seed++) {
      const random = randomFrom(seed);
      const some = (most: number) => Math.floor(random() * most);
      // What was read early may come late.
      truth.waits = () => [some(3), random() < 0.4 ? 10 + some(15) : some(3)];
      const key = `key ${seed}`;
      const acts = Array.from({ length: 12 }, async () => {
        const { live, cache } = started[some(2)] as Process;
        const [when, isChange, until] = [some(10), random() < 0.3, some(3)];
        await pause(when);
        if (!isChange) return void (await cache.get(key));
        const version = ++truth.version;
        await pause(until);
        live.tick(`thing:${key}`);
        // Whoever changed it sees so at once.
        expect(await cache.get(key)).toBeGreaterThanOrEqual(version);
      });
      await Promise.all(acts);
      for (const { cache } of started) {
        const deadline = performance.now() + 2_000;
        const isOver = (value: number | null) => value === truth.version || performance.now() > deadline;
        const seen = await until(() => cache.get(key), isOver, 5);
        expect({ seed, seen }).toEqual({ seed, seen: truth.version });
      }
    }
  });
});
