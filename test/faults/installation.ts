import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { readSettings } from '../../src/common/config/index.js';
import { migrate } from '../../src/common/database/migrations.js';
import { startPostgres } from '../../src/embedded/index.js';
import { S3Storage } from '../../src/modules/storage/s3-storage.js';
import { freePort } from '../support/app.js';
import {
  type Link,
  startLink,
  type TestDatabase,
  type TestRedis,
  temporaryFolder,
  testRedis,
} from '../support/index.js';
import { startStore } from '../support/object-store.js';
import { type ServerProcess, serverProcess, sharedOptions } from '../support/server-process.js';

/** What stands between everybody and the store. */
export interface StoreFront {
  readonly url: string;
  /** What is answered in the store's place, until it is called off. */
  refuse(status: 503 | 507): () => void;
  /** So many writes are done, and their answers never arrive. */
  loseAnswers(count: number): void;
  /** So many PUTs of clients come after their signature's end. */
  expireTargets(count: number): void;
  cut(): void;
  /** Nothing that was asked for is still to come. */
  calm(): void;
}

export interface Installation {
  /** Where clients go: a bad link to whichever api process is up. */
  readonly link: Link;
  /** The same past the link: for what is no part of a schedule. */
  readonly front: string;
  readonly apis: readonly ServerProcess[];
  /** The first of the workers. */
  readonly worker: ServerProcess;
  readonly workers: readonly ServerProcess[];
  /** Where a process has its files. */
  dataDirOf(server: ServerProcess): string;
  readonly database: TestDatabase;
  readonly redis: TestRedis;
  readonly store: StoreFront;
  /** Past everything. */
  readonly storage: S3Storage;
  /** Immediate shutdown, as a crash; it comes back by itself. */
  crashPostgres(): Promise<void>;
  /** Options with which a server's clock is so far off. */
  clockOff(ms: number): Record<string, string>;
  remove(): Promise<void>;
}

/**
 * Two api processes and workers on a PostgreSQL, a Redis and a MinIO of their own, all of which can be taken away.
 * @param options.env further options of every process
 */
export async function startInstallation(
  bytesPerSecond: number,
  options: { workers?: number; env?: Record<string, string> } = {},
): Promise<Installation> {
  const removals: (() => unknown)[] = [];
  const remove = async () => {
    for (let next = removals.pop(); next; next = removals.pop()) await next();
  };
  try {
    const folder = await temporaryFolder();
    removals.push(() => rm(folder, { recursive: true, force: true }));
    // Durable: what it acknowledged must be there after a crash.
    const dir = join(folder, 'postgres');
    const postgres = await startPostgres({ dir, durable: true });
    removals.push(() => postgres.stop());
    await migrate(postgres.url, join(import.meta.dirname, '../../migrations'));
    const pool = new pg.Pool({ connectionString: postgres.url, max: 4 });
    pool.on('error', () => undefined);
    removals.push(() => pool.end());
    const redis = await testRedis();
    removals.push(() => redis.stop());
    const minio = await startStore('minio');
    removals.push(() => minio.remove());
    const store = await startStoreFront(minio.url);
    removals.push(() => store.stop());

    const ports = [await freePort(), await freePort()];
    const front = await startFront(ports);
    removals.push(() => front.stop());
    const link = await startLink(front.url, { bytesPerSecond });
    removals.push(() => link.stop());

    const shim = join(folder, 'clock.cjs');
    await writeFile(shim, CLOCK);
    const shared = {
      ...sharedOptions(postgres.url),
      REDIS_URL: redis.url,
      PUBLIC_URL: link.url,
      DATABASE_POOL_SIZE: '5',
      ENCODE_CONCURRENCY: '1',
      LOG_LEVEL: 'info',
      RATE_LIMIT_FACTOR: '0',
      ...minio.env,
      S3_ENDPOINT: store.url,
      ...options.env,
    };
    const dataDirs = new Map<ServerProcess, string>();
    const make = async (name: string, role: string, port: number) => {
      const dataDir = join(folder, name);
      await mkdir(dataDir, { mode: 0o711 });
      const server = serverProcess(port, { ...shared, ROLE: role, DATA_DIR: dataDir });
      removals.push(() => server.kill());
      dataDirs.set(server, dataDir);
      await server.start();
      return server;
    };
    const apis = await Promise.all(ports.map((port, k) => make(`api-${k}`, 'api', port)));
    const workers: ServerProcess[] = [];
    for (let k = 0; k < (options.workers ?? 1); k++) {
      workers.push(await make(`worker-${k}`, 'worker', await freePort()));
    }
    const { s3 } = readSettings({ ...minio.env });
    if (!s3) throw new Error('The store has no configuration.');
    const storage = new S3Storage(s3);
    removals.push(() => storage.onApplicationShutdown());
    return {
      link,
      front: front.url,
      apis,
      worker: workers[0] as ServerProcess,
      workers,
      dataDirOf: (server) => dataDirs.get(server) as string,
      redis,
      store,
      storage,
      database: {
        url: postgres.url,
        query: async <Row extends pg.QueryResultRow>(sql: string, values?: unknown[]) =>
          (await pool.query<Row>(sql, values)).rows,
        drop: async () => undefined,
      },
      crashPostgres: async () => {
        const { pid } = JSON.parse(await readFile(join(dir, 'running'), 'utf8')) as { pid: number };
        try {
          process.kill(pid, 'SIGQUIT');
        } catch (error) {
          // It has crashed a moment ago, and is not back yet.
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
        }
      },
      clockOff: (ms) => ({ NODE_OPTIONS: `--require ${shim}`, CLOCK_OFF_MS: String(ms) }),
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

const CLOCK = `const off = Number(process.env.CLOCK_OFF_MS);
const Right = Date;
globalThis.Date = class Date extends Right {
  constructor(...given) { if (given.length > 0) super(...given); else super(Right.now() + off); }
  static now() { return Right.now() + off; }
};`;

/** Each connection goes to the next api process that takes it. */
async function startFront(to: readonly number[]): Promise<{ url: string; stop(): void }> {
  let turn = 0;
  const server = createServer((client) => {
    const first = turn++;
    client.on('error', () => undefined);
    const through = (attempt: number): void => {
      const upstream = connect(to[(first + attempt) % to.length] as number, '127.0.0.1');
      let connected = false;
      upstream.once('connect', () => {
        connected = true;
        client.pipe(upstream).pipe(client);
      });
      upstream.on('error', () => {
        if (!connected && attempt + 1 < to.length) through(attempt + 1);
        else client.destroy();
      });
      upstream.once('close', () => connected && client.destroy());
      client.once('close', () => upstream.destroy());
    };
    through(0);
  });
  return { url: await listen(server), stop: () => server.close() };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function startStoreFront(store: string): Promise<StoreFront & { stop(): void }> {
  const { port } = new URL(store);
  let refusals: number[] = [];
  let lost = 0;
  let expired = 0;
  const error = (response: ServerResponse, status: number, code: string) =>
    response.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code></Error>`);
  const server = http.createServer((request: IncomingMessage, response: ServerResponse) => {
    const writes = request.method === 'PUT' || request.method === 'POST' || request.method === 'DELETE';
    const [status] = refusals;
    if (status === 503 || (status === 507 && request.method === 'PUT')) {
      request.resume();
      error(response, status, status === 503 ? 'SlowDown' : 'XMinioStorageFull');
      return;
    }
    if (expired > 0 && request.method === 'PUT' && request.url?.includes('/incoming/')) {
      expired--;
      request.resume();
      error(response, 403, 'AccessDenied');
      return;
    }
    const upstream = http.request(
      { host: '127.0.0.1', port, method: request.method, path: request.url, headers: request.headers, agent: false },
      (answer) => {
        if (writes && lost > 0) {
          lost--;
          answer.resume();
          request.socket.destroy();
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
        answer.pipe(response);
        answer.on('error', () => response.destroy());
      },
    );
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.on('error', () => upstream.destroy());
    request.pipe(upstream);
  });
  return {
    url: await listen(server),
    refuse: (status) => {
      refusals = [...refusals, status];
      return () => {
        refusals = refusals.slice(1);
      };
    },
    loseAnswers: (count) => {
      lost += count;
    },
    expireTargets: (count) => {
      expired += count;
    },
    cut: () => server.closeAllConnections(),
    calm: () => {
      lost = 0;
      expired = 0;
    },
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
