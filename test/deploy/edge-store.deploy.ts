import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { ObjectStorage, type PresignedRequest } from '../../src/modules/storage/index.js';
import { presignedQuery } from '../../src/modules/storage/sigv4.js';
import { type Edge, freePort, startApp, startEdge, type TestApp } from '../support/index.js';
import { type Link, startLink } from '../support/link.js';
import { type ObjectStore, startStore } from '../support/object-store.js';
import { send } from './send.js';

const MiB = 2 ** 20;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

let store: ObjectStore;
let link: Link;
let app: TestApp;
let edge: Edge;
let bucket: string;

beforeAll(async () => {
  store = await startStore('minio');
  link = await startLink(store.url);
  bucket = store.env.S3_BUCKET;
  const port = await freePort();
  app = await startApp({
    role: 'api',
    publicUrl: `http://127.0.0.1:${port}`,
    trustProxy: 1,
    s3: {
      endpoint: store.url,
      publicEndpoint: `http://127.0.0.1:${port}`,
      bucket,
      region: store.env.S3_REGION,
      accessKey: store.env.S3_ACCESS_KEY,
      secretKey: store.env.S3_SECRET_KEY,
      pathStyle: true,
    },
  });
  edge = await startEdge({ apis: [app.url], store: link.url, bucket, port });
}, 120_000);

afterAll(async () => {
  await edge.stop();
  link.stop();
  await app.stop();
  await store.remove();
});

function presigned(bytes: Buffer, key = `incoming/${randomUUID()}`): Promise<PresignedRequest> {
  return app.get(ObjectStorage).presignPut({ key, sizeBytes: bytes.length, sha256: sha256(bytes) });
}

interface Sent {
  method?: string;
  /** As it stands, where it differs from the target's. */
  path?: string;
  headers?: Record<string, string | string[]>;
}

async function answer(target: PresignedRequest, body: Buffer, changes: Sent = {}) {
  const url = new URL(target.url);
  const sent = request({
    hostname: url.hostname,
    port: url.port,
    path: changes.path ?? `${url.pathname}${url.search}`,
    method: changes.method ?? 'PUT',
    headers: {
      ...Object.fromEntries(target.headers.map(({ name, value }) => [name, value])),
      'content-length': body.length,
      ...changes.headers,
    },
  });
  sent.end(body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

it('a presigned put passes at PUBLIC_URL, and the verdicts are those of the store', async () => {
  const bytes = Buffer.from('some bytes of a film');
  const key = `incoming/${randomUUID()}/0-20`;
  const target = await presigned(bytes, key);
  expect(target.url).toMatch(new RegExp(`^${edge.url}/${bucket}/incoming/`));
  expect((await answer(target, Buffer.from('other bytes, as many'))).body).toMatch(/XAmzContentChecksumMismatch/);
  expect((await answer(target, bytes)).status).toBe(200);
  expect((await answer(target, bytes)).status).toBe(412);
  expect(await app.get(ObjectStorage).head(key)).toEqual({ sizeBytes: bytes.length, sha256: sha256(bytes) });
});

it('bytes reach the store while they are still being sent, and are put aside nowhere', async () => {
  const bytes = Buffer.alloc(64 * MiB, 3);
  const target = await presigned(bytes);
  const begun = link.bytes;
  const upload = send(target, bytes.length);
  for (let from = 0; from < 32; from++) await upload.write(bytes.subarray(from * MiB, (from + 1) * MiB));
  while (link.bytes - begun < 24 * MiB) await pause(20);
  expect(await readdir(join(edge.folder, 'tmp/body'), { recursive: true })).toEqual([]);
  for (let from = 32; from < 64; from++) await upload.write(bytes.subarray(from * MiB, (from + 1) * MiB));
  expect((await upload.end()).statusCode).toBe(200);
});

it("a browser's question about other origins is answered by the store", async () => {
  const target = await presigned(Buffer.from('x'));
  const { pathname, search } = new URL(target.url);
  const preflight = await fetch(`${edge.url}${pathname}${search}`, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://app.example.org',
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'if-none-match,x-amz-checksum-sha256',
    },
  });
  expect(preflight.ok).toBe(true);
  expect(preflight.headers.get('access-control-allow-origin')).toMatch(/^(\*|https:\/\/app\.example\.org)$/);
  expect(preflight.headers.get('access-control-allow-headers')?.toLowerCase()).toMatch(/x-amz-checksum-sha256/);
});

describe('never reaches the store:', () => {
  const bytes = Buffer.from('some bytes');
  let target: PresignedRequest;
  let path: string;
  let signedElsewhere: string;
  beforeAll(async () => {
    target = await presigned(bytes);
    const url = new URL(target.url);
    path = `${url.pathname}${url.search}`;
    const key = `/${bucket}/media/x`;
    const signer = { accessKey: store.env.S3_ACCESS_KEY, secretKey: store.env.S3_SECRET_KEY, region: 'us-east-1' };
    const headers = { host: url.host };
    signedElsewhere = `${key}?${presignedQuery({ method: 'PUT', path: key, headers }, signer, new Date(), 900)}`;
  });

  it.each<[string, () => Sent]>([
    ['GET', () => ({ method: 'GET' })],
    ['HEAD', () => ({ method: 'HEAD' })],
    ['POST', () => ({ method: 'POST' })],
    ['DELETE', () => ({ method: 'DELETE' })],
    ['a put without a signature', () => ({ path: path.replace(/\?.*/, '') })],
    ['a put whose signature is not one', () => ({ path: path.replace(/Signature=\w+/, 'Signature=x') })],
    ['a put to another place, signed', () => ({ path: signedElsewhere })],
    ['a way out of incoming', () => ({ path: path.replace('/incoming/', '/incoming/../media/') })],
    ['an encoded way out', () => ({ path: path.replace('/incoming/', '/incoming/%2e%2e/media/') })],
    ['a way in from elsewhere', () => ({ path: path.replace('/incoming/', '/media/%2e%2e%2fincoming/') })],
    ['another spelling', () => ({ path: path.replace('/incoming/', '/inc%6fming/') })],
    ['double slashes', () => ({ path: path.replace('/incoming/', '//incoming//') })],
    ['the bucket', () => ({ method: 'GET', path: `/${bucket}/?list-type=2` })],
    ['a body signed in pieces', () => ({ headers: { 'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' } })],
    [
      'the same in other letters',
      () => ({ headers: { 'X-AMZ-Content-SHA256': 'streaming-unsigned-payload-trailer' } }),
    ],
    ['a trailer', () => ({ headers: { 'x-amz-trailer': 'x-amz-checksum-crc32' } })],
    ['an archive to unpack', () => ({ headers: { 'x-amz-meta-snowball-auto-extract': 'true' } })],
    ['a copy of another object', () => ({ headers: { 'x-amz-copy-source': `/${bucket}/media/y` } })],
    ['a signature in the header too', () => ({ headers: { authorization: 'AWS4-HMAC-SHA256 Credential=x' } })],
  ])('%s', async (_, changes) => {
    const before = link.bytes;
    const { status } = await answer(target, bytes, changes());
    expect([403, 404]).toContain(status);
    expect(link.bytes).toBe(before);
  });

  it.each(['/minio/health/live', '/minio/admin/v3/info', '/', '/minio/v2/metrics/cluster'])('%s', async (place) => {
    const before = link.bytes;
    await answer(target, bytes, { method: 'GET', path: place });
    expect(link.bytes).toBe(before);
  });

  it('a second header that says otherwise than the first', async () => {
    const twice = { 'x-amz-content-sha256': ['UNSIGNED-PAYLOAD', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'] };
    // Refused, or passed on without either.
    expect([200, 403]).toContain((await answer(target, bytes, { headers: twice })).status);
  });
});
