import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config, Settings } from '../common/config/index.js';
import { DataDirHeld, lockDataDir } from './data-dir-lock.js';
import { joinPostgres, startPostgres } from './postgres.js';
import { joinRedis, startRedis } from './redis.js';
import { secretIn } from './secrets.js';
import { stopLeftover } from './server.js';

/**
 * Starts what the settings do not name, side by side, and generates the secrets that they leave out.
 * @param options.join use the servers of another Sluice that runs on the same DATA_DIR, where there is one
 * @throws DataDirHeld when another Sluice runs embedded servers on the same DATA_DIR
 */
export async function embed(
  settings: Settings,
  options: { join?: boolean } = {},
): Promise<{ config: Config; stop(): Promise<void> }> {
  const { dataDir } = settings;
  // Others may pass through: PostgreSQL's account and the sandbox's. What they must not read has a mode of its own.
  await mkdir(dataDir, { recursive: true, mode: 0o711 });
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (let next = stops.pop(); next; next = stops.pop()) await next();
  };
  let joined = false;
  if (settings.databaseUrl === null || settings.redisUrl === null) {
    try {
      stops.push(await lockDataDir(dataDir, settings.publicUrl));
    } catch (error) {
      if (!(options.join && error instanceof DataDirHeld)) throw error;
      joined = true;
    }
  }

  const started = async (server: Promise<{ url: string; stop(): Promise<void> }>): Promise<string> => {
    const { url, stop } = await server;
    stops.push(stop);
    return url;
  };
  const secret = async (given: string | null, name: string) => {
    if (given !== null) return given;
    await mkdir(join(dataDir, 'secrets'), { recursive: true, mode: 0o700 });
    return secretIn(join(dataDir, 'secrets', name));
  };
  const [postgres, redis] = [join(dataDir, 'postgres'), join(dataDir, 'redis')];
  const parts = await Promise.allSettled([
    settings.databaseUrl ??
      (joined ? joinPostgres(postgres) : started(startPostgres({ dir: postgres, durable: true }))),
    settings.redisUrl ?? (joined ? joinRedis(redis) : started(startRedis({ dir: redis, durable: true }))),
    secret(settings.tokenSecret, 'token'),
    secret(settings.storageSecret, 'storage'),
    secret(settings.playbackSecret, 'playback'),
  ] as const);
  const failed = parts.find((part) => part.status === 'rejected');
  if (failed) {
    await stop();
    throw failed.reason;
  }
  const [databaseUrl, redisUrl, tokenSecret, storageSecret, playbackSecret] = parts.map(
    (part) => (part as PromiseFulfilledResult<string>).value,
  ) as [string, string, string, string, string];
  return {
    config: Object.freeze({ ...settings, databaseUrl, redisUrl, tokenSecret, storageSecret, playbackSecret }),
    stop,
  };
}

/** Stops the servers that a crashed process left running on `dataDir`. A start on the same folder does this by itself. */
export async function stopLeftovers(dataDir: string): Promise<void> {
  await Promise.all([
    stopLeftover(join(dataDir, 'postgres', 'running'), ['SIGINT', 'SIGQUIT']),
    stopLeftover(join(dataDir, 'redis', 'running'), ['SIGTERM', 'SIGKILL']),
  ]);
}
