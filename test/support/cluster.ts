import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readSettings } from '../../src/common/config/index.js';
import type { ObjectStorage } from '../../src/modules/storage/index.js';
import { S3Storage } from '../../src/modules/storage/s3-storage.js';
import { freePort } from './app.js';
import { type TestDatabase, testDatabase } from './database.js';
import { type Edge, startEdge } from './edge.js';
import { storageOf } from './invariants.js';
import { startStore } from './object-store.js';
import { type TestRedis, testRedis } from './redis.js';
import { type ServerProcess, serverProcess, sharedOptions } from './server-process.js';
import { temporaryFolder } from './servers.js';

type Role = 'api' | 'worker';

export interface ClusterProcess extends ServerProcess {
  readonly role: Role;
  /** `api-1`, `worker-2` */
  readonly name: string;
}

export interface Cluster {
  /** Where clients go: the edge, or the first api process where there is none. */
  readonly url: string;
  readonly database: TestDatabase;
  readonly redis: TestRedis;
  /** What the processes store in. */
  readonly storage: ObjectStorage;
  readonly edge: Edge | null;
  /** Those that run, were killed or drained; not those that were scaled away. */
  all(role?: Role): ClusterProcess[];
  /** The process that has a connection of this name: they end in `PID@HOST`. */
  connectedAs(applicationName: string): ClusterProcess;
  /** Starts further ones at once, or drains the last ones. The edge knows as many apis as there were at the start. */
  scale(role: Role, count: number): Promise<void>;
  /** Drains it and starts it anew. @returns the exit code */
  restart(one: ClusterProcess): Promise<number | null>;
  /** The worker that runs a job of this name now. */
  workerWith(job: string): Promise<ClusterProcess | undefined>;
  /** The api process that answered a POST last. */
  answeredLast(): ClusterProcess;
  /** Ends everything however it is and removes whatever it had. */
  remove(): Promise<void>;
}

/**
 * The built server as processes by role on one database, one Redis and one store, behind the real edge.
 * @param options.store MinIO, or a disk that all share
 * @param options.env further options of every process
 */
export async function startCluster(options: {
  apis: number;
  workers: number;
  store: 'minio' | 'disk';
  edge?: boolean;
  env?: Record<string, string>;
}): Promise<Cluster> {
  const removals: (() => Promise<unknown>)[] = [];
  const remove = async () => {
    for (let next = removals.pop(); next; next = removals.pop()) await next();
  };
  try {
    return await start(options, removals, remove);
  } catch (error) {
    await remove();
    throw error;
  }
}

async function start(
  { apis, workers, store, edge: wantsEdge = true, env = {} }: Parameters<typeof startCluster>[0],
  removals: (() => Promise<unknown>)[],
  remove: () => Promise<void>,
): Promise<Cluster> {
  const folder = await temporaryFolder();
  removals.push(() => rm(folder, { recursive: true }));
  const database = await testDatabase();
  removals.push(() => database.drop());
  const redis = await testRedis();
  removals.push(() => redis.stop());
  const objects = store === 'minio' ? await startStore('minio') : null;
  if (objects) removals.push(() => objects.remove());
  const ports = await Promise.all(Array.from({ length: apis }, freePort));
  const edge = wantsEdge
    ? await startEdge({
        apis: ports.map((port) => `http://127.0.0.1:${port}`),
        ...(objects && { store: objects.url, bucket: objects.env.S3_BUCKET }),
      })
    : null;
  if (edge) removals.push(() => edge.stop());
  const url = edge?.url ?? `http://127.0.0.1:${ports[0]}`;
  const shared = {
    ...sharedOptions(database.url),
    REDIS_URL: redis.url,
    PUBLIC_URL: url,
    TRUST_PROXY: edge ? '1' : 'false',
    DATABASE_POOL_SIZE: '5',
    ENCODE_CONCURRENCY: '1',
    LOG_LEVEL: 'debug',
    ...objects?.env,
    ...(objects && edge && { S3_PUBLIC_ENDPOINT: edge.url }),
    ...env,
  };
  const disk = join(folder, 'shared');
  const { s3 } = readSettings(shared);

  const processes: ClusterProcess[] = [];
  removals.push(() => Promise.all(processes.map((process) => process.kill())));
  const make = async (role: Role, number: number): Promise<ClusterProcess> => {
    const name = `${role}-${number}`;
    // With the store on its own each has a disk of its own, as on machines of their own.
    const dataDir = s3 ? join(folder, name) : disk;
    await mkdir(dataDir, { recursive: true, mode: 0o711 });
    const port = role === 'api' ? ports[number - 1] : await freePort();
    if (port === undefined) throw new Error(`The edge knows ${ports.length} api processes.`);
    return { ...serverProcess(port, { ...shared, ROLE: role, DATA_DIR: dataDir }), role, name };
  };
  const all = (role?: Role) => processes.filter((process) => !role || process.role === role);
  const scale = async (role: Role, count: number) => {
    const now = all(role);
    const more = await Promise.all(
      Array.from({ length: Math.max(0, count - now.length) }, (_, index) => make(role, now.length + index + 1)),
    );
    processes.push(...more);
    const fewer = now.slice(count);
    await Promise.all([...more.map((process) => process.start()), ...fewer.map((process) => process.drain())]);
    for (const process of fewer) processes.splice(processes.indexOf(process), 1);
  };
  await Promise.all([scale('api', apis), scale('worker', workers)]);

  return {
    url,
    database,
    redis,
    storage: s3 ? new S3Storage(s3) : storageOf(disk),
    edge,
    all,
    connectedAs: (applicationName) => {
      const process = processes.find((process) => applicationName.includes(` ${process.pid()}@`));
      if (!process) throw new Error(`There is no ${applicationName}.`);
      return process;
    },
    scale,
    restart: async (one) => {
      const code = await one.drain();
      await one.start();
      return code;
    },
    workerWith: async (job) => {
      const leases = await database.query<{ lease: string }>(
        `SELECT lease FROM job WHERE name = $1 AND state = 'RUNNING'`,
        [job],
      );
      return all('worker').find((worker) => leases.some(({ lease }) => worker.output().includes(lease)));
    },
    answeredLast: () => {
      const times = all('api').map((api) => ({ api, at: api.output().match(LAST_ANSWER)?.[1] ?? '' }));
      return times.reduce((latest, next) => (next.at > latest.at ? next : latest)).api;
    },
    remove,
  };
}

const LAST_ANSWER = /.*"time":"([^"]+)".*"method":"POST".*"answered"/s;
