import { randomBytes } from 'node:crypto';
import type http from 'node:http';
import { ask, BYTES, offsetAt, open, patch, type Reply, replyTo } from '../support/append.js';
import { ApiClient, spawnServer, startApp, type TestApp, type TestServer, until } from '../support/index.js';
import { brokenInvariants, storageOf, storeDifferences } from '../support/invariants.js';

/** What the append lane has beside tus: any range at one address, a poll, and no waiting for processes that are dead. */

const file = randomBytes(20_000_000);
let app: TestApp;
/** A second process' worth of application on the same database, store and Redis. */
let other: TestApp;
let ada: ApiClient;
let channelId: string;

beforeAll(async () => {
  app = await startApp();
  const { databaseUrl, redisUrl, redisPrefix, dataDir, tokenSecret, storageSecret, playbackSecret } = app.config;
  other = await startApp({
    ...{ databaseUrl, redisUrl, redisPrefix, dataDir, tokenSecret, storageSecret, playbackSecret, role: 'api' },
  });
  ada = await ApiClient.signUp(app.url);
  channelId = await ada.createChannel();
});
afterAll(async () => {
  expect(await brokenInvariants(app.database)).toEqual({});
  expect(await storeDifferences(app.database, storageOf(app.config.dataDir))).toEqual([]);
  await other.stop();
  await app.stop();
});

async function begin(sizeBytes: number, client = ada, channel = channelId): Promise<{ id: string; url: string }> {
  const { session } = await client.createSession({ channelId: channel, sizeBytes });
  const { uploadSession } = await client.query('query ($id: ID!) { uploadSession(id: $id) { tusUrl } }', {
    id: session.id,
  });
  return { id: session.id, url: uploadSession.tusUrl };
}
const at = (url: string, origin: string) => url.replace(/^http:\/\/[^/]+/, origin);

interface Ranges {
  state: string;
  sizeBytes: number;
  committedBytes: number;
  covered: [number, number][];
  writers: { start: number; received: number; end: number }[];
}
const rangesOf = async (url: string): Promise<Ranges> => (await (await fetch(`${url}/ranges`)).json()) as Ranges;

/** Sends the head and these bytes of a longer body, and leaves the rest out. */
function halfPatch(url: string, offset: number, length: number, sent: Buffer): http.ClientRequest {
  const request = open('PATCH', `${url}/ranges`, {
    ...{ 'content-type': BYTES, 'content-length': length, 'upload-offset': offset },
  });
  request.on('error', () => undefined);
  request.write(sent);
  return request;
}
const arrived = (url: string, received: number) =>
  until(
    () => rangesOf(url),
    ({ writers }) => writers.some((writer) => writer.received === received),
    20,
  );

const rangePatch = (url: string, offset: number, body: Buffer): Promise<Reply> => patch(`${url}/ranges`, offset, body);

describe('ranges', () => {
  it('are appended at any place of one address, and told', async () => {
    const { url, id } = await begin(1_000_000);
    expect(await rangesOf(url)).toEqual({
      ...{ state: 'OPEN', sizeBytes: 1_000_000, committedBytes: 0, covered: [], writers: [] },
    });
    const first = await rangePatch(url, 600_000, file.subarray(600_000, 700_000));
    expect(first).toMatchObject({ status: 204, headers: { 'upload-offset': '700000' } });
    // The end of what is stored without a hole, also where others stored it.
    expect((await rangePatch(url, 500_000, file.subarray(500_000, 600_000))).headers['upload-offset']).toBe('700000');
    expect(await rangesOf(url)).toMatchObject({ committedBytes: 200_000, covered: [[500_000, 700_000]] });
    const told = (offset: number) => ask('HEAD', `${url}/ranges/${offset}`);
    expect((await told(550_000)).headers['upload-offset']).toBe('700000');
    expect(await told(100)).toMatchObject({
      status: 200,
      headers: { 'upload-offset': '100', 'upload-length': '1000000' },
    });
    expect([(await told(1_000_000)).status, (await rangePatch(url, 1_000_000, Buffer.alloc(1))).status]).toEqual([
      400, 400,
    ]);
    await ada.move('cancel', id);
    expect((await fetch(`${url}/ranges`)).status).toBe(410);
  });

  it('are for pages of other origins: reads without asking first, appends after asking once', async () => {
    const { url, id } = await begin(10);
    const origin = 'https://elsewhere.example';
    const poll = await fetch(`${url}/ranges`, { headers: { origin } });
    expect(poll.status).toBe(200);
    expect(poll.headers.get('access-control-allow-origin')).toBe('*');
    expect(poll.headers.get('cache-control')).toBe('no-store');
    const head = await fetch(`${url}/ranges/3`, { method: 'HEAD', headers: { origin } });
    expect([head.status, head.headers.get('upload-offset')]).toEqual([200, '3']);
    for (const name of ['Upload-Offset', 'Upload-Length', 'Retry-After']) {
      expect(head.headers.get('access-control-expose-headers')).toContain(name);
    }
    const preflight = await ask('OPTIONS', `${url}/ranges`, {
      origin,
      'access-control-request-method': 'PATCH',
      'access-control-request-headers': 'content-type,tus-resumable,upload-offset',
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({ 'access-control-max-age': '86400', 'access-control-allow-origin': '*' });
    expect(preflight.headers['access-control-allow-methods']).toContain('PATCH');
    expect(preflight.headers['access-control-allow-headers']).toContain('upload-offset');
    await ada.move('cancel', id);
  });

  it.each([
    'the same process',
    'another process',
  ])('tell how much has arrived, asked of %s, and end nobody', async (where) => {
    const { url, id } = await begin(1_000_000);
    const writer = halfPatch(url, 100_000, 500_000, file.subarray(100_000, 300_000));
    const asked = where === 'another process' ? at(url, other.url) : url;
    const { writers, committedBytes } = await arrived(asked, 200_000);
    expect(writers).toEqual([{ start: 100_000, received: 200_000, end: 600_000 }]);
    expect(committedBytes).toBe(0);
    writer.write(file.subarray(300_000, 301_000));
    await arrived(asked, 201_000);
    writer.end(file.subarray(301_000, 600_000));
    expect((await replyTo(writer)).status).toBe(204);
    expect((await rangesOf(asked)).writers).toEqual([]);
    await ada.move('cancel', id);
  });

  it('are asked for with HEAD, which ends the writer at that place alone, after what it has is settled', async () => {
    const { url, id } = await begin(1_000_000);
    const left = halfPatch(url, 0, 500_000, file.subarray(0, 100_000));
    const right = halfPatch(url, 500_000, 500_000, file.subarray(500_000, 600_000));
    await until(
      () => rangesOf(url),
      ({ writers }) => writers.filter(({ received }) => received === 100_000).length === 2,
      20,
    );
    expect((await ask('HEAD', `${at(url, other.url)}/ranges/50000`)).headers['upload-offset']).toBe('100000');
    expect((await rangesOf(url)).writers).toEqual([{ start: 500_000, received: 100_000, end: 1_000_000 }]);
    right.end(file.subarray(600_000));
    left.destroy();
    await until(
      () => rangesOf(url),
      ({ writers }) => writers.length === 0,
      20,
    );
    expect((await rangesOf(url)).covered[0]).toEqual([0, 100_000]);
    await ada.move('cancel', id);
  });

  it('are settled after a second where that is worth it, long before the request ends', async () => {
    const { url, id } = await begin(1_000_000);
    const writer = halfPatch(url, 0, 1_000_000, file.subarray(0, 300_000));
    await arrived(url, 300_000);
    const { covered } = await until(
      () => rangesOf(url),
      ({ committedBytes }) => committedBytes > 0,
      20,
    );
    expect(covered).toEqual([[0, 300_000]]);
    writer.destroy();
    await ada.move('cancel', id);
  });

  it('keep what arrived before a reset', async () => {
    const { url, id } = await begin(1_000_000);
    const writer = halfPatch(url, 0, 1_000_000, file.subarray(0, 100_000));
    await arrived(url, 100_000);
    writer.socket?.resetAndDestroy();
    await until(
      () => rangesOf(url),
      ({ writers }) => writers.length === 0,
      20,
    );
    expect((await rangesOf(url)).covered).toEqual([[0, 100_000]]);
    await ada.move('cancel', id);
  });
});

describe('a writer whose process', () => {
  let server: TestServer;
  let survivor: TestApp;
  let ben: ApiClient;
  let channel: string;

  beforeAll(async () => {
    server = await spawnServer();
    const { REDIS_PREFIX, TOKEN_SECRET } = server.env();
    survivor = await startApp({
      ...{ databaseUrl: server.database?.url as string, dataDir: server.dataDir, redisPrefix: REDIS_PREFIX as string },
      ...{ tokenSecret: TOKEN_SECRET as string, storageSecret: TOKEN_SECRET as string },
      ...{ playbackSecret: TOKEN_SECRET as string, role: 'api' as const },
    });
    ben = await ApiClient.signUp(survivor.url);
    channel = await ben.createChannel();
  });
  afterAll(async () => {
    expect(await brokenInvariants(survivor.database)).toEqual({});
    await survivor.stop();
    await server.remove();
  });

  it('was killed is not waited for, and what it had settled is kept', async () => {
    const { url } = await begin(1_000_000, ben, channel);
    halfPatch(at(url, server.url), 0, 1_000_000, file.subarray(0, 300_000));
    await until(
      () => rangesOf(at(url, survivor.url)),
      ({ committedBytes }) => committedBytes === 300_000,
      20,
    );
    await server.kill();
    const killed = performance.now();
    expect(await offsetAt(at(url, survivor.url))).toBe(300_000);
    expect(performance.now() - killed).toBeLessThan(1_000);
    expect((await patch(at(url, survivor.url), 300_000, file.subarray(300_000, 400_000))).status).toBe(204);
    await server.start();
    expect(await offsetAt(at(url, server.url))).toBe(400_000);
  });
});
