import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'minio';
import { ensureStore } from '../../scripts/object-stores.mjs';
import { freePort } from './app.js';
import { temporaryFolder } from './servers.js';

const READY_MS = 30_000;

export interface ObjectStore {
  readonly url: string;
  /** The options of an application on this store, with a bucket of its own. */
  readonly env: Readonly<Record<'S3_ENDPOINT' | 'S3_BUCKET' | 'S3_REGION' | 'S3_ACCESS_KEY' | 'S3_SECRET_KEY', string>>;
  pid(): number;
  /** kill -9, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it anew on the same data and waits until it answers. */
  start(): Promise<void>;
  /** Ends it and removes what it held. */
  remove(): Promise<void>;
}

/** A real S3 store as a process of its own on an own folder and a free port. */
export async function startStore(name: 'minio' | 'versitygw'): Promise<ObjectStore> {
  const binary = ensureStore(name);
  const folder = await temporaryFolder();
  const port = await freePort();
  const [accessKey, secretKey] = [randomBytes(8).toString('hex'), randomBytes(16).toString('hex')];
  const data = join(folder, 'data');
  await mkdir(data);
  const command =
    name === 'minio'
      ? {
          args: ['server', '--quiet', '--address', `127.0.0.1:${port}`, data],
          env: {
            MINIO_ROOT_USER: accessKey,
            MINIO_ROOT_PASSWORD: secretKey,
            MINIO_BROWSER: 'off',
            MINIO_UPDATE: 'off',
          },
        }
      : {
          args: ['--port', `127.0.0.1:${port}`, 'posix', data],
          env: { ROOT_ACCESS_KEY: accessKey, ROOT_SECRET_KEY: secretKey },
        };
  const client = new Client({ endPoint: '127.0.0.1', port, useSSL: false, accessKey, secretKey, region: 'us-east-1' });
  const env = {
    S3_ENDPOINT: `http://127.0.0.1:${port}`,
    S3_BUCKET: `sluice-${randomBytes(6).toString('hex')}`,
    S3_REGION: 'us-east-1',
    S3_ACCESS_KEY: accessKey,
    S3_SECRET_KEY: secretKey,
  };
  let child: ChildProcess;
  let output = '';
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const kill = async () => {
    if (hasEnded()) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  const start = async () => {
    child = spawn(binary, command.args, { env: { PATH: process.env.PATH, HOME: folder, ...command.env } });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes) => (output += bytes));
    for (const deadline = Date.now() + READY_MS; ; await pause(50)) {
      if (hasEnded() || Date.now() > deadline) throw new Error(`${name} did not become ready. Its output:\n${output}`);
      if (await client.listBuckets().then(Boolean, () => false)) return;
    }
  };
  await start();
  await client.makeBucket(env.S3_BUCKET, env.S3_REGION);
  return {
    url: env.S3_ENDPOINT,
    env,
    pid: () => child.pid as number,
    kill,
    start,
    remove: async () => {
      await kill();
      await rm(folder, { recursive: true });
    },
  };
}
