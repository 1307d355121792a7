import { createHash, randomBytes } from 'node:crypto';
import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ChunkEvent,
  createUpload,
  type Upload,
  type UploadOptions,
  type UploadState,
} from '../../client/src/node.js';
import {
  ApiClient,
  type Link,
  rowId,
  startApp,
  startLink,
  type TestApp,
  temporaryFolder,
  until,
} from '../support/index.js';
import { brokenInvariants, storageOf, storeDifferences } from '../support/invariants.js';

/** The client in Node against the real server, over a link that does what bad links do. */

const MB = 1_000_000;
let app: TestApp;
let link: Link;
let ada: ApiClient;
let channelId: string;
let folder: string;
let files = 0;

beforeAll(async () => {
  link = await startLink(() => app.url, { bytesPerSecond: 4 * MB });
  app = await startApp({ publicUrl: link.url });
  ada = await ApiClient.signUp(app.url);
  channelId = await ada.createChannel();
  folder = await temporaryFolder();
});
afterAll(async () => {
  link.stop();
  expect(await brokenInvariants(app.database)).toEqual({});
  expect(await storeDifferences(app.database, storageOf(app.config.dataDir))).toEqual([]);
  await app.stop();
});

interface Seen {
  upload: Upload;
  file: string;
  sha256: string;
  states: UploadState[];
  chunks: ChunkEvent[];
  committed: number[];
}

async function makeFile(sizeBytes: number): Promise<{ file: string; sha256: string }> {
  const bytes = randomBytes(sizeBytes);
  const file = join(folder, `film-${files++}.mp4`);
  await writeFile(file, bytes);
  return { file, sha256: createHash('sha256').update(bytes).digest('hex') };
}

function uploadOf({ file, sha256 }: { file: string; sha256: string }, options: Partial<UploadOptions> = {}): Seen {
  const upload = createUpload(file, { endpoint: link.url, token: ada.token as string, channelId, ...options });
  const seen: Seen = { upload, file, sha256, states: [], chunks: [], committed: [] };
  upload.on('state', (state) => seen.states.push(state));
  upload.on('chunk', (chunk) => seen.chunks.push(chunk));
  upload.on('progress', ({ committedBytes }) => seen.committed.push(committedBytes));
  return seen;
}

/** The digest that the server worked out of the whole, which it compared with the client's. */
async function expectWhole({ upload, sha256 }: Seen): Promise<void> {
  const { sessionId } = await upload.start();
  const [row] = await app.database.query(
    `SELECT s.state, encode(s.sha256, 'hex') AS sha256 FROM upload_session s WHERE s.id = $1`,
    [rowId(sessionId)],
  );
  expect(row).toEqual({ state: 'COMPLETED', sha256 });
  expect(upload.snapshot).toMatchObject({ state: 'done', error: null });
}

it('uploads a file and tells how far it is', async () => {
  const seen = uploadOf(await makeFile(6 * MB), { title: 'Früh am Kanal' });
  const before = link.bytes;
  const { sessionId, videoId } = await seen.upload.start();
  await expectWhole(seen);
  expect(seen.states).toEqual(['preparing', 'sending', 'completing', 'done']);
  expect(seen.committed.at(-1)).toBe(6 * MB);
  expect(seen.committed).toEqual([...seen.committed].sort((a, b) => a - b));
  expect(link.bytes - before).toBeLessThan(6.1 * MB);
  expect(await ada.video(videoId)).toMatchObject({ title: 'Früh am Kanal', visibility: 'PRIVATE' });
  expect((await ada.session(sessionId)).video.id).toBe(videoId);
});

it('goes on at once after every cut, and sends hardly a byte twice', async () => {
  const seen = uploadOf(await makeFile(16 * MB));
  const before = link.bytes;
  const done = seen.upload.start();
  for (const megabytes of [1, 3, 5, 7, 9, 11]) {
    await link.reached(before + megabytes * MB);
    link.cut();
  }
  await done;
  await expectWhole(seen);
  expect(seen.states).not.toContain('failed');
  expect(seen.chunks.filter(({ state }) => state === 'failed').length).toBeGreaterThanOrEqual(6);
  // What the wire had taken and not passed on is lost with each cut, and a pipe's worth more.
  expect(link.bytes - before).toBeLessThan(17.5 * MB);
});

it('notices by itself that nothing passes, and that it does again', async () => {
  const seen = uploadOf(await makeFile(8 * MB));
  const before = link.bytes;
  const done = seen.upload.start();
  await link.reached(before + 2 * MB);
  const end = link.hole();
  await until(
    async () => seen.states,
    (states) => states.includes('waiting'),
    20,
  );
  end();
  await done;
  await expectWhole(seen);
  expect(seen.states).toEqual(expect.arrayContaining(['sending', 'waiting', 'sending', 'completing', 'done']));
});

it('waits while nothing listens, and goes on by itself', async () => {
  const seen = uploadOf(await makeFile(8 * MB));
  const before = link.bytes;
  const done = seen.upload.start();
  await link.reached(before + 2 * MB);
  link.stop();
  await until(
    async () => seen.states,
    (states) => states.includes('waiting'),
    20,
  );
  await link.start();
  await done;
  await expectWhole(seen);
});

it('has the one range sent again in which a bit was turned over on the way', async () => {
  const seen = uploadOf(await makeFile(12 * MB));
  const before = link.bytes;
  const done = seen.upload.start();
  await link.reached(before + 5 * MB);
  link.flip();
  await done;
  await expectWhole(seen);
  const wrong = seen.chunks.filter(({ reason }) => reason?.startsWith('Other bytes'));
  expect(wrong).toHaveLength(1);
  const [{ start, end }] = wrong as [ChunkEvent];
  expect(start).toBeLessThan(5.5 * MB);
  expect(end).toBeGreaterThan(4.5 * MB);
  expect(link.bytes - before - 12 * MB).toBeLessThan(end - start + 0.3 * MB);
  expect(seen.states.filter((state) => state === 'completing')).toHaveLength(2);
});

it('goes on where another process, or another device, left off', async () => {
  const made = await makeFile(10 * MB);
  const first = uploadOf(made);
  const before = link.bytes;
  const ended = first.upload.start().catch((error: unknown) => error);
  await link.reached(before + 5 * MB);
  first.upload.pause();
  const { sessionId } = first.upload.snapshot;
  expect(first.states).toContain('paused');
  // Without memory: the file itself is how it is found.
  const second = uploadOf(made);
  expect(await second.upload.start()).toMatchObject({ sessionId });
  await expectWhole(second);
  expect(link.bytes - before).toBeLessThan(11.5 * MB);
  // The first learns that it is done.
  first.upload.resume();
  expect(await ended).toMatchObject({ sessionId });

  const other = uploadOf(await makeFile(9 * MB), { sessionId: sessionId as string });
  await expect(other.upload.start()).rejects.toMatchObject({ name: 'UploadError', code: 'FILE_DIFFERS' });
});

it('two clients of one session share its work', async () => {
  const made = await makeFile(24 * MB);
  const first = uploadOf(made);
  const before = link.bytes;
  const done = first.upload.start();
  await link.reached(before + 3 * MB);
  const second = uploadOf(made);
  await Promise.all([done, second.upload.start()]);
  expect(second.upload.snapshot.sessionId).toBe(first.upload.snapshot.sessionId);
  await expectWhole(first);
  const bySecond = second.chunks.filter(({ state }) => state === 'stored').length;
  expect(bySecond).toBeGreaterThan(0);
  // They end each other's requests until each knows of the other, and each end costs what was on the way.
  expect(link.bytes - before).toBeLessThan(33 * MB);
});

it('the same file again, once it is complete, is a new video', async () => {
  const made = await makeFile(1 * MB);
  const one = await uploadOf(made).upload.start();
  const two = await uploadOf(made).upload.start();
  expect(two.videoId).not.toBe(one.videoId);
});

it('asks for another token when the last one is not taken any more', async () => {
  const asked: boolean[] = [];
  const seen = uploadOf(await makeFile(1 * MB), {
    token: ({ expired }) => {
      asked.push(expired);
      return expired ? (ada.token as string) : 'gone';
    },
  });
  await expectWhole(seen);
  expect(asked).toEqual([false, true]);
});

it('asks for another token as often as it takes, also for what ran out while nobody was reached', async () => {
  const asked: boolean[] = [];
  const token = ({ expired }: { expired: boolean }) => {
    if (asked.push(expired) === 2) {
      link.stop();
      setTimeout(link.start, 500);
    }
    return asked.length < 4 ? 'gone' : (ada.token as string);
  };
  await expectWhole(uploadOf(await makeFile(1 * MB), { token }));
  expect(asked).toEqual([false, true, true, true]);
});

it('asks again for a token when none comes, as over a connection that a hole has swallowed', async () => {
  const { setTimeout: real } = globalThis;
  // What it waits, at once.
  jest
    .spyOn(globalThis, 'setTimeout')
    .mockImplementation(((call: () => void, ms?: number) => real(call, ms === 30_000 ? 100 : ms)) as typeof setTimeout);
  let asked = 0;
  const token = () => (++asked === 1 ? new Promise<never>(() => undefined) : (ada.token as string));
  await expectWhole(uploadOf(await makeFile(1 * MB), { token }));
  expect(asked).toBe(2);
  jest.restoreAllMocks();
});

it('says what is final, with its code', async () => {
  const made = await makeFile(1 * MB);
  for (const token of ['gone', () => 'gone'])
    await expect(uploadOf(made, { token }).upload.start()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  const nowhere = Buffer.from('Channel:00000000-0000-4000-8000-000000000000').toString('base64url');
  await expect(uploadOf(made, { channelId: nowhere }).upload.start()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  const missing = createUpload(join(folder, 'nothing'), { endpoint: link.url, token: 'any', channelId });
  await expect(missing.start()).rejects.toMatchObject({ code: 'FILE_UNREADABLE' });
  expect(missing.snapshot).toMatchObject({ state: 'failed', error: { code: 'FILE_UNREADABLE' } });
});

it('stops when the file is changed under it', async () => {
  const made = await makeFile(8 * MB);
  const seen = uploadOf(made);
  const before = link.bytes;
  const done = seen.upload.start();
  await link.reached(before + 2 * MB);
  await utimes(made.file, 1, 1);
  await expect(done).rejects.toMatchObject({ code: 'FILE_CHANGED' });
});

it('gives it up, on the server too', async () => {
  const seen = uploadOf(await makeFile(8 * MB));
  const before = link.bytes;
  const done = seen.upload.start().catch((error: unknown) => error);
  await link.reached(before + 2 * MB);
  await seen.upload.cancel();
  expect(await done).toMatchObject({ name: 'UploadError', code: 'CANCELLED' });
  expect(seen.states.at(-1)).toBe('cancelled');
  expect((await ada.session(seen.upload.snapshot.sessionId as string)).state).toBe('CANCELLED');
});

it('puts parts straight into the store where it is told to, and tries those again that fail', async () => {
  const seen = uploadOf(await makeFile(20 * MB), { lane: 'direct' });
  const before = link.bytes;
  const done = seen.upload.start();
  await link.reached(before + 9 * MB);
  link.cut();
  await done;
  await expectWhole(seen);
  expect(seen.chunks.filter(({ state }) => state === 'failed').length).toBeGreaterThan(0);
  expect(seen.chunks.filter(({ state }) => state === 'revisited').length).toBeGreaterThan(0);
  expect(seen.chunks.filter(({ state }) => state === 'stored').length).toBeGreaterThanOrEqual(3);
});
