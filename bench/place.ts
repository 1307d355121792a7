import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { readSettings } from '../src/common/config/index.js';
import { migrate } from '../src/common/database/migrations.js';
import { embed } from '../src/embedded/index.js';
import type { Load, LoadResult } from './load.js';

const root = fileURLToPath(new URL('../', import.meta.url));
const READY_MS = 60_000;

export interface Server {
  url: string;
  pid: number;
}

/** A PostgreSQL, a Redis and a folder of the benchmark's own, and what it starts on them. `close` ends and removes all. */
export class Place {
  readonly secret = 'a secret of the benchmark, long enough';
  private readonly stops: (() => Promise<unknown>)[] = [];
  private closing: Promise<void> | undefined;
  private loader: ChildProcess;

  private constructor(
    readonly folder: string,
    readonly databaseUrl: string,
    readonly redisUrl: string,
    readonly db: pg.Pool,
  ) {}

  /** @param sharedBuffers of PostgreSQL, in place of its 128 MB: it is started anew with them */
  static async open(sharedBuffers?: string): Promise<Place> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
    await chmod(folder, 0o711);
    const settings = readSettings({ DATA_DIR: join(folder, 'servers') });
    const start = async () => {
      const servers = await embed(settings);
      if (sharedBuffers === undefined) return servers;
      await appendFile(
        join(folder, 'servers/postgres/data/postgresql.auto.conf'),
        `shared_buffers = ${sharedBuffers}\n`,
      );
      await servers.stop();
      return embed(settings);
    };
    const { config, stop } = await start().catch(async (error) => {
      await rm(folder, { recursive: true, force: true });
      throw error;
    });
    await migrate(config.databaseUrl, join(root, 'migrations/'));
    const db = new pg.Pool({ connectionString: config.databaseUrl });
    const place = new Place(folder, config.databaseUrl, config.redisUrl, db);
    place.stops.push(
      () => rm(folder, { recursive: true, force: true }),
      stop,
      () => db.end(),
    );
    place.loader = fork(join(root, 'bench/load.ts'), { execArgv: ['--import', join(root, 'bench/typescript.mjs')] });
    place.onClose(() => end(place.loader));
    return place;
  }

  /** The process that the load comes from, which is no part of what is measured. */
  isLoader(pid: number): boolean {
    return pid === this.loader.pid;
  }

  onClose(stop: () => Promise<unknown>): void {
    this.stops.push(stop);
  }

  /** Of a server that listens on `PORT` and is ready once `path` answers 200. `BENCH_NODE_OPTIONS` profiles it, say. */
  async start(file: string, path: string, env: Record<string, string> = {}, readyMs = READY_MS): Promise<Server> {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const options = (process.env.BENCH_NODE_OPTIONS ?? '').split(' ').filter(Boolean);
    const loader = file.endsWith('.ts') ? ['--import', join(root, 'bench/typescript.mjs')] : [];
    const child = spawn(process.execPath, [...options, ...loader, join(root, file)], {
      env: {
        PATH: process.env.PATH,
        NODE_ENV: 'production',
        PORT: String(port),
        PUBLIC_URL: url,
        DATA_DIR: join(this.folder, 'data'),
        DATABASE_URL: this.databaseUrl,
        REDIS_URL: this.redisUrl,
        TOKEN_SECRET: this.secret,
        STORAGE_SECRET: this.secret,
        PLAYBACK_SECRET: this.secret,
        // Counted as ever, and out of the reach of a load that comes from one address.
        RATE_LIMIT_FACTOR: '1000',
        ...env,
      },
      // The log goes nowhere, and is written all the same.
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.onClose(() => end(child));
    await this.answers(`${url}${path}`, () => child.exitCode === null, readyMs);
    return { url, pid: child.pid as number };
  }

  async answers(url: string, isRunning: () => boolean, readyMs = READY_MS): Promise<void> {
    const until = performance.now() + readyMs;
    while (
      !(await fetch(url).then(
        (response) => response.ok,
        () => false,
      ))
    ) {
      if (!isRunning() || performance.now() > until) throw new Error(`${url} did not become ready.`);
      await pause(50);
    }
  }

  async load(load: Load): Promise<LoadResult> {
    this.loader.send(load);
    const [{ result, error }] = (await once(this.loader, 'message')) as [{ result: LoadResult; error?: string }];
    if (error) throw new Error(`The load failed: ${error}`);
    if (result.failures > 0) throw new Error(`${result.failures} of ${result.requests} answers were not 200.`);
    return result;
  }

  /** Once, whoever asks: a signal, or the end. */
  close(): Promise<void> {
    this.closing ??= this.stopAll();
    return this.closing;
  }

  private async stopAll(): Promise<void> {
    for (let stop = this.stops.pop(); stop; stop = this.stops.pop()) await stop();
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}

export async function graphql<Data>(url: string, query: string, variables: object = {}, token?: string): Promise<Data> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables }),
  });
  const answer = (await response.json()) as { data: Data; errors?: unknown };
  if (answer.errors) throw new Error(JSON.stringify(answer.errors));
  return answer.data;
}
