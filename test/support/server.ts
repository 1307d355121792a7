import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { stopLeftovers } from '../../src/embedded/index.js';
import { freePort } from './app.js';
import { type TestDatabase, testDatabase } from './database.js';
import { type GraphqlAnswer, graphql } from './graphql.js';
import { deleteKeys, sharedRedisUrl } from './redis.js';
import { temporaryFolder } from './servers.js';

const READY_MS = 30_000;

export interface TestServer {
  readonly url: string;
  readonly dataDir: string;
  /** Its options as it runs now. */
  env(): Record<string, string>;
  /** Null with `embedded`. */
  readonly database: TestDatabase | null;
  /** Of the process that runs now. */
  pid(): number;
  /** All that was written so far, by every process that ran. */
  output(): string;
  graphql<Data = Record<string, unknown>>(
    query: string,
    variables?: Record<string, unknown>,
    accessToken?: string,
  ): Promise<GraphqlAnswer<Data>>;
  /** kill -9, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it anew on the same data and waits for /readyz. @returns milliseconds until then */
  start(env?: Record<string, string>): Promise<number>;
  /** SIGTERM. @returns the exit code */
  drain(): Promise<number | null>;
  /** Ends it however it is and removes whatever it had. */
  remove(): Promise<void>;
}

/**
 * The built server (`dist/main.js`) as a process of its own, for tests that kill it.
 * @param options.embedded with its own PostgreSQL and Redis on its DATA_DIR, as `npm start` has it; otherwise with a
 * database of its own on the run's servers
 * @param options.env further options, such as REDIS_URL
 */
export async function spawnServer(
  options: { embedded?: boolean; env?: Record<string, string> } = {},
): Promise<TestServer> {
  const database = options.embedded ? null : await testDatabase();
  const dataDir = await temporaryFolder();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const redisPrefix = `test-${randomUUID()}:`;
  const secret = randomUUID();
  const env: Record<string, string> = {
    PATH: process.env.PATH as string,
    NODE_ENV: 'production',
    PORT: String(port),
    PUBLIC_URL: url,
    DATA_DIR: dataDir,
    ...(database && {
      DATABASE_URL: database.url,
      REDIS_URL: sharedRedisUrl(),
      REDIS_PREFIX: redisPrefix,
      TOKEN_SECRET: secret,
      STORAGE_SECRET: secret,
      PLAYBACK_SECRET: secret,
    }),
    ...options.env,
  };
  let running = env;
  let child: ChildProcess;
  let output = '';

  const isReady = () =>
    fetch(`${url}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (!hasEnded()) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    return child.exitCode;
  };
  const server: TestServer = {
    url,
    dataDir,
    env: () => running,
    database,
    pid: () => child.pid as number,
    output: () => output,
    graphql: (query, variables, accessToken) => graphql(url, query, variables, accessToken),
    start: async (more = {}) => {
      const begun = performance.now();
      running = { ...env, ...more };
      child = spawn(process.execPath, ['--enable-source-maps', join(import.meta.dirname, '../../dist/main.js')], {
        env: running,
      });
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes) => (output += bytes));
      while (!(await isReady())) {
        if (hasEnded() || performance.now() - begun > READY_MS)
          throw new Error(`The server did not become ready. Its output:\n${output}`);
        await pause(20);
      }
      return performance.now() - begun;
    },
    kill: async () => {
      await end('SIGKILL');
    },
    drain: () => end('SIGTERM'),
    remove: async () => {
      await end('SIGKILL');
      await stopLeftovers(dataDir);
      if (database) {
        await database.drop();
        await deleteKeys(redisPrefix);
      }
      await rm(dataDir, { recursive: true });
    },
  };
  await server.start();
  return server;
}
