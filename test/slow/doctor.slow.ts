import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { Client } from 'minio';
import { type Config, readSettings } from '../../src/common/config/index.js';
import { examineAll, type Finding, findingsOf } from '../../src/doctor/index.js';
import { type EmbeddedServer, startRedis } from '../../src/embedded/index.js';
import { freePort, spawnServer, type TestServer, temporaryFolder } from '../support/index.js';
import { type Nginx, startNginx } from '../support/nginx.js';
import { type ObjectStore, startStore } from '../support/object-store.js';

/** Faults of an object store, made for real, one at a time: each is named, and nothing else is. */

const MIGRATIONS = join(import.meta.dirname, '../../migrations');
let folder: string;
let redis: EmbeddedServer;
let store: ObjectStore;
let server: TestServer;
let env: Record<string, string>;
let client: Client;

beforeAll(async () => {
  folder = await temporaryFolder();
  [redis, store] = await Promise.all([startRedis({ dir: join(folder, 'redis'), durable: true }), startStore('minio')]);
  const options = {
    ...store.env,
    REDIS_URL: redis.url,
    TOKEN_SECRET: randomUUID(),
    STORAGE_SECRET: randomUUID(),
    PLAYBACK_SECRET: randomUUID(),
  };
  server = await spawnServer({ env: options });
  env = { ...options, PUBLIC_URL: server.url, DATABASE_URL: server.database?.url as string, DATA_DIR: server.dataDir };
  const { hostname, port } = new URL(store.url);
  client = new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL: false,
    accessKey: store.env.S3_ACCESS_KEY,
    secretKey: store.env.S3_SECRET_KEY,
    region: 'us-east-1',
  });
});
afterAll(async () => {
  await server.remove();
  await store.remove();
  await redis.stop();
  await rm(folder, { recursive: true });
});

async function examine(changes: Record<string, string> = {}): Promise<Finding[]> {
  return findingsOf(await examineAll(readSettings({ ...env, ...changes }) as Config, MIGRATIONS));
}
async function findsOnly(code: string, changes: Record<string, string> = {}): Promise<void> {
  expect((await examine(changes)).map((finding) => [finding.code, finding.what])).toEqual([
    [code, expect.stringMatching(/\.$/)],
  ]);
}

/** What stands before the real store: it may answer in its place, or change what it answers. */
async function startProxy(
  answer: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<boolean>,
  date?: () => string,
): Promise<{ url: string; stop(): Promise<void> }> {
  const proxy = createServer(async (incoming, outgoing) => {
    if (await answer(incoming, outgoing)) return;
    const { method, url, headers } = incoming;
    const forwarded = request(new URL(url ?? '/', store.url), { method, headers }, (answered) => {
      outgoing.writeHead(answered.statusCode ?? 500, { ...answered.headers, ...(date && { date: date() }) });
      answered.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    // A store keeps an object locked for as long as its body may still come.
    incoming.on('close', () => incoming.complete || forwarded.destroy());
    incoming.pipe(forwarded);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return {
    url: `http://127.0.0.1:${(proxy.address() as { port: number }).port}`,
    stop: async () => {
      proxy.closeAllConnections();
      proxy.close();
      await once(proxy, 'close');
    },
  };
}

const keyOf = (incoming: IncomingMessage) =>
  decodeURIComponent((incoming.url ?? '').split('?')[0] ?? '')
    .split('/')
    .slice(2)
    .join('/');
const isSignedPut = (incoming: IncomingMessage) =>
  incoming.method === 'PUT' && (incoming.url ?? '').includes('X-Amz-Signature');

test('MinIO without faults; what was written is gone', async () => {
  expect(await examine()).toEqual([]);
  for await (const object of client.listObjectsV2(store.env.S3_BUCKET, '', true))
    throw new Error(`left: ${object.name}`);
});

test('versitygw without faults, but that it has no CORS configuration', async () => {
  const other = await startStore('versitygw');
  await findsOnly('STORE_CORS_REFUSED', other.env);
  await other.remove();
});

test('no store', async () =>
  findsOnly('STORE_AWAY', { S3_ENDPOINT: `http://127.0.0.1:${await freePort()}`, S3_PUBLIC_ENDPOINT: store.url }));

test('another key', async () => findsOnly('STORE_REFUSES', { S3_SECRET_KEY: randomUUID() }));

test('no such bucket', async () => findsOnly('STORE_BUCKET_MISSING', { S3_BUCKET: `none-${randomUUID()}` }));

test('a public address where nobody is', async () =>
  findsOnly('STORE_PUBLIC_AWAY', { S3_PUBLIC_ENDPOINT: `http://127.0.0.1:${await freePort()}` }));

test('a clock two hours behind', async () => {
  const date = () => new Date(Date.now() - 7_200_000).toUTCString();
  const proxy = await startProxy(async () => false, date);
  await findsOnly('STORE_CLOCK_SKEW', { S3_ENDPOINT: proxy.url, S3_PUBLIC_ENDPOINT: store.url });
  await proxy.stop();
});

test('a store that overwrites', async () => {
  const proxy = await startProxy(async (incoming) => {
    if (isSignedPut(incoming)) await client.removeObject(store.env.S3_BUCKET, keyOf(incoming));
    return false;
  });
  await findsOnly('STORE_OVERWRITES', { S3_PUBLIC_ENDPOINT: proxy.url });
  await proxy.stop();
});

test('a store that takes any bytes', async () => {
  const proxy = await startProxy(async (incoming, outgoing) => {
    if (!isSignedPut(incoming) || incoming.headers.expect) return false;
    const bytes = await buffer(incoming);
    const found = await client.statObject(store.env.S3_BUCKET, keyOf(incoming)).catch(() => null);
    if (!found) await client.putObject(store.env.S3_BUCKET, keyOf(incoming), bytes);
    outgoing.writeHead(found ? 412 : 200, { 'access-control-allow-origin': '*' }).end();
    return true;
  });
  await findsOnly('STORE_IGNORES_DIGESTS', { S3_PUBLIC_ENDPOINT: proxy.url });
  await proxy.stop();
});

describe('a proxy before it', () => {
  let nginx: Nginx;
  let url: string;
  const good = () =>
    `proxy_http_version 1.1; proxy_set_header Host $http_host; client_max_body_size 0; proxy_request_buffering off; location / { proxy_pass ${store.url}; }`;
  beforeAll(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    nginx = await startNginx(port, good());
  });
  afterAll(() => nginx.stop());

  test('that is as it should be', async () => expect(await examine({ S3_PUBLIC_ENDPOINT: url })).toEqual([]));

  test('that caps bodies at 1 MiB', async () => {
    await nginx.configure(good().replace('client_max_body_size 0', 'client_max_body_size 1m'));
    await findsOnly('STORE_BODY_CAPPED', { S3_PUBLIC_ENDPOINT: url });
  });

  test('that refuses preflights', async () => {
    await nginx.configure(`if ($request_method = OPTIONS) { return 403; } ${good()}`);
    await findsOnly('STORE_CORS_REFUSED', { S3_PUBLIC_ENDPOINT: url });
  });

  test('that changes the Host', async () => {
    await nginx.configure(good().replace('$http_host', 'store.internal'));
    await findsOnly('STORE_REFUSES_UPLOADS', { S3_PUBLIC_ENDPOINT: url });
  });
});
