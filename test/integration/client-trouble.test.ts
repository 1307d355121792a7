import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import http, { createServer, type IncomingMessage, type Server } from 'node:http';
import { join } from 'node:path';
import { createUpload, type Upload, type UploadOptions, type UploadState } from '../../client/src/node.js';
import { freePort } from '../support/app.js';
import { ApiClient, startApp, type TestApp, temporaryFolder, until } from '../support/index.js';

/** The client behind a proxy that answers for the server, and in the hands of clumsy pages. */

const MB = 1_000_000;
interface Instead {
  status: number;
  body: string;
  headers?: Record<string, string>;
}
let app: TestApp;
let ada: ApiClient;
let channelId: string;
let folder: string;
let proxy: Server;
let url: string;
/** What the proxy answers itself; null: it asks the server. */
let instead: (request: IncomingMessage) => Instead | 'lose' | null;
/** The server has answered, and nobody hears it. */
let onLost: () => void;
let asked: string[];
let files = 0;

beforeAll(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  app = await startApp({ publicUrl: url });
  proxy = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const answer = instead(request);
    if (answer && answer !== 'lose') {
      request.resume();
      response.writeHead(answer.status, answer.headers).end(answer.body);
      return;
    }
    const { method, headers } = request;
    const onward = http.request(`${app.url}${request.url}`, { method, headers }, (came) => {
      if (answer === 'lose') {
        came.resume().on('end', onLost);
        return;
      }
      response.writeHead(came.statusCode ?? 500, came.headers);
      came.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.on('close', () => request.complete || onward.destroy());
    request.pipe(onward);
  }).listen(port, '127.0.0.1');
  await once(proxy, 'listening');
  ada = await ApiClient.signUp(app.url);
  channelId = await ada.createChannel();
  folder = await temporaryFolder();
});
beforeEach(() => {
  instead = () => null;
  asked = [];
});
afterAll(async () => {
  proxy.closeAllConnections();
  proxy.close();
  await app.stop();
});

async function fileOf(sizeBytes: number): Promise<string> {
  const file = join(folder, `film-${files++}.mp4`);
  await writeFile(file, randomBytes(sizeBytes));
  return file;
}
function uploadOf(file: string, options: Partial<UploadOptions> = {}): { upload: Upload; states: UploadState[] } {
  const upload = createUpload(file, { endpoint: url, token: ada.token as string, channelId, ...options });
  const states: UploadState[] = [];
  upload.on('state', (state) => states.push(state));
  return { upload, states };
}
const isTus = ({ url: path }: IncomingMessage) => path?.startsWith('/tus/');
const PAGE = { status: 404, body: '<h1>Not found</h1>', headers: { 'content-type': 'text/html' } };

it("takes another's page for a server that is away, in the lane and before it", async () => {
  let pages = 3;
  instead = () => (pages-- > 0 ? PAGE : null);
  const { upload, states } = uploadOf(await fileOf(1 * MB));
  const done = upload.start();
  await until(
    async () => asked,
    (all) => all.some((one) => one.startsWith('PATCH')),
    20,
  );
  await done;
  expect(states).toContain('waiting');
  pages = 0;
  let tus = 6;
  instead = (request) => (isTus(request) && tus-- > 0 ? PAGE : null);
  const next = uploadOf(await fileOf(1 * MB)).upload;
  await next.start();
  expect(next.snapshot.state).toBe('done');
});

it('gives up where there never was a server', async () => {
  instead = () => PAGE;
  await expect(uploadOf(await fileOf(1000)).upload.start()).rejects.toMatchObject({ code: 'PROTOCOL' });
});

it('goes on as soon as a proxy stops refusing, and asks it seldom until then', async () => {
  const { upload, states } = uploadOf(await fileOf(1 * MB));
  let isAway = true;
  instead = (request) => (isAway && isTus(request) ? { status: 502, body: '<h1>Bad gateway</h1>' } : null);
  const done = upload.start();
  await until(
    async () => upload.snapshot,
    ({ state, waitingFor }) => state === 'waiting' && waitingFor?.code === 'PROTOCOL',
    20,
  );
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  expect(asked.filter((one) => one.includes('/tus/')).length).toBeLessThan(25);
  isAway = false;
  const back = performance.now();
  await until(
    async () => states,
    (all) => all.includes('completing'),
    20,
  );
  expect(performance.now() - back).toBeLessThan(5_000);
  await done;
});

it('says that the store is full, and waits for room', async () => {
  const { upload } = uploadOf(await fileOf(1 * MB));
  let isFull = true;
  const full = { status: 507, body: JSON.stringify({ code: 'STORAGE_FULL', message: 'The store has no space left.' }) };
  instead = ({ method }) => (isFull && method === 'PATCH' ? full : null);
  const done = upload.start();
  await until(
    async () => upload.snapshot,
    ({ state, waitingFor }) => state === 'waiting' && waitingFor?.code === 'STORAGE_FULL',
    20,
  );
  isFull = false;
  await done;
  expect(upload.snapshot.waitingFor).toBeNull();
});

it('an upload that is found again gets the title and the visibility that it is begun with now', async () => {
  const file = await fileOf(6 * MB);
  instead = ({ method }) => (method === 'PATCH' ? { status: 503, body: '' } : null);
  const first = uploadOf(file, { title: 'Before' });
  const left = first.upload.start().catch((error: unknown) => error);
  await until(
    async () => asked,
    (all) => all.some((one) => one.startsWith('PATCH')),
    20,
  );
  first.upload.leave();
  expect(await left).toMatchObject({ name: 'UploadError', code: 'LEFT' });
  expect(first.states).not.toContain('failed');
  expect((await ada.session(first.upload.snapshot.sessionId as string)).state).toBe('OPEN');
  instead = () => null;
  const { sessionId, videoId } = await uploadOf(file, { title: 'After', visibility: 'UNLISTED' }).upload.start();
  expect(sessionId).toBe(first.upload.snapshot.sessionId);
  expect(await ada.video(videoId)).toMatchObject({ title: 'After', visibility: 'UNLISTED' });
});

it('survives listeners that throw, and starts once', async () => {
  const { upload } = uploadOf(await fileOf(1 * MB));
  let again: Promise<unknown> | undefined;
  upload.on('state', () => {
    again ??= upload.start();
    throw new Error('A clumsy page.');
  });
  const started = upload.start();
  await started;
  expect(again).toBe(started);
  expect(upload.snapshot.state).toBe('done');
});

it('cancelled before it starts, it does not start', async () => {
  const { upload, states } = uploadOf(await fileOf(1000));
  await upload.cancel();
  await expect(upload.start()).rejects.toMatchObject({ code: 'CANCELLED' });
  expect([states, asked]).toEqual([['cancelled'], []]);
});

it('cancelled while its session is being made, it leaves none', async () => {
  const { upload } = uploadOf(await fileOf(1000), { fileName: 'never-mind.mp4' });
  let cancelled: Promise<void> | undefined;
  onLost = () => {
    cancelled = upload.cancel();
  };
  instead = () => (cancelled === undefined ? 'lose' : null);
  await expect(upload.start()).rejects.toMatchObject({ code: 'CANCELLED' });
  await cancelled;
  const sessions = await app.database.query(`SELECT state FROM upload_session WHERE file_name = 'never-mind.mp4'`);
  expect(sessions).toEqual([{ state: 'CANCELLED' }]);
});

it('a token that never comes does not keep it from being cancelled', async () => {
  const { upload } = uploadOf(await fileOf(1000), { token: () => new Promise(() => undefined) });
  const done = upload.start();
  await until(
    async () => upload.snapshot.state,
    (state) => state === 'preparing',
    20,
  );
  void upload.cancel();
  await expect(done).rejects.toMatchObject({ code: 'CANCELLED' });
});
