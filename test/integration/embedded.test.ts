import { execFile } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { readSettings } from '../../src/common/config/index.js';
import {
  DataDirHeld,
  embed,
  holderOf,
  identityOf,
  isRunning,
  lockDataDir,
  type ProcessIdentity,
} from '../../src/embedded/index.js';
import { temporaryFolder } from '../support/index.js';

let dataDir: string;
beforeEach(async () => {
  dataDir = await temporaryFolder();
});
afterEach(() => rm(dataDir, { recursive: true }));

/** A process id that belongs to nobody any more. */
function endedProcess(): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = execFile('true', (error) => (error ? reject(error) : resolve(child.pid as number)));
  });
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const runningOf = (server: string) =>
  JSON.parse(readFileSync(join(dataDir, server, 'running'), 'utf8')) as ProcessIdentity;

it('starts, keeps and stops what is not configured', async () => {
  const settings = { ...readSettings({}), dataDir };
  const first = await embed(settings);
  const servers = [runningOf('postgres'), runningOf('redis')];
  expect(servers.every(isRunning)).toBe(true);
  await query(first.config.databaseUrl, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const redis = new Redis(first.config.redisUrl);
  await redis.set('kept', 'yes');
  expect(await redis.config('GET', 'maxmemory-policy')).toEqual(['maxmemory-policy', 'noeviction']);
  expect(await redis.config('GET', 'bind')).toEqual(['bind', '127.0.0.1']);
  redis.disconnect();
  expect(await query(first.config.databaseUrl, 'SHOW fsync')).toEqual([{ fsync: 'on' }]);
  expect(await query(first.config.databaseUrl, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
  expect(await query(first.config.databaseUrl, 'SELECT usesuper FROM pg_user WHERE usename = current_user')).toEqual([
    { usesuper: false },
  ]);

  await first.stop();
  expect(servers.some(isRunning)).toBe(false);

  const second = await embed(settings);
  try {
    expect(await query(second.config.databaseUrl, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
    const again = new Redis(second.config.redisUrl);
    expect(await again.get('kept')).toBe('yes');
    again.disconnect();
    for (const name of ['token', 'storage', 'playback'] as const) {
      expect(second.config[`${name}Secret`]).toBe(first.config[`${name}Secret`]);
      expect(statSync(join(dataDir, 'secrets', name)).mode & 0o777).toBe(0o600);
    }
  } finally {
    await second.stop();
  }
});

it('wants the password on both', async () => {
  const { config, stop } = await embed({ ...readSettings({}), dataDir });
  try {
    const wrong = (url: string) => {
      const changed = new URL(url);
      changed.password = 'wrong';
      return changed.href;
    };
    await expect(query(wrong(config.databaseUrl), 'SELECT 1')).rejects.toThrow('password authentication failed');
    const superuser = new URL(config.databaseUrl);
    superuser.username = 'postgres';
    await expect(query(superuser.href, 'SELECT 1')).rejects.toThrow('no pg_hba.conf entry');
    const redis = new Redis(wrong(config.redisUrl), { retryStrategy: () => null, maxRetriesPerRequest: 0 });
    redis.on('error', () => undefined);
    await expect(redis.get('x')).rejects.toThrow(/NOAUTH|WRONGPASS/);
    redis.disconnect();
  } finally {
    await stop();
  }
});

it('starts a server that was killed again, on the same port', async () => {
  const { config, stop } = await embed({ ...readSettings({}), dataDir });
  try {
    const before = runningOf('postgres');
    process.kill(before.pid, 'SIGKILL');
    for (let answer = false; !answer; ) {
      answer = await query(config.databaseUrl, 'SELECT 1').then(
        () => runningOf('postgres').pid !== before.pid,
        () => false,
      );
    }
  } finally {
    await stop();
  }
});

it('lets one at a time have a DATA_DIR, and says who has it', async () => {
  const release = await lockDataDir(dataDir, 'http://localhost:3000');
  await expect(lockDataDir(dataDir, 'http://localhost:4000')).rejects.toThrow(
    `${dataDir} is in use: Sluice runs on it with process id ${process.pid}, at http://localhost:3000.`,
  );
  expect(await holderOf(dataDir)).toMatchObject({ pid: process.pid, url: 'http://localhost:3000' });
  await release();
  expect(await holderOf(dataDir)).toBeNull();
  await (await lockDataDir(dataDir, 'http://localhost:4000'))();
});

it.each([
  ['of a process that ended', async () => ({ pid: await endedProcess(), started: '1' })],
  ['of a process whose id another has now', async () => ({ ...identityOf(process.pid), started: 'earlier' })],
])('takes over the lock %s, and only one of many does', async (_, left) => {
  await mkdir(join(dataDir, 'lock'));
  await writeFile(join(dataDir, 'lock', '7'), JSON.stringify({ ...(await left()), url: 'http://localhost:1' }));
  const tries = await Promise.allSettled(Array.from({ length: 20 }, () => lockDataDir(dataDir, 'http://localhost:2')));
  expect(tries.filter((one) => one.status === 'fulfilled')).toHaveLength(1);
  for (const one of tries) if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(DataDirHeld);
  expect(await readdir(join(dataDir, 'lock'))).toHaveLength(1);
});

it('stops nothing and frees the lock when a part does not start', async () => {
  await writeFile(join(dataDir, 'postgres'), 'not a folder');
  await expect(embed({ ...readSettings({}), dataDir })).rejects.toThrow();
  expect(await holderOf(dataDir)).toBeNull();
  expect(() => runningOf('redis')).toThrow('ENOENT');
});
