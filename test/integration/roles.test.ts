import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Injectable, Module } from '@nestjs/common';
import { Redis } from 'ioredis';
import WebSocket from 'ws';
import { Database } from '../../src/common/database/index.js';
import { defineJob, HandlesJob, Jobs, JobWorker, Periodically } from '../../src/common/jobs/index.js';
import {
  freePort,
  startApp,
  type TestApp,
  type TestDatabase,
  testDatabase,
  testRedis,
  until,
} from '../support/index.js';
import { type ServerProcess, serverProcess, sharedOptions } from '../support/server-process.js';
import { temporaryFolder } from '../support/servers.js';

const Count = defineJob<Record<string, never>>({ name: 'TestCount', queue: 'default' });
const CountOutward = defineJob<Record<string, never>>({ name: 'TestCountOutward', queue: 'push' });

@Injectable()
class Counters {
  jobs = 0;
  outward = 0;
  ticks = 0;
  sweeping = false;
  sweepEnded = false;

  @HandlesJob(Count)
  async count(): Promise<void> {
    this.jobs++;
  }

  @HandlesJob(CountOutward)
  async countOutward(): Promise<void> {
    this.outward++;
  }

  @Periodically(20)
  async tick(): Promise<void> {
    this.ticks++;
  }

  @Periodically(20)
  async sweep(signal: AbortSignal): Promise<void> {
    this.sweeping = true;
    if (!signal.aborted) await once(signal, 'abort');
    await pause(200);
    this.sweepEnded = true;
  }
}
@Module({ providers: [Counters] })
class CountersModule {}

describe('an api and a worker', () => {
  let api: TestApp;
  let worker: TestApp;
  beforeAll(async () => {
    api = await startApp({ role: 'api' }, [CountersModule]);
    const { databaseUrl, redisPrefix } = api.config;
    worker = await startApp({ role: 'worker', databaseUrl, redisPrefix }, [CountersModule]);
  });
  afterAll(async () => {
    await worker.stop();
    await api.stop();
  });

  it('share the work: all of it is the worker’s, woken by the api at once', async () => {
    const begun = performance.now();
    for (let done = 1; done <= 10; done++) {
      await api.get(Database).tx((tx) => api.get(Jobs).enqueue(tx, Count, {}));
      await until(
        async () => worker.get(Counters).jobs,
        (jobs) => jobs === done,
        5,
      );
    }
    // Found by looking once a second, ten jobs that wait for each other took six seconds.
    expect(performance.now() - begun).toBeLessThan(3_000);
    await until(
      async () => worker.get(Counters).ticks,
      (ticks) => ticks > 1,
    );
    expect(api.get(Counters)).toMatchObject({ jobs: 0, ticks: 0, sweeping: false });
  });

  it('share the work: what asks others outside is the api’s, whoever wants it', async () => {
    for (let done = 1; done <= 6; done++) {
      const by = done % 2 === 0 ? api : worker;
      await by.get(Database).tx((tx) => by.get(Jobs).enqueue(tx, CountOutward, {}));
      await until(
        async () => api.get(Counters).outward,
        (outward) => outward === done,
        5,
      );
    }
    expect(worker.get(Counters).outward).toBe(0);
  });

  it('differ in what they listen for', async () => {
    for (const path of ['/livez', '/readyz', '/metrics']) {
      for (const { url } of [api, worker]) expect((await fetch(url + path)).status).toBe(200);
    }
    const statusOf = async (url: string, method: string, path: string) =>
      (await fetch(url + path, { method, ...(method !== 'GET' && { body: '{}' }) })).status;
    for (const [method, path] of [
      ['POST', '/graphql'],
      ['GET', '/graphql?query={__typename}'],
      ['OPTIONS', '/graphql'],
      ['POST', '/graphql/stream'],
      ['GET', '/'],
      ['GET', '/assets/x.js'],
      ['GET', '/media/a/b/master.m3u8'],
      ['PUT', '/storage/incoming/a'],
      ['GET', '/livez/..%2fgraphql'],
      ['GET', '//graphql'],
    ] as const) {
      expect([method, path, await statusOf(worker.url, method, path)]).toEqual([method, path, 404]);
    }
    const socket = (url: string) => {
      const opened = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
      return Promise.race([
        once(opened, 'open').then(() => opened.terminate() ?? 101),
        once(opened, 'unexpected-response').then(([, response]) => response.statusCode as number),
      ]);
    };
    expect(await Promise.all([socket(api.url), socket(worker.url)])).toEqual([101, 404]);
  });
});

it('a drain waits for the periodic task at work, and tells it to stop', async () => {
  const app = await startApp({ role: 'worker' }, [CountersModule]);
  const counters = app.get(Counters);
  await until(
    async () => counters.sweeping,
    (sweeping) => sweeping,
    5,
  );
  await app.get(JobWorker).onModuleDestroy();
  expect(counters.sweepEnded).toBe(true);
  const { ticks } = counters;
  await pause(100);
  expect(counters.ticks).toBe(ticks);
  await app.stop();
});

describe('connections', () => {
  const documented = async (role: string) => {
    const page = await readFile(join(import.meta.dirname, '../../docs/operations/scaling.md'), 'utf8');
    return Number(new RegExp(`^\\| \`${role}\` \\|.*\\| (\\d+) \\|$`, 'm').exec(page)?.[1]);
  };

  it.each(['api', 'worker', 'all'] as const)('of ROLE=%s are as many as the page says', async (role) => {
    const redis = await testRedis();
    const look = new Redis(redis.url);
    const count = async () =>
      String(await look.client('LIST'))
        .trim()
        .split('\n').length;
    const before = await count();
    const app = await startApp({ role, redisUrl: redis.url, databasePoolSize: 3 }, [CountersModule]);
    // A health check has a connection of its own, from the first one on.
    await fetch(`${app.url}/readyz`);
    const opened = await until(count, (count) => count - before >= 3);
    // Connections that are made late would be there by now.
    await pause(500);
    expect({ role, redis: (await count()) - before, opened: opened > before }).toEqual({
      role,
      redis: await documented(role),
      opened: true,
    });

    const asked = Promise.all(Array.from({ length: 12 }, () => app.get(Database).query('SELECT pg_sleep(0.3)')));
    const [{ most }] = (await until(
      () =>
        app.database.query<{ most: number }>(
          `SELECT count(*)::int AS most FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT pg_sleep(0.3)'`,
        ),
      ([row]) => (row?.most ?? 0) >= 3,
      20,
    )) as [{ most: number }];
    expect(most).toBe(3);
    await asked;
    await app.stop();
    await until(count, (now) => now === before);
    look.disconnect();
    await redis.stop();
  });
});

describe('processes on one database', () => {
  let database: TestDatabase;
  let folder: string;
  let processes: ServerProcess[];
  beforeAll(async () => {
    [database, folder] = [await testDatabase(), await temporaryFolder()];
    await database.query('DROP SCHEMA public CASCADE');
    await database.query('CREATE SCHEMA public');
    const shared = { ...sharedOptions(database.url), DATA_DIR: folder, LOG_LEVEL: 'warn' };
    const roles = ['api', 'api', 'worker', 'worker', 'all'];
    processes = await Promise.all(
      roles.map(async (ROLE) => serverProcess(await freePort(), { ...shared, ROLE, DATABASE_POOL_SIZE: '3' })),
    );
  });
  afterAll(async () => {
    await Promise.all(processes.map((process) => process.kill()));
    await database.drop();
    await rm(folder, { recursive: true });
  });

  it('may all be the first: one migrates, the others wait', async () => {
    await Promise.all(processes.map((process) => process.start()));
    const files = await database.query('SELECT name FROM migration');
    expect(new Set(files.map(({ name }) => name)).size).toBe(files.length);
    expect(files.length).toBeGreaterThan(0);
    for (const process of processes) expect(process.output()).not.toMatch(/"level":"(warn|error)"/);
    // The link that makes the administrator is the same everywhere, and none of the workers' business.
    const links = processes.map((process) => /https?:\S+\/setup#\S+/.exec(process.output())?.[0].replace(/:\d+/, ''));
    expect(links[0]).toBeDefined();
    expect(links).toEqual([links[0], links[0], undefined, undefined, links[0]]);
  }, 90_000);

  it('go on when a newer build has migrated; one of them is not started again', async () => {
    await database.query(`INSERT INTO migration (name, sql_md5) VALUES ('29990101000000-of-tomorrow.sql', '')`);
    const [running, restarted] = processes as [ServerProcess, ServerProcess];
    expect((await fetch(`${running.url}/readyz`)).status).toBe(200);
    await restarted.drain();
    await expect(restarted.start()).rejects.toThrow(
      'The database is newer than this build: it has run 29990101000000-of-tomorrow.sql. Start the newer build.',
    );
    await database.query(`DELETE FROM migration WHERE name LIKE '2999%'`);
    await restarted.start();
  }, 60_000);

  it('end with 0 when they are told to', async () => {
    expect(await Promise.all(processes.map((process) => process.drain()))).toEqual([0, 0, 0, 0, 0]);
    expect(
      await database.query(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'sluice %'`,
      ),
    ).toEqual([]);
  }, 60_000);
});
