import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Abstract, Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { type Config, readSettings } from '../../src/common/config/index.js';
import { type TestDatabase, testDatabase } from './database.js';
import { type GraphqlAnswer, graphql } from './graphql.js';
import { deleteKeys, sharedRedisUrl } from './redis.js';
import { temporaryFolder } from './servers.js';

export interface TestApp {
  readonly nest: NestFastifyApplication;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly config: Config;
  readonly database: TestDatabase;
  /** A provider, wherever in the application it is. */
  get<T>(token: Type<T> | Abstract<T> | symbol): T;
  graphql<Data = Record<string, unknown>>(
    query: string,
    variables?: Record<string, unknown>,
    accessToken?: string,
  ): Promise<GraphqlAnswer<Data>>;
  /** Drains it and removes whatever it had. */
  stop(): Promise<void>;
}

/**
 * The real application in this process, listening on a free port, with a database, Redis keys and a DATA_DIR of its own.
 * @param changes what differs from the default configuration
 * @param more modules beside it, with jobs or operations of the test's own
 */
export async function startApp(changes: Partial<Config> = {}, more: Type[] = []): Promise<TestApp> {
  const database = await testDatabase();
  const dataDir = await temporaryFolder();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const redisPrefix = `test-${randomUUID()}:`;
  const config: Config = Object.freeze({
    ...readSettings({}),
    logLevel: 'silent',
    port,
    publicUrl: url,
    dataDir,
    databaseUrl: database.url,
    redisUrl: sharedRedisUrl(),
    redisPrefix,
    tokenSecret: randomUUID(),
    storageSecret: randomUUID(),
    playbackSecret: randomUUID(),
    ...changes,
  });
  const { createApp } = await import('../../src/create-app.js');
  const nest = await createApp(config, more);
  await nest.listen(config.port, config.host);
  return {
    nest,
    url,
    config,
    database,
    get: (token) => nest.get(token, { strict: false }),
    graphql: (query, variables, accessToken) => graphql(url, query, variables, accessToken),
    stop: async () => {
      await nest.close();
      await database.drop();
      await deleteKeys(redisPrefix);
      await rm(dataDir, { recursive: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}
