import { createHash, randomBytes } from 'node:crypto';
import type http from 'node:http';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { Upload } from 'tus-js-client';
import { Live } from '../../src/common/live/index.js';
import { IncomingBytes } from '../../src/modules/uploads/incoming-bytes.js';
import { TusIngress } from '../../src/modules/uploads/tus-ingress.js';
import { UploadWriters } from '../../src/modules/uploads/upload-writers.service.js';
import { type UploadSessionRow, UploadsService } from '../../src/modules/uploads/uploads.service.js';
import { ask, BYTES, offsetAt, open, patch, type Reply, replyTo } from '../support/append.js';
import { makeClip } from '../support/clip.js';
import { type Answer, ApiClient, rowId, sha256, startApp, type TestApp, testRedis, until } from '../support/index.js';
import { brokenInvariants, digestOf, storageOf, storeDifferences } from '../support/invariants.js';

/** The append lane over real sockets: what tus 1.0 asks of a server, and that no byte that arrived is lost. */

let app: TestApp;
/** A second process' worth of application on the same database, store and Redis. */
let other: TestApp;
let ada: ApiClient;
let channelId: string;

beforeAll(async () => {
  app = await startApp({ trustProxy: false });
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

const encoded = (values: Record<string, string>) =>
  Object.entries(values)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',');

async function begin(sizeBytes: number): Promise<{ id: string; url: string; session: Answer }> {
  const { session } = await ada.createSession({ channelId, sizeBytes });
  const { uploadSession } = await ada.query('query ($id: ID!) { uploadSession(id: $id) { tusUrl } }', {
    id: session.id,
  });
  return { id: session.id, url: uploadSession.tusUrl, session };
}
const at = (url: string, app: TestApp) => url.replace(/^http:\/\/[^/]+/, app.url);

/** Sends the head and these bytes of a longer body, and leaves the rest out. */
async function halfPatch(url: string, offset: number, length: number, sent: Buffer): Promise<http.ClientRequest> {
  const request = open('PATCH', url, { 'content-type': BYTES, 'content-length': length, 'upload-offset': offset });
  request.on('error', () => undefined);
  request.write(sent);
  // Its writer is known to the server: what follows races nothing.
  await until(
    () => app.database.query('SELECT id FROM upload_writer WHERE lower(span) = $1', [offset]),
    (writers) => writers.length > 0,
    20,
  );
  return request;
}

const settled = () =>
  until(
    () => app.database.query('SELECT id FROM upload_writer'),
    (writers) => writers.length === 0,
    20,
  );

async function committed(id: string): Promise<[number, number][]> {
  const { committedRanges } = (
    await ada.query('query ($id: ID!) { uploadSession(id: $id) { committedRanges { start end } } }', { id })
  ).uploadSession;
  return committedRanges.map(({ start, end }: { start: number; end: number }) => [start, end]);
}

describe('what tus asks', () => {
  it('says what it can do', async () => {
    const { status, headers } = await ask('OPTIONS', `${app.url}/tus`);
    expect(status).toBe(204);
    expect(headers).toMatchObject({
      'tus-resumable': '1.0.0',
      'tus-version': '1.0.0',
      'tus-extension': 'creation,creation-with-upload,termination,expiration,checksum',
      'tus-max-size': String(app.config.maxUploadBytes),
      'tus-checksum-algorithm': 'sha256,sha1,md5',
    });
  });

  it('answers preflights of other origins, and shows them its headers', async () => {
    const { headers } = await ask('OPTIONS', `${app.url}/tus`, {
      origin: 'https://elsewhere.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,tus-resumable,upload-length,upload-metadata',
    });
    expect(headers['access-control-allow-origin']).toBe('*');
    expect(headers['access-control-allow-headers']).toContain('upload-metadata');
    const { url } = await begin(10);
    const head = await ask('HEAD', url, { origin: 'https://elsewhere.example' });
    for (const name of ['Upload-Offset', 'Upload-Length', 'Location', 'Upload-Expires', 'Tus-Resumable']) {
      expect(head.headers['access-control-expose-headers']).toContain(name);
    }
  });

  it('creates with a token alone, into the only channel or the one that is named', async () => {
    const ben = await ApiClient.signUp(app.url);
    const headers = { authorization: `Bearer ${ben.token}`, 'upload-length': '100' };
    expect(await ask('POST', `${app.url}/tus`, headers)).toMatchObject({
      status: 400,
      body: expect.stringContaining('CHANNEL'),
    });
    await ben.createChannel();
    const made = await ask('POST', `${app.url}/tus`, {
      ...headers,
      'upload-metadata': encoded({ filename: 'früh am Kanal.mp4', filetype: 'video/mp4', title: 'Früh' }),
    });
    expect(made.status).toBe(201);
    expect(made.headers['upload-expires']).toMatch(/GMT$/);
    expect(await offsetAt(made.headers.location as string)).toBe(0);
    const { viewer } = await ben.query(
      '{ viewer { uploadSessions(first: 5) { nodes { fileName sizeBytes video { title visibility } } } } }',
    );
    expect(viewer.uploadSessions.nodes).toEqual([
      { fileName: 'früh am Kanal.mp4', sizeBytes: 100, video: { title: 'Früh', visibility: 'PRIVATE' } },
    ]);
    const foreign = await ask('POST', `${app.url}/tus`, {
      ...headers,
      'upload-metadata': encoded({ channel: channelId }),
    });
    const none = await ask('POST', `${app.url}/tus`, {
      ...headers,
      'upload-metadata': encoded({ channel: 'nobody-has-this' }),
    });
    expect([foreign.status, none.status]).toEqual([404, 404]);
  });

  it('goes on with the unfinished upload of the same fingerprint', async () => {
    const headers = {
      authorization: `Bearer ${ada.token}`,
      'upload-length': '10',
      'upload-metadata': encoded({ filename: 'a.mp4', channel: channelId, fingerprint: 'same file' }),
    };
    const first = await ask('POST', `${app.url}/tus`, headers);
    await patch(first.headers.location as string, 0, Buffer.from('abcd'));
    const again = await ask('POST', `${app.url}/tus`, headers);
    expect(again.headers.location).toBe(first.headers.location);
    expect(await offsetAt(again.headers.location as string)).toBe(4);
    const longer = await ask('POST', `${app.url}/tus`, { ...headers, 'upload-length': '11' });
    expect(longer.headers.location).not.toBe(first.headers.location);
    const elsewhere = await ask('POST', `${app.url}/tus`, {
      ...headers,
      'upload-metadata': encoded({
        ...{ filename: 'a.mp4', channel: await ada.createChannel(), fingerprint: 'same file' },
      }),
    });
    expect(elsewhere.headers.location).not.toBe(first.headers.location);
    // An older one of the same size and channel is found behind newer ones.
    expect((await ask('POST', `${app.url}/tus`, headers)).headers.location).toBe(first.headers.location);
  });

  it('takes the first bytes with the creation', async () => {
    const made = await ask(
      'POST',
      `${app.url}/tus`,
      {
        authorization: `Bearer ${ada.token}`,
        'upload-length': '10',
        'upload-metadata': encoded({ channel: channelId }),
        'content-type': BYTES,
        'content-length': 4,
      },
      'abcd',
    );
    expect(made).toMatchObject({ status: 201, headers: { 'upload-offset': '4' } });
    expect(await offsetAt(made.headers.location as string)).toBe(4);
  });

  it('begins one upload, also where the bytes that come with the creation are refused', async () => {
    const headers = {
      authorization: `Bearer ${ada.token}`,
      'upload-length': '777',
      'upload-metadata': encoded({ channel: channelId }),
      'content-type': BYTES,
    };
    for (const [body, more] of [
      ['abcd', { 'upload-checksum': 'crc32 AAAA' }],
      ['abcd', { 'upload-checksum': `sha256 ${createHash('sha256').update('x').digest('base64')}` }],
      ['a'.repeat(778), {}],
    ] as const) {
      const made = await ask('POST', `${app.url}/tus`, { ...headers, 'content-length': body.length, ...more }, body);
      expect(made).toMatchObject({ status: 201, headers: { 'upload-offset': '0' } });
      expect((await patch(made.headers.location as string, 0, Buffer.from('abcd'))).status).toBe(204);
      expect((await ask('DELETE', made.headers.location as string)).status).toBe(204);
    }
    const rows = await app.database.query('SELECT id FROM upload_session WHERE size_bytes = 777');
    expect(rows).toHaveLength(3);
  });

  it('takes bodies that tell no length, also a part of the file, and ends who writes further ahead', async () => {
    const { url, id } = await begin(1_000_000);
    const chunked = (offset: number) => {
      const request = open('PATCH', url, { 'content-type': BYTES, 'upload-offset': offset });
      request.write('abcd');
      return request.end('efgh');
    };
    expect(await replyTo(chunked(0))).toMatchObject({ status: 204, headers: { 'upload-offset': '8' } });
    const ahead = await halfPatch(`${url}/ranges`, 500_000, 1_000, Buffer.from('x'));
    const evicted = replyTo(ahead);
    expect(await replyTo(chunked(8))).toMatchObject({ status: 204, headers: { 'upload-offset': '16' } });
    expect((await evicted).status).toBe(423);
    expect(await committed(id)).toEqual([
      [0, 16],
      [500_000, 500_001],
    ]);
    await ada.move('cancel', id);
  });

  it('ends nobody for a request that is refused', async () => {
    const { url, id } = await begin(1_000_000);
    await patch(url, 0, Buffer.from('abcd'));
    const writer = await halfPatch(url, 4, 100, Buffer.from('efgh'));
    const body = Buffer.from('abcd');
    expect((await patch(url, 4, body, { 'upload-checksum': 'crc32 AAAA' })).status).toBe(400);
    expect((await patch(url, 4, Buffer.alloc(1_000_000))).status).toBe(413);
    expect(await patch(url, 0, Buffer.alloc(10))).toMatchObject({ status: 409, headers: { 'upload-offset': '4' } });
    writer.end(Buffer.alloc(96));
    expect((await replyTo(writer)).status).toBe(204);
    await ada.move('cancel', id);
  });

  it.each<[string, number, () => Promise<Reply>]>([
    ['no token', 401, () => ask('POST', `${app.url}/tus`, { 'upload-length': '1' })],
    [
      'a token that is none',
      401,
      () => ask('POST', `${app.url}/tus`, { 'upload-length': '1', authorization: 'Bearer x' }),
    ],
    ['no length', 400, () => ask('POST', `${app.url}/tus`, { authorization: `Bearer ${ada.token}` })],
    [
      'an empty file',
      400,
      () =>
        ask('POST', `${app.url}/tus`, {
          authorization: `Bearer ${ada.token}`,
          'upload-length': '0',
          'upload-metadata': encoded({ channel: channelId }),
        }),
    ],
    [
      'a file too large',
      413,
      () => ask('POST', `${app.url}/tus`, { authorization: `Bearer ${ada.token}`, 'upload-length': '900000000000000' }),
    ],
    [
      'metadata that is none',
      400,
      () =>
        ask('POST', `${app.url}/tus`, {
          authorization: `Bearer ${ada.token}`,
          'upload-length': '1',
          'upload-metadata': 'a !',
        }),
    ],
    ['an address that nobody made', 404, () => ask('HEAD', `${app.url}/tus/${'A'.repeat(22)}.${'A'.repeat(43)}`)],
    ['another version of tus', 412, () => ask('HEAD', `${app.url}/tus/x`, { 'tus-resumable': '0.2.2' })],
  ])('refuses %s with %i', async (_, status, request) => {
    const reply = await request();
    expect(reply.status).toBe(status);
    expect(reply.headers['tus-resumable']).toBe('1.0.0');
  });

  it('refuses what a PATCH must not be, and counts nothing of it', async () => {
    const { url, id } = await begin(10);
    const bytes = Buffer.from('abcd');
    expect((await patch(url, 3, bytes)).status).toBe(409);
    expect((await patch(url, 0, bytes, { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await patch(url, 0, Buffer.alloc(11))).status).toBe(413);
    expect((await ask('PATCH', url, { 'content-type': BYTES }, bytes)).status).toBe(400);
    expect((await patch(`${url}x`, 0, bytes)).status).toBe(404);
    expect(await committed(id)).toEqual([]);
    expect(
      (await ask('POST', url, { 'x-http-method-override': 'PATCH', 'content-type': BYTES, 'upload-offset': 0 }, bytes))
        .status,
    ).toBe(204);
    expect(await offsetAt(url)).toBe(4);
  });

  it('takes a body of unknown length as far as it goes', async () => {
    const { url, id } = await begin(10);
    const request = open('PATCH', url, { 'content-type': BYTES, 'upload-offset': 0 });
    const reply = replyTo(request);
    request.write('abcd');
    request.end();
    expect(await reply).toMatchObject({ status: 204, headers: { 'upload-offset': '4' } });
    expect(await committed(id)).toEqual([[0, 4]]);
  });

  it('ends with DELETE, and says so ever after', async () => {
    const { url, id } = await begin(10);
    expect((await ask('DELETE', url)).status).toBe(204);
    expect((await ada.session(id)).state).toBe('CANCELLED');
    for (const method of ['HEAD', 'DELETE']) expect((await ask(method, url)).status).toBe(410);
    expect((await patch(url, 0, Buffer.from('a'))).status).toBe(410);
  });

  it.each(['sha256', 'sha1', 'md5'])('counts nothing of bytes that do not have their %s', async (algorithm) => {
    const { url, id } = await begin(10);
    const bytes = Buffer.from('abcd');
    const checksum = `${algorithm} ${createHash(algorithm).update(bytes).digest('base64')}`;
    expect((await patch(url, 0, Buffer.from('abcx'), { 'upload-checksum': checksum })).status).toBe(460);
    expect(await committed(id)).toEqual([]);
    expect(await patch(url, 0, bytes, { 'upload-checksum': checksum })).toMatchObject({
      status: 204,
      headers: { 'upload-offset': '4' },
    });
    expect(await committed(id)).toEqual([[0, 4]]);
    expect((await patch(url, 4, bytes, { 'upload-checksum': 'crc32 AAAA' })).status).toBe(400);
  });

  it('counts nothing of a checked request that is cut', async () => {
    const { url, id } = await begin(1_000_000);
    const bytes = randomBytes(1_000_000);
    const request = open('PATCH', url, {
      ...{ 'content-type': BYTES, 'content-length': bytes.length, 'upload-offset': 0 },
      'upload-checksum': `sha256 ${createHash('sha256').update(bytes).digest('base64')}`,
    });
    request.on('error', () => undefined);
    request.write(bytes.subarray(0, 600_000));
    await until(
      () => app.database.query('SELECT id FROM upload_writer'),
      (rows) => rows.length > 0,
      20,
    );
    request.destroy();
    await until(
      () => app.database.query('SELECT id FROM upload_writer'),
      (rows) => rows.length === 0,
      20,
    );
    expect(await committed(id)).toEqual([]);
  });
});

it('goes on while Redis comes and goes', async () => {
  const redis = await testRedis();
  const own = await startApp({ redisUrl: redis.url, trustProxy: false });
  try {
    const user = await ApiClient.signUp(own.url);
    const channel = await user.createChannel();
    const { session } = await user.createSession({ channelId: channel, sizeBytes: 100 });
    const { uploadSession } = await user.query('query ($id: ID!) { uploadSession(id: $id) { tusUrl } }', {
      id: session.id,
    });
    const writer = open('PATCH', uploadSession.tusUrl, {
      ...{ 'content-type': BYTES, 'content-length': 8, 'upload-offset': 0 },
    });
    const reply = replyTo(writer);
    writer.write('abcd');
    await until(
      () => own.database.query('SELECT id FROM upload_writer'),
      (rows) => rows.length === 1,
      20,
    );
    const woken = new Promise<boolean>((resolve) => own.get(Live).listen('any', resolve));
    await redis.restartEmpty();
    // Everybody was told to look; who appends has nothing to look at.
    expect(await woken).toBe(true);
    // Long enough for who was told to stop to have stopped.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await own.database.query('SELECT id FROM upload_writer')).toHaveLength(1);
    writer.end('efgh');
    expect(await reply).toMatchObject({ status: 204, headers: { 'upload-offset': '8' } });
  } finally {
    await own.stop();
    await redis.stop();
  }
});

it('a body that nobody wants is not heard to the end, however slowly it comes', async () => {
  const { url, id } = await begin(100);
  const ingress = app.get(TusIngress);
  ingress.unwantedMs = 300;
  const socket = connect(app.config.port, '127.0.0.1');
  const { pathname } = new URL(url);
  const head = ['Tus-Resumable: 1.0.0', 'Content-Type: text/plain', 'Content-Length: 1000', 'Upload-Offset: 0'];
  socket.write(`PATCH ${pathname} HTTP/1.1\r\nHost: x\r\n${head.join('\r\n')}\r\n\r\nx`);
  let answer = '';
  for await (const bytes of socket) answer += bytes;
  expect(answer).toMatch(/^HTTP\/1.1 415 /);
  ingress.unwantedMs = 10_000;
  await ada.move('cancel', id);
});

describe('what arrived', () => {
  const file = randomBytes(20_000_000);

  it('is kept when the link is cut, and is all that is asked for again', async () => {
    const { url, id } = await begin(file.length);
    const request = await halfPatch(url, 0, file.length, file.subarray(0, 11_000_000));
    // The connection ends after the bytes and not in place of them, as a reset would.
    request.socket?.end();
    await settled();
    const reached = await offsetAt(url);
    // But for what stood between two reads.
    expect(reached).toBeGreaterThan(10_900_000);
    expect(reached).toBeLessThanOrEqual(11_000_000);
    expect(await committed(id)).toEqual([[0, reached]]);
    expect((await patch(url, reached, file.subarray(reached, 15_000_000))).headers['upload-offset']).toBe('15000000');
    const chunks = await app.database.query<{ sha: string; span: string; verified: boolean }>(
      `SELECT encode(sha256, 'hex') AS sha, span::text, verified FROM upload_chunk WHERE session_id =
         (SELECT id FROM upload_session WHERE size_bytes = $1) ORDER BY lower(span)`,
      [file.length],
    );
    for (const { sha, span, verified } of chunks) {
      const [, start, end] = /\[(\d+),(\d+)\)/.exec(span) ?? [];
      expect(sha).toBe(sha256(file.subarray(Number(start), Number(end))));
      expect(verified).toBe(false);
    }
    await ada.move('cancel', id);
  });

  it.each([
    'the same process',
    'another process',
  ])('is settled at once when a new request comes to %s', async (where) => {
    const { url, id } = await begin(1_000_000);
    const old = await halfPatch(url, 0, 1_000_000, file.subarray(0, 300_000));
    const started = performance.now();
    const reached = await offsetAt(where === 'another process' ? at(url, other) : url);
    expect(reached).toBe(300_000);
    expect(performance.now() - started).toBeLessThan(1_900);
    // Whoever was evicted can write no more, however alive.
    old.write(file.subarray(300_000, 400_000));
    expect((await patch(at(url, other), reached, file.subarray(300_000, 350_000))).status).toBe(204);
    expect(await committed(id)).toEqual([[0, 350_000]]);
    old.destroy();
    await ada.move('cancel', id);
  });

  it('evicts only at its own place', async () => {
    const { url, id } = await begin(1_000_000);
    const head = await halfPatch(url, 0, 400_000, file.subarray(0, 100_000));
    expect((await patch(`${url}/ranges/500000`, 0, file.subarray(500_000, 600_000))).status).toBe(204);
    head.end(file.subarray(100_000, 400_000));
    expect((await replyTo(head)).status).toBe(204);
    expect(await committed(id)).toEqual([
      [0, 400_000],
      [500_000, 600_000],
    ]);
    // What is there already is dropped on the way, and only the hole between is stored.
    expect((await patch(url, 400_000, file.subarray(400_000, 700_000))).headers['upload-offset']).toBe('700000');
    expect(await committed(id)).toEqual([[0, 700_000]]);
    const rows = await app.database.query<{ bytes: number }>(
      `SELECT sum(upper(span) - lower(span))::int AS bytes FROM upload_chunk c JOIN upload_session s ON s.id = c.session_id
       WHERE s.size_bytes = 1000000 AND s.state = 'OPEN'`,
    );
    expect(rows).toEqual([{ bytes: 700_000 }]);
    await ada.move('cancel', id);
  });

  it('is stored once, however often it is sent', async () => {
    const { url, id } = await begin(1_000_000);
    const bytes = file.subarray(0, 600_000);
    const checksum = `sha256 ${createHash('sha256').update(bytes).digest('base64')}`;
    await patch(url, 0, bytes);
    for (let k = 0; k < 3; k++) {
      expect((await patch(`${url}/ranges/0`, 0, bytes, { 'upload-checksum': checksum })).status).toBe(204);
    }
    const wrong = await patch(`${url}/ranges/0`, 0, Buffer.alloc(600_000), { 'upload-checksum': checksum });
    expect(wrong.status).toBe(460);
    const standing = await app.database.query(
      `SELECT key FROM stored_object WHERE starts_with(key, 'appended/') AND state <> 'DELETING' AND key NOT IN (SELECT object_key FROM upload_chunk)`,
    );
    expect(standing).toEqual([]);
    expect(await committed(id)).toEqual([[0, 600_000]]);
    await ada.move('cancel', id);
  });

  it('gives one place to one of those who come at once', async () => {
    const { url, id } = await begin(1_000_000);
    const statuses = await Promise.all(
      Array.from({ length: 6 }, async () => (await patch(`${url}/ranges/0`, 0, file.subarray(0, 500_000))).status),
    );
    expect(new Set([204, 423])).toEqual(new Set([...statuses, 423]));
    const [stored] = await app.database.query<{ bytes: number }>(
      `SELECT coalesce(sum(stored_object.size_bytes), 0)::int AS bytes FROM stored_object JOIN upload_chunk ON object_key = key
       JOIN upload_session s ON s.id = session_id WHERE s.size_bytes = 1000000 AND s.state = 'OPEN'`,
    );
    expect(stored?.bytes).toBe(500_000);
    await ada.move('cancel', id);
  });

  it('lets one of those write who come to one place at once, and the others not begin', async () => {
    const { id } = await begin(1_000_000);
    const session = (await app.get(UploadsService).byId(rowId(id))) as UploadSessionRow;
    let entered = 0;
    let all: () => void = () => undefined;
    const decided = new Promise<void>((resolve) => {
      all = resolve;
    });
    let undecided = 6;
    const isDecided = () => --undecided === 0 && all();
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, async (_, k) => {
        const bytes = new IncomingBytes(Readable.from([]));
        const outcome = await (k % 2 ? app : other)
          .get(UploadWriters)
          .during(session, { start: 0, end: 10 }, bytes, async () => {
            entered++;
            isDecided();
            await decided;
            return 'WRITTEN';
          });
        if (outcome === 'FENCED') isDecided();
        return outcome;
      }),
    );
    expect(entered).toBe(1);
    expect(outcomes.toSorted()).toEqual([...Array(5).fill('FENCED'), 'WRITTEN']);
    await ada.move('cancel', id);
  });

  it('completes the upload also when the last hole was filled another way', async () => {
    const { url, id } = await begin(10);
    await patch(`${url}/ranges/4`, 0, Buffer.from('efghij'));
    await patch(`${url}/ranges/0`, 0, Buffer.from('abcd'));
    expect((await ada.session(id)).state).toBe('OPEN');
    expect((await patch(url, 10, Buffer.alloc(0))).status).toBe(204);
    expect((await ada.session(id)).state).not.toBe('OPEN');
  });

  it('does not count when its writer was fenced off', async () => {
    const { url, id } = await begin(1_000_000);
    const zombie = await halfPatch(url, 0, 1_000_000, file.subarray(0, 300_000));
    await app.database.query('DELETE FROM upload_writer');
    zombie.end(file.subarray(300_000, 1_000_000));
    expect((await replyTo(zombie)).status).toBe(423);
    expect(await committed(id)).toEqual([]);
    await ada.move('cancel', id);
  });

  it('has counted before who evicts its writer goes on, where it was at it', async () => {
    const { url, id } = await begin(1_000_000);
    const writers = app.get(UploadWriters);
    const isIn = writers.isIn.bind(writers);
    let counts = false;
    let evicted = false;
    let evicting: Promise<void> | undefined;
    jest.spyOn(writers, 'isIn').mockImplementationOnce(async (sql, writerId) => {
      const standing = await isIn(sql, writerId);
      evicting = other
        .get(UploadWriters)
        .evict(rowId(id), { start: 0, end: 1 })
        .then(async () => {
          evicted = true;
          counts = (await committed(id)).length > 0;
        });
      // Until it has taken the row away, or waits until it may.
      await until(
        () =>
          app.database.query(
            `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
          ),
        (waiting) => evicted || waiting.length > 0,
        20,
      );
      return standing;
    });
    await patch(url, 0, file.subarray(0, 100_000));
    await evicting;
    expect({ evicted, counts }).toEqual({ evicted: true, counts: true });
    jest.restoreAllMocks();
    await ada.move('cancel', id);
  });

  it('is refused once the session was cancelled under way', async () => {
    const { url, id } = await begin(1_000_000);
    const request = await halfPatch(url, 0, 1_000_000, file.subarray(0, 300_000));
    await ada.move('cancel', id);
    request.end(file.subarray(300_000, 1_000_000));
    expect((await replyTo(request)).status).toBe(410);
  });
});

it('completes in the transaction that counts its last byte, so that no crash comes in between', async () => {
  // Looks when a transaction is about to commit.
  await app.database.query(`
    CREATE FUNCTION whole_and_open() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF EXISTS (SELECT FROM upload_session WHERE id = NEW.id AND state = 'OPEN' AND covered = int8multirange(int8range(0, size_bytes)))
        THEN RAISE EXCEPTION 'whole, and open'; END IF;
      RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER whole_and_open AFTER UPDATE ON upload_session DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION whole_and_open()`);
  try {
    const { url, id } = await begin(10);
    expect((await patch(url, 0, Buffer.from('abcd'))).status).toBe(204);
    expect((await patch(url, 4, Buffer.from('efghij'))).status).toBe(204);
    expect((await ada.session(id)).state).not.toBe('OPEN');
  } finally {
    await app.database.query('DROP TRIGGER whole_and_open ON upload_session; DROP FUNCTION whole_and_open');
  }
});

it('completes with its last byte, once, and becomes a video', async () => {
  const clip = await makeClip({ seconds: 2, size: '320x180' });
  const location = await new Promise<string>((resolve, reject) => {
    const upload = new Upload(clip as never, {
      endpoint: `${app.url}/tus`,
      headers: { authorization: `Bearer ${ada.token}` },
      metadata: { filename: 'clip.mp4', filetype: 'video/mp4', channel: channelId },
      chunkSize: 100_000,
      retryDelays: [100, 300],
      onSuccess: () => resolve(upload.url as string),
      onError: reject,
    });
    upload.start();
  });
  expect(await offsetAt(location)).toBe(clip.length);
  const { viewer } = await ada.query('{ viewer { uploadSessions(first: 1) { nodes { id state video { id } } } } }');
  const [session] = viewer.uploadSessions.nodes;
  expect(['COMPLETING', 'COMPLETED']).toContain(session.state);
  await until(
    () => ada.video(session.video.id),
    ({ state }) => state === 'READY',
  );
  const [master] = await app.database.query<{ key: string }>(
    'SELECT master_key AS key FROM upload_session WHERE size_bytes = $1',
    [clip.length],
  );
  expect(await digestOf(storageOf(app.config.dataDir), master?.key as string)).toBe(sha256(clip));
});
