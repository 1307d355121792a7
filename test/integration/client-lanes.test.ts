import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import http, { createServer, type IncomingMessage, type Server } from 'node:http';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pathToFileURL } from 'node:url';
import {
  type ChunkEvent,
  createUpload,
  type Upload,
  type UploadOptions,
  type UploadState,
} from '../../client/src/node.js';
import { intersect, type Range, sizeOf, union } from '../../client/src/ranges.js';
import { freePort } from '../support/app.js';
import { ApiClient, rowId, startApp, type TestApp, temporaryFolder, until } from '../support/index.js';
import { brokenInvariants, storageOf, storeDifferences } from '../support/invariants.js';

/** Which way the client sends, and how it goes over to another, behind a proxy that counts. */

const MB = 1_000_000;
const MiB = 2 ** 20;
const CLIENT = pathToFileURL(join(import.meta.dirname, '../../client/dist/node/sluice.js')).href;

let app: TestApp;
let ada: ApiClient;
let channelId: string;
let folder: string;
let proxy: Server;
let port: number;
let url: string;
/** What the proxy carries of bodies, in all. */
let bytesPerSecond: number;
/** Bytes of bodies that went to the server, by method. */
let sent: Record<string, number>;
/** Of the requests for the bytes of a session, in order. A look is in it once it is answered: before, nobody knows anything by it. */
let methods: string[];
/** The status with which the proxy answers itself; null: it asks the server. */
let instead: (request: IncomingMessage) => number | null;
let files = 0;

beforeAll(async () => {
  port = await freePort();
  url = `http://127.0.0.1:${port}`;
  app = await startApp({ publicUrl: url });
  let freeAt = 0;
  proxy = createServer((request, response) => {
    const { method = '', headers } = request;
    const seen = request.url?.includes('/tus/') ? methods : [];
    if (method !== 'GET') seen.push(method);
    const status = instead(request);
    if (status !== null) {
      request.resume();
      response.writeHead(status).end();
      return;
    }
    const onward = http.request(`${app.url}${request.url}`, { method, headers }, (came) => {
      if (method === 'GET') seen.push(method);
      response.writeHead(came.statusCode ?? 500, came.headers);
      came.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.on('close', () => request.complete || onward.destroy());
    // What a dead client's request has left in here is not the next one's.
    const counted = sent;
    const slow = new Transform({
      transform: (chunk: Buffer, _, done) => {
        counted[method] = (counted[method] ?? 0) + chunk.length;
        freeAt = Math.max(performance.now(), freeAt) + (chunk.length / bytesPerSecond) * 1000;
        setTimeout(() => done(null, chunk), freeAt - performance.now());
      },
    });
    request.pipe(slow).pipe(onward);
  });
  proxy.listen(port, '127.0.0.1');
  await once(proxy, 'listening');
  ada = await ApiClient.signUp(app.url);
  channelId = await ada.createChannel();
  folder = await temporaryFolder();
});
beforeEach(() => {
  instead = () => null;
  bytesPerSecond = Number.POSITIVE_INFINITY;
  sent = {};
  methods = [];
});
afterAll(async () => {
  proxy.closeAllConnections();
  proxy.close();
  expect(await brokenInvariants(app.database)).toEqual({});
  expect(await storeDifferences(app.database, storageOf(app.config.dataDir))).toEqual([]);
  await app.stop();
  await rm(folder, { recursive: true });
});

interface Seen {
  upload: Upload;
  states: UploadState[];
  chunks: ChunkEvent[];
}

async function makeFile(sizeBytes: number, ending = 'bin'): Promise<{ file: string; sha256: string }> {
  const bytes = randomBytes(sizeBytes);
  // By its name `.bin` is no film: the server wants none of it first, and requests begin where the client's own plan has them.
  const file = join(folder, `file-${files++}.${ending}`);
  await writeFile(file, bytes);
  return { file, sha256: createHash('sha256').update(bytes).digest('hex') };
}

function uploadOf(file: string, options: Partial<UploadOptions> = {}): Seen {
  const upload = createUpload(file, { endpoint: url, token: ada.token as string, channelId, ...options });
  const seen: Seen = { upload, states: [], chunks: [] };
  upload.on('state', (state) => seen.states.push(state));
  upload.on('chunk', (chunk) => seen.chunks.push(chunk));
  return seen;
}

/** What the server worked out of the whole. */
async function storedDigest({ upload }: Seen): Promise<string> {
  const { sessionId } = await upload.start();
  const [row] = await app.database.query<{ sha256: string }>(
    `SELECT encode(sha256, 'hex') AS sha256 FROM upload_session WHERE id = $1 AND state = 'COMPLETED'`,
    [rowId(sessionId)],
  );
  return row?.sha256 ?? '';
}

const rangesOf = (chunks: ChunkEvent[], state: ChunkEvent['state']): Range[] =>
  chunks.filter((chunk) => chunk.state === state).map(({ start, end }) => [start, end]);

it('goes on in the direct lane where a process that was killed left off, and sends nothing again that counted', async () => {
  const { file, sha256 } = await makeFile(48 * MiB);
  bytesPerSecond = 8 * MiB;
  const options = { endpoint: url, token: ada.token, channelId, lane: 'direct' };
  const code = `import { createUpload } from ${JSON.stringify(CLIENT)};
    await createUpload(${JSON.stringify(file)}, ${JSON.stringify(options)}).start();`;
  const killed = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' });
  const [session] = await until(
    () => app.database.query<{ id: string; tus: string }>(`SELECT id FROM upload_session WHERE state = 'OPEN'`),
    (rows) => rows.length === 1,
    20,
  );
  const chunks = () =>
    app.database.query<{ start: number; end: number }>(
      `SELECT lower(span)::float8 AS start, upper(span)::float8 AS end FROM upload_chunk WHERE session_id = $1`,
      [session?.id],
    );
  await until(chunks, (rows) => rows.length >= 3, 20);
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  // What its kernel had is not the next one's.
  proxy.closeAllConnections();
  const committed = union((await chunks()).map(({ start, end }) => [start, end] as const));
  expect(sizeOf(committed)).toBeLessThan(48 * MiB);
  sent = {};
  const seen = uploadOf(file, { lane: 'direct' });
  expect(await storedDigest(seen)).toBe(sha256);
  expect(sent.PATCH).toBeUndefined();
  expect(sent.PUT).toBeLessThanOrEqual(48 * MiB - sizeOf(committed));
  const stored = rangesOf(seen.chunks, 'stored');
  expect(sizeOf(union(stored))).toBe(48 * MiB - sizeOf(committed));
  expect(stored.filter((range) => intersect(committed, [range]).length > 0)).toEqual([]);
});

it('goes on at once where nobody brings bytes, and looks first where somebody does', async () => {
  const { file, sha256 } = await makeFile(24 * MiB);
  bytesPerSecond = MiB;
  const begin = (): Seen & { left: Promise<void> } => {
    const seen = uploadOf(file, { lane: 'append' });
    return { ...seen, left: expect(seen.upload.start()).rejects.toMatchObject({ code: 'LEFT' }) };
  };
  const open = '{ viewer { uploadSessions(state: OPEN) { nodes { id tusUrl committedBytes isReceiving } } } }';
  const session = async () =>
    (await ada.query(open)).viewer.uploadSessions.nodes.find(
      ({ id }: { id: string }) => id === first.upload.snapshot.sessionId,
    );
  const first = begin();
  await until(session, (one) => one?.isReceiving && one.committedBytes > MiB, 20);
  first.upload.leave();
  await first.left;
  const { tusUrl, committedBytes } = await until(session, (one) => !one.isReceiving, 20);

  const headers = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' };
  const stranger = http.request(`${app.url}${new URL(tusUrl).pathname}/ranges`, {
    method: 'PATCH',
    headers: { ...headers, 'upload-offset': 20 * MiB, 'content-length': MiB },
  });
  stranger.on('error', () => undefined);
  stranger.write(randomBytes(1000));
  await until(session, (one) => one.isReceiving, 20);
  methods = [];
  const second = begin();
  await until(
    async () => methods,
    ([method]) => method !== undefined,
    20,
  );
  expect(methods[0]).toBe('GET');
  second.upload.leave();
  await second.left;
  stranger.destroy();
  await until(session, (one) => !one.isReceiving, 20);

  methods = [];
  bytesPerSecond = Number.POSITIVE_INFINITY;
  const third = uploadOf(file, { lane: 'append' });
  expect(await storedDigest(third)).toBe(sha256);
  expect(methods[0]).toBe('PATCH');
  expect(rangesOf(third.chunks, 'stored')[0]?.[0]).toBeGreaterThanOrEqual(committedBytes);
});

it('passes over a part that the store refuses, puts the others, and comes back to it', async () => {
  const { file, sha256 } = await makeFile(40 * MiB);
  bytesPerSecond = 16 * MiB;
  let refused: string | undefined;
  let refusals = 0;
  instead = ({ method, url: path }) => {
    if (method !== 'PUT') return null;
    refused ??= path;
    return path === refused && refusals++ < 4 ? 503 : null;
  };
  const seen = uploadOf(file, { lane: 'direct' });
  expect(await storedDigest(seen)).toBe(sha256);
  const [passedOver] = rangesOf(seen.chunks, 'passedOver');
  expect(passedOver).toBeDefined();
  const states = seen.chunks.filter(({ start }) => start === passedOver?.[0]).map(({ state }) => state);
  expect(states.slice(0, 6)).toEqual(['failed', 'revisited', 'failed', 'revisited', 'passedOver', 'revisited']);
  expect(states.at(-1)).toBe('stored');
  // Each once.
  expect(sent.PUT).toBe(40 * MiB);
});

it('goes over to the direct lane on a fast, calm link, and back when the store is away', async () => {
  const { file, sha256 } = await makeFile(160 * MB);
  bytesPerSecond = 16 * MB;
  let puts = 0;
  instead = ({ method }) => (method === 'PUT' && ++puts > 3 ? 503 : null);
  const seen = uploadOf(file);
  const done = seen.upload.start();
  await until(
    async () => puts,
    (count) => count > 3,
    20,
  );
  const byAppend = sent.PATCH as number;
  expect(byAppend).toBeGreaterThan(20 * MB);
  expect(sent.PUT).toBeGreaterThan(5 * MB);
  await done;
  expect(await storedDigest(seen)).toBe(sha256);
  expect(sent.PATCH).toBeGreaterThan(byAppend);
  expect(seen.states).toEqual(['preparing', 'sending', 'completing', 'done']);
  // Neither way is begun where the other one is: what is sent twice is what was cut off in the change.
  expect((sent.PATCH as number) + (sent.PUT as number)).toBeLessThan(190 * MB);
});

it('puts what the append lane passed over, when it goes over to the direct lane', async () => {
  const { file, sha256 } = await makeFile(220 * MB);
  bytesPerSecond = 16 * MB;
  const place = 8 * MiB;
  instead = ({ method, headers }) => (method === 'PATCH' && headers['upload-offset'] === String(place) ? 500 : null);
  const seen = uploadOf(file);
  expect(await storedDigest(seen)).toBe(sha256);
  expect(rangesOf(seen.chunks, 'passedOver').map(([start]) => start)).toEqual([place]);
  expect(sent.PUT).toBeGreaterThan(8 * MiB);
  expect(rangesOf(seen.chunks, 'stored').some(([start]) => start === place)).toBe(true);
});

it('sends to the address that it was given, where the one that the server has for itself is not reached', async () => {
  const { file, sha256 } = await makeFile(2 * MB);
  proxy.close();
  proxy.closeAllConnections();
  const seen = uploadOf(file, { endpoint: app.url });
  try {
    const done = seen.upload.start();
    await until(
      async () => seen.states,
      (states) => states.includes('waiting'),
      20,
    );
    await done;
  } finally {
    proxy.listen(port, '127.0.0.1');
    await once(proxy, 'listening');
  }
  expect(await storedDigest(seen)).toBe(sha256);
});

it('puts first what the server wants first: where an index may be, in front and at the end', async () => {
  const { file } = await makeFile(40 * MiB, 'mp4');
  bytesPerSecond = 4 * MiB;
  const seen = uploadOf(file, { lane: 'direct' });
  const given = expect(seen.upload.start()).rejects.toMatchObject({ code: 'CANCELLED' });
  await until(
    async () => rangesOf(seen.chunks, 'stored'),
    (stored) => stored.length >= 2,
    20,
  );
  const first = rangesOf(seen.chunks, 'stored').slice(0, 2);
  expect(first).toEqual(
    expect.arrayContaining([
      [0, 64 * 1024],
      [expect.any(Number), 40 * MiB],
    ]),
  );
  await seen.upload.cancel();
  await given;
});
