import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startRedis } from '../../src/embedded/index.js';
import { temporaryFolder } from './servers.js';

/** The run's Redis: shared, so only with a prefix of one's own, and never to be flushed. */
export const sharedRedisUrl = (): string => process.env.SLUICE_TEST_REDIS as string;

export async function deleteKeys(prefix: string): Promise<void> {
  const redis = new Redis(sharedRedisUrl());
  try {
    for await (const keys of redis.scanStream({ match: `*${prefix}*`, count: 500 }) as AsyncIterable<string[]>) {
      if (keys.length > 0) await redis.unlink(keys);
    }
  } finally {
    redis.disconnect();
  }
}

export interface TestRedis {
  readonly url: string;
  flush(): Promise<void>;
  /** Ends it without saving; it comes back empty, on the same port. */
  restartEmpty(): Promise<void>;
  stop(): Promise<void>;
}

/** A Redis of one's own, for tests that take it away. */
export async function testRedis(): Promise<TestRedis> {
  const folder = await temporaryFolder();
  const server = await startRedis({ dir: join(folder, 'redis'), durable: false });
  const redis = new Redis(server.url);
  redis.on('error', () => undefined);
  const processId = async () => /process_id:(\d+)/.exec(await redis.info('server'))?.[1];
  return {
    url: server.url,
    flush: async () => {
      await redis.flushall();
    },
    restartEmpty: async () => {
      const before = await processId();
      process.kill(Number(before), 'SIGKILL');
      while ((await processId().catch(() => before)) === before)
        await new Promise((resolve) => setTimeout(resolve, 20));
    },
    stop: async () => {
      redis.disconnect();
      await server.stop();
      await rm(folder, { recursive: true });
    },
  };
}
