import { randomBytes, randomUUID } from 'node:crypto';
import type http from 'node:http';
import { Readable } from 'node:stream';
import { Database } from '../../src/common/database/index.js';
import { decodeId } from '../../src/common/graphql/index.js';
import { AppendLane } from '../../src/modules/uploads/append-lane.service.js';
import { IncomingBytes } from '../../src/modules/uploads/incoming-bytes.js';
import { MergeJob } from '../../src/modules/uploads/merge.job.js';
import { UploadWriters } from '../../src/modules/uploads/upload-writers.service.js';
import { ask, BYTES, offsetAt, open, patch, type Reply, replyTo } from '../support/append.js';
import { ApiClient, sha256, spawnServer, startApp, type TestApp, type TestServer, until } from '../support/index.js';
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
  wanted: [number, number][];
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
      ...{ state: 'OPEN', sizeBytes: 1_000_000, committedBytes: 0, covered: [], writers: [], wanted: [] },
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

  it('are answered to browsers for the last time on a connection, so that none repeats a body on it', async () => {
    const { url, id } = await begin(10);
    const origin = 'https://elsewhere.example';
    for (const [agent, connection] of [
      ['Mozilla/5.0 (X11; Linux x86_64)', 'close'],
      ['sluice', 'keep-alive'],
    ] as const) {
      const asked = { origin, 'user-agent': agent, 'access-control-request-method': 'PATCH', connection: 'keep-alive' };
      const answers = [
        await ask('OPTIONS', `${url}/ranges`, asked),
        await ask('GET', `${url}/ranges`, asked),
        await ask('HEAD', `${url}/ranges/3`, asked),
      ];
      expect(answers.map(({ headers }) => headers.connection)).toEqual([connection, connection, connection]);
    }
    await ada.move('cancel', id);
  });

  it.each([
    'the same process',
    'another process',
  ])('tell how much has arrived, asked of %s, and end nobody', async (where) => {
    const { url, id } = await begin(1_000_000);
    const writer = halfPatch(url, 100_000, 500_000, file.subarray(100_000, 160_000));
    const asked = where === 'another process' ? at(url, other.url) : url;
    const { writers, committedBytes } = await arrived(asked, 60_000);
    expect(writers).toEqual([{ start: 100_000, received: 60_000, end: 600_000 }]);
    expect(committedBytes).toBe(0);
    writer.write(file.subarray(160_000, 161_000));
    await arrived(asked, 61_000);
    writer.end(file.subarray(161_000, 600_000));
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

  it('are settled after a moment where that is worth it, long before the request ends', async () => {
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

it('rows of writers that nobody speaks for are swept, those of a process without a name later', async () => {
  const { url, id } = await begin(1_000_000);
  const old = [
    ['1', 'gone', '2 minutes'],
    ['2', null, '2 minutes'],
    ['3', null, '2 hours'],
  ] as const;
  for (const [k, process, age] of old) {
    await app.database.query(
      `INSERT INTO upload_writer (id, session_id, span, process, told_at)
       VALUES (gen_random_uuid(), $1, int8range($2::int, $2::int + 1), $3, now() - $4::interval)`,
      [decodeId('UploadSession', id), k, process, age],
    );
  }
  const writers = app.get(UploadWriters);
  const left = async () => (await rangesOf(url)).writers.map(({ start }) => start);
  await app.get(Database).tx(async (tx) => {
    await tx.query('SELECT id FROM upload_session WHERE id = $1 FOR NO KEY UPDATE', [decodeId('UploadSession', id)]);
    await writers.sweep();
    expect(await left()).toEqual([1, 2, 3]);
  });
  const asked = performance.now();
  await left();
  // Nobody is asked who has long said nothing.
  expect(performance.now() - asked).toBeLessThan(140);
  await writers.sweep();
  expect(await left()).toEqual([2]);
  await app.database.query('DELETE FROM upload_writer WHERE process IS NULL');
  await ada.move('cancel', id);
});

it('nobody begins to write while a process ends, or to a session that has ended', async () => {
  const { url, id } = await begin(1_000_000);
  const writers = other.get(UploadWriters);
  const writer = halfPatch(at(url, other.url), 0, 1_000, file.subarray(0, 10));
  const stopped = replyTo(writer);
  await arrived(url, 10);
  const ended = writers.beforeApplicationShutdown();
  expect(await rangePatch(at(url, other.url), 5_000, file.subarray(0, 10))).toMatchObject({
    ...{ status: 503, headers: { 'retry-after': '1' } },
  });
  await ended;
  expect((await stopped).status).toBe(423);
  Object.assign(writers, { stopping: false });
  writers.onModuleInit();
  expect((await rangesOf(url)).covered).toEqual([[0, 10]]);
  await ada.move('cancel', id);
  const row = { id: decodeId('UploadSession', id), ownerId: randomUUID() };
  const bytes = new IncomingBytes(Readable.from(['x']));
  expect(await writers.during(row, { start: 0, end: 1 }, bytes, async () => 'written')).toBe('SESSION_ENDED');
});

describe('many small objects', () => {
  const PIECE = 5_000;
  const chunksOf = (id: string) =>
    app.database.query<{ key: string; span: string; sha256: string; verified: boolean }>(
      `SELECT object_key AS key, span::text, encode(c.sha256, 'hex') AS sha256, verified FROM upload_chunk c
       WHERE session_id = $1 ORDER BY lower(span)`,
      [decodeId('UploadSession', id)],
    );
  beforeAll(() => {
    for (const { get } of [app, other]) {
      get(MergeJob).newestSeconds = 0;
      Object.assign(get(AppendLane), { mergeAt: 20, mergeDelayMs: 0, maxChunks: 60, countEvery: 1 });
    }
  });
  afterAll(() => {
    for (const { get } of [app, other]) {
      Object.assign(get(AppendLane), { mergeAt: 1_000, mergeDelayMs: 60_000, maxChunks: 100_000, countEvery: 50 });
    }
  });

  it('become few while the upload goes on, so that no upload is too slow to end', async () => {
    const bytes = file.subarray(0, 200 * PIECE);
    const { url, id } = await begin(bytes.length);
    let most = 0;
    for (let offset = 0; offset < bytes.length; offset += PIECE) {
      expect((await rangePatch(url, offset, bytes.subarray(offset, offset + PIECE))).status).toBe(204);
      // What a slow link does by itself: it leaves the job the time that it needs.
      const chunks = await until(
        () => chunksOf(id),
        (rows) => rows.length < 40,
        20,
      );
      most = Math.max(most, chunks.length);
    }
    expect(most).toBeGreaterThanOrEqual(20);
    expect((await rangesOf(url)).covered).toEqual([[0, bytes.length]]);
    const merged = (await chunksOf(id)).filter(({ key }) => key.startsWith('merged/'));
    expect(merged.length).toBeGreaterThan(0);
    for (const { span, sha256: digest, verified } of merged) {
      const [, start, end] = /\[(\d+),(\d+)\)/.exec(span) ?? [];
      expect(digest).toBe(sha256(bytes.subarray(Number(start), Number(end))));
      expect(verified).toBe(false);
    }
    const { completeUploadSession } = await ada.query(
      `mutation ($input: CompleteUploadSessionInput!) { completeUploadSession(input: $input) { userErrors { code } } }`,
      { input: { sessionId: id, sha256: sha256(bytes) } },
    );
    expect(completeUploadSession.userErrors).toEqual([]);
    await until(
      () => ada.session(id),
      ({ state }) => state === 'COMPLETED',
    );
  });

  it('are merged once, however many try, and not when some were discarded meanwhile', async () => {
    const { url, id } = await begin(40 * PIECE);
    for (let offset = 0; offset < 16 * PIECE; offset += PIECE) {
      await rangePatch(url, offset, file.subarray(offset, offset + PIECE));
    }
    const payload = { sessionId: decodeId('UploadSession', id) };
    const attempt = (from: TestApp, signal = new AbortController().signal) =>
      from.get(MergeJob).merge(payload, { jobId: '', attempt: 1, waitedSeconds: 0, lease: randomUUID(), signal });
    await expect(attempt(app, AbortSignal.abort())).rejects.toThrow();
    await Promise.all([attempt(app), attempt(other), attempt(app)]);
    expect(await chunksOf(id)).toMatchObject([{ span: `[0,${16 * PIECE})` }]);
    await Promise.all([
      ...Array.from({ length: 10 }, (_, k) => {
        const offset = (16 + k) * PIECE;
        return rangePatch(url, offset, file.subarray(offset, offset + PIECE));
      }),
    ]);
    await Promise.all([
      attempt(app),
      ada.query(`mutation ($input: DiscardRangesInput!) { discardRanges(input: $input) { userErrors { code } } }`, {
        input: { sessionId: id, ranges: [{ start: 20 * PIECE, end: 20 * PIECE + 1 }] },
      }),
    ]);
    const { covered, committedBytes } = await rangesOf(url);
    // The one chunk, or all that it had become a part of.
    expect([25 * PIECE, 16 * PIECE]).toContain(committedBytes);
    expect(covered.every(([start, end]) => !(start <= 20 * PIECE && 20 * PIECE < end))).toBe(true);
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
    // Nobody is called dead while those who live may still be connecting.
    await until(
      () => survivor.database.query(`SELECT now() - pg_postmaster_start_time() > interval '10 s' AS settled`),
      ([row]) => row?.settled === true,
    );
    ben = await ApiClient.signUp(survivor.url);
    channel = await ben.createChannel();
  });
  afterAll(async () => {
    expect(await brokenInvariants(survivor.database)).toEqual({});
    await survivor.stop();
    await server.remove();
  });

  /** So many bytes have come to the server, too few to be settled at once. */
  const writing = async (sent: number): Promise<{ url: string; request: http.ClientRequest }> => {
    const { url } = await begin(1_000_000, ben, channel);
    const request = halfPatch(at(url, server.url), 0, 1_000_000, file.subarray(0, sent));
    await arrived(at(url, survivor.url), sent);
    return { url: at(url, survivor.url), request };
  };

  it('has lost its connections is asked all the same, and settles what it has', async () => {
    const { url } = await writing(60_000);
    await survivor.database.query(
      `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN upload_writer w ON a.application_name = w.process`,
    );
    expect(await offsetAt(url)).toBe(60_000);
  });

  it('is only slow is waited for, then fenced off, and counts nothing any more', async () => {
    const { url, request } = await writing(60_000);
    process.kill(server.pid(), 'SIGSTOP');
    const begun = performance.now();
    try {
      expect(await offsetAt(url)).toBe(0);
      expect(performance.now() - begun).toBeGreaterThan(1_900);
      expect((await patch(url, 0, file.subarray(0, 100_000))).status).toBe(204);
    } finally {
      process.kill(server.pid(), 'SIGCONT');
    }
    request.end(file.subarray(60_000, 1_000_000));
    expect((await replyTo(request)).status).toBe(423);
    expect((await rangesOf(url)).covered).toEqual([[0, 100_000]]);
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
