import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from 'minio';
import { ensureStore } from '../../scripts/object-stores.mjs';
import { readSettings, type S3Config } from '../../src/common/config/index.js';
import { freePort } from './app.js';
import { temporaryFolder } from './servers.js';

const READY_MS = 30_000;

export interface ObjectStore {
  readonly url: string;
  /** The options of an application on this store, with a bucket of its own. */
  readonly env: Readonly<
    Record<'S3_ENDPOINT' | 'S3_BUCKET' | 'S3_REGION' | 'S3_ACCESS_KEY' | 'S3_SECRET_KEY', string>
  > & {
    readonly S3_CA_FILE?: string;
  };
  pid(): number;
  /** kill -9, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it anew on the same data and waits until it answers. */
  start(): Promise<void>;
  /** Ends it and removes what it held. */
  remove(): Promise<void>;
}

export type StoreName = 'minio' | 'versitygw';

export interface StoreOptions {
  /** Buckets are hosts of this domain, too. */
  domain?: string;
  /** With a certificate for 127.0.0.1 and localhost that an authority of its own signed: S3_CA_FILE. */
  tls?: boolean;
  /** Its disk holds no more. */
  mebibytes?: number;
}

/** A real S3 store as a process of its own on an own folder and a free port. */
export async function startStore(name: StoreName, { domain, tls, mebibytes }: StoreOptions = {}): Promise<ObjectStore> {
  const binary = ensureStore(name);
  const folder = await temporaryFolder();
  const port = await freePort();
  const [accessKey, secretKey] = [randomBytes(8).toString('hex'), randomBytes(16).toString('hex')];
  const data = join(folder, 'data');
  await mkdir(data);
  const certificate = tls ? await selfSigned(join(folder, 'certs')) : null;
  const ca = certificate && (await readFile(certificate.caFile));
  const command =
    name === 'minio'
      ? {
          args: [
            ...['server', '--quiet', '--address', `127.0.0.1:${port}`],
            ...(certificate ? ['--certs-dir', certificate.folder] : []),
            data,
          ],
          env: {
            MINIO_ROOT_USER: accessKey,
            MINIO_ROOT_PASSWORD: secretKey,
            MINIO_BROWSER: 'off',
            MINIO_UPDATE: 'off',
            ...(domain && { MINIO_DOMAIN: domain }),
          },
        }
      : {
          args: [
            ...['--port', `127.0.0.1:${port}`],
            ...(domain ? ['--virtual-domain', `${domain}:${port}`] : []),
            ...(certificate ? ['--cert', certificate.certFile, '--key', certificate.keyFile] : []),
            ...['posix', data],
          ],
          env: { ROOT_ACCESS_KEY: accessKey, ROOT_SECRET_KEY: secretKey },
        };
  const client = new Client({
    endPoint: '127.0.0.1',
    port,
    useSSL: ca !== null,
    accessKey,
    secretKey,
    region: 'us-east-1',
    ...(ca && { transportAgent: new Agent({ ca }) }),
  });
  const env = {
    S3_ENDPOINT: `${certificate ? 'https' : 'http'}://${domain ?? '127.0.0.1'}:${port}`,
    S3_BUCKET: `sluice-${randomBytes(6).toString('hex')}`,
    S3_REGION: 'us-east-1',
    S3_ACCESS_KEY: accessKey,
    S3_SECRET_KEY: secretKey,
    ...(certificate && { S3_CA_FILE: certificate.caFile }),
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
    // A small disk of the process's own, gone with it.
    const mount = 'mount -t tmpfs -o size="$1"m tmpfs "$2" && shift 2 && exec "$@"';
    const small = mebibytes ? ['--map-root-user', '--mount', 'sh', '-c', mount, 'sh', String(mebibytes), data] : [];
    child = spawn(mebibytes ? 'unshare' : binary, [...small, ...(mebibytes ? [binary] : []), ...command.args], {
      env: { PATH: process.env.PATH, HOME: folder, ...command.env },
    });
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

/** A certificate for this machine and the authority that signed it, under the names that MinIO looks for. */
export async function selfSigned(
  folder: string,
): Promise<{ folder: string; caFile: string; certFile: string; keyFile: string }> {
  await mkdir(join(folder, 'CAs'), { recursive: true });
  const [caFile, caKey] = [join(folder, 'ca.pem'), join(folder, 'ca.key')];
  const [certFile, keyFile, request] = [
    join(folder, 'public.crt'),
    join(folder, 'private.key'),
    join(folder, 'request'),
  ];
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args);
  const key = ['-newkey', 'rsa:2048', '-noenc'];
  await openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    caKey,
    '-out',
    caFile,
    '-days',
    '2',
    '-subj',
    '/CN=a private authority',
  );
  await openssl('req', ...key, '-keyout', keyFile, '-out', request, '-subj', '/CN=store');
  const extensions = join(folder, 'extensions');
  await writeFile(extensions, 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:*.localhost\n');
  await openssl(
    ...['x509', '-req', '-in', request, '-CA', caFile, '-CAkey', caKey, '-CAcreateserial'],
    ...['-days', '2', '-extfile', extensions, '-out', certFile],
  );
  return { folder, caFile, certFile, keyFile };
}

/** As an application's configuration has it. */
export function s3Of(store: ObjectStore, changes: Partial<S3Config> = {}): S3Config {
  const config = readSettings({ ...store.env }).s3;
  if (!config) throw new Error('The store has no configuration.');
  return { ...config, ...changes };
}
