import { createHash } from 'node:crypto';
import dns from 'node:dns';
import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { Client } from 'minio';
import { ConfigurationError, type S3Config } from '../../src/common/config/index.js';
import { S3Storage } from '../../src/modules/storage/s3-storage.js';
import { freePort, headersOf, send, sha256 } from '../contract/object-storage.js';
import { type ObjectStore, type StoreName, type StoreOptions, s3Of, startStore } from '../support/object-store.js';

/** How a store is reached: its bucket, its names, its certificate. */

const bytes = Buffer.from('a chunk of a film');
const stored = { sizeBytes: bytes.length, sha256: sha256(bytes) };
const STORES: StoreName[] = ['minio', 'versitygw'];
let store: ObjectStore;
const open: S3Storage[] = [];

afterEach(async () => {
  jest.restoreAllMocks();
  for (const storage of open.splice(0)) storage.onApplicationShutdown();
  await store.remove();
});

async function start(name: StoreName, options?: StoreOptions): Promise<void> {
  store = await startStore(name, options);
}

async function prepared(config: S3Config, origins: '*' | string[] = '*'): Promise<S3Storage> {
  const storage = new S3Storage(config);
  open.push(storage);
  await storage.prepare(origins);
  return storage;
}

/** Every way in and out. */
async function expectToWork(storage: S3Storage, ca?: string): Promise<void> {
  await storage.put('a/b.c', bytes);
  expect(await storage.head('a/b.c')).toEqual(stored);
  expect(await text(await storage.read('a/b.c', { start: 2, end: 7 }))).toBe('chunk');
  const large = Buffer.alloc(17 * 1024 * 1024, 'x');
  expect(await storage.put('a/large', large)).toMatchObject({ sizeBytes: large.length });
  const parts = [{ key: 'a/large', start: 0, end: large.length }];
  expect(await storage.compose('a/copy', parts)).toMatchObject({ sha256: sha256(large) });
  expect((await storage.list('a/', { limit: 9 })).map(({ key }) => key)).toEqual(['a/b.c', 'a/copy', 'a/large']);
  const signed = await storage.presignPut({ key: 'incoming/a', ...stored });
  const sent = await send(signed.url, { headers: headersOf(signed, bytes.length), body: bytes, ca });
  expect(sent.status).toBe(200);
  expect(await storage.head('incoming/a')).toEqual(stored);
  await storage.delete(['a/b.c', 'a/copy', 'a/large', 'incoming/a']);
  expect(await storage.list('', { limit: 9 })).toEqual([]);
}

describe.each(STORES)('%s', (name) => {
  it('has its bucket made, once by however many begin at the same time', async () => {
    await start(name);
    const config = s3Of(store, { bucket: 'made-by-us' });
    const [first] = await Promise.all([prepared(config), prepared(config), prepared(config)]);
    await expectToWork(first as S3Storage);
    await prepared(config);
  });

  it('says why a bucket cannot be used', async () => {
    await start(name);
    for (const wrong of [{ secretKey: 'wrong' }, { accessKey: 'nobody' }]) {
      const refused = prepared(s3Of(store, wrong));
      await expect(refused).rejects.toBeInstanceOf(ConfigurationError);
      await expect(refused).rejects.toThrow(
        /(refuses us the|has no) bucket sluice-\w+.* \(\w+\)\. Look at S3_ENDPOINT/,
      );
    }
  });

  it('is reached by the bucket as host', async () => {
    const lookup = dns.lookup;
    jest
      .spyOn(dns, 'lookup')
      .mockImplementation(((host: string, options: object, done: never) =>
        lookup(host.endsWith('store.example') ? '127.0.0.1' : host, options, done)) as never);
    await start(name, { domain: 'store.example' });
    const storage = await prepared(s3Of(store, { pathStyle: false, bucket: 'as-host' }));
    const signed = await storage.presignPut({ key: 'incoming/a', ...stored });
    expect(new URL(signed.url)).toMatchObject({ hostname: 'as-host.store.example', pathname: '/incoming/a' });
    await expectToWork(storage);
  });

  it('is reached over TLS with a certificate of a private authority, and not without knowing that', async () => {
    await start(name, { tls: true });
    const config = s3Of(store);
    expect(config.endpoint).toMatch(/^https:/);
    await expectToWork(await prepared(config), config.ca);
    const untrusted = prepared({ ...config, ca: undefined });
    await expect(untrusted).rejects.toBeInstanceOf(ConfigurationError);
    await expect(untrusted).rejects.toThrow(
      /its certificate is not trusted \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\)\. Name the PEM file of who signed it in S3_CA_FILE/,
    );
  });

  it('signs for the address that browsers reach', async () => {
    await start(name);
    const config = s3Of(store);
    // As an edge does it: under another name, which the store is told.
    const edge = http.createServer((request, answer) => {
      const { method, url, headers } = request;
      const onward = http.request(new URL(url ?? '/', config.endpoint), { method, headers }, (response) => {
        answer.writeHead(response.statusCode ?? 0, response.headers);
        response.pipe(answer);
      });
      request.pipe(onward);
    });
    const port = await freePort();
    edge.listen(port, '127.0.0.1');
    await once(edge, 'listening');
    const storage = await prepared({ ...config, publicEndpoint: `http://127.0.0.1:${port}` });
    const signed = await storage.presignPut({ key: 'incoming/a', ...stored });
    expect(new URL(signed.url).port).toBe(String(port));
    const headers = headersOf(signed, bytes.length);
    expect((await send(signed.url, { headers, body: bytes })).status).toBe(200);
    const direct = signed.url.replace(`127.0.0.1:${port}`, new URL(config.endpoint).host);
    expect((await send(direct, { headers, body: bytes })).status).toBe(403);
    expect(await storage.head('incoming/a')).toEqual(stored);
    edge.close();
    await once(edge, 'close');
  });

  it('lets pages of the configured origins put, and keeps the rules that an operator made', async () => {
    await start(name);
    const config = s3Of(store);
    const client = new Client({
      endPoint: '127.0.0.1',
      port: Number(new URL(config.endpoint).port),
      useSSL: false,
      ...config,
    });
    const preflight = async (storage: S3Storage, origin: string) => {
      const { url } = await storage.presignPut({ key: 'incoming/a', ...stored });
      const headers = {
        origin,
        'access-control-request-method': 'PUT',
        'access-control-request-headers': 'if-none-match',
      };
      const answer = await send(url, { method: 'OPTIONS', headers });
      return answer.headers['access-control-allow-origin'];
    };
    const rules = async () =>
      text(await client.makeRequestAsync({ method: 'GET', bucketName: config.bucket, query: 'cors' }));
    const one = await prepared(config, ['https://one.example.org']);
    expect(await preflight(one, 'https://one.example.org')).toBe('https://one.example.org');
    // It answers every origin, and has no rules of a bucket's own.
    if (name === 'minio') return;
    expect(await preflight(one, 'https://two.example.org')).toBeUndefined();
    const two = await prepared(config, ['https://two.example.org']);
    expect(await preflight(two, 'https://two.example.org')).toBe('https://two.example.org');
    expect(await preflight(two, 'https://one.example.org')).toBeUndefined();
    const own = (await rules())
      .replace('<ID>sluice</ID>', '<ID>ours</ID>')
      .replace('two.', 'own.')
      .replace(/^<\?xml.*?\?>\s*/, '');
    const headers = { 'content-md5': createHash('md5').update(own).digest('base64') };
    await client.makeRequestAsyncOmit(
      { method: 'PUT', bucketName: config.bucket, query: 'cors', headers },
      Buffer.from(own),
      [200, 204],
    );
    const three = await prepared(config, ['https://three.example.org']);
    expect(await preflight(three, 'https://own.example.org')).toBe('https://own.example.org');
    expect(await preflight(three, 'https://three.example.org')).toBeUndefined();
  });
});
