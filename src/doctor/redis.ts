import { Redis } from 'ioredis';
import type { Config } from '../common/config/index.js';
import type { Area } from './check.js';

const OLDEST = [6, 2] as const;

export function redisArea(config: Config): Area {
  const redis = new Redis(config.redisUrl, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: 5_000,
    commandTimeout: 5_000,
  });
  let failure: Error | undefined;
  redis.on('error', (error: Error) => {
    failure = error;
  });
  let info: Record<string, string> = {};

  return {
    name: 'redis',
    close: async () => redis.disconnect(),
    checks: [
      {
        code: 'REDIS_AWAY',
        right: 'it answers',
        needed: true,
        todo: 'Start Redis, or mend host, port or password of REDIS_URL. Until then jobs start up to a second late, nobody can sign in, and live progress is slow.',
        look: async () => {
          try {
            await redis.connect();
            info = fieldsOf(await redis.info());
            return null;
          } catch (error) {
            throw failure ?? error;
          }
        },
      },
      {
        code: 'REDIS_TOO_OLD',
        right: `it is ${OLDEST.join('.')} or newer`,
        needed: true,
        todo: `Move to Redis ${OLDEST.join('.')} or newer, or Valkey. Nothing in it needs to be taken along.`,
        look: async () => {
          const [major = 0, minor = 0] = (info.redis_version ?? '').split('.').map(Number);
          const old = major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
          return old ? `It is ${info.redis_version}.` : null;
        },
      },
      {
        code: 'REDIS_EVICTS',
        right: 'it drops nothing when it is full (noeviction)',
        todo: 'Set maxmemory-policy noeviction: in redis.conf, or by CONFIG SET maxmemory-policy noeviction and CONFIG REWRITE.',
        look: async () => {
          const policy = info.maxmemory_policy;
          return policy === 'noeviction'
            ? null
            : `Its maxmemory-policy is ${policy}: it drops wake-ups and sign-in limits.`;
        },
      },
      {
        code: 'REDIS_NOT_PERSISTENT',
        right: 'it keeps its data over a restart',
        warning: true,
        todo: 'Set appendonly yes. Without it a restart forgets limits of failed sign-ins; uploads and jobs lose nothing.',
        look: async () => {
          if (info.aof_enabled !== '0') return null;
          // Hosted ones keep CONFIG to themselves, and have persistence of their own.
          const [, save] = await redis
            .config('GET', 'save')
            .then((answer) => answer as string[])
            .catch(() => ['save', '-']);
          return save === '' ? 'It has neither an append-only file nor snapshots.' : null;
        },
      },
    ],
  };
}

function fieldsOf(info: string): Record<string, string> {
  return Object.fromEntries(
    info
      .split('\r\n')
      .flatMap((line) =>
        line.includes(':') ? [[line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]] : [],
      ),
  );
}
