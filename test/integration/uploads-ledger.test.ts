import { randomBytes } from 'node:crypto';
import { Database } from '../../src/common/database/index.js';
import type { JobContext } from '../../src/common/jobs/index.js';
import { StoredObjects } from '../../src/modules/storage/index.js';
import { AssembleJob } from '../../src/modules/uploads/assemble.job.js';
import { ChunksService } from '../../src/modules/uploads/chunks.service.js';
import { type Answer, ApiClient, chunkOf, put, sha256, startApp, type TestApp } from '../support/index.js';
import { brokenInvariants, storageOf } from '../support/invariants.js';

const KB = 1000;
const file = randomBytes(300 * KB);

/** Two connections, and no worker: jobs and the collector are run by hand. */
let app: TestApp;
let ada: ApiClient;
let channelId: string;
beforeAll(async () => {
  app = await startApp({ role: 'api', databasePoolSize: 2, uploadQuotaBytes: 1000 * KB });
  ada = await ApiClient.signUp(app.url);
  channelId = await ada.createChannel();
});
afterAll(() => app.stop());
afterEach(async () => {
  expect(await brokenInvariants(app.database)).toEqual({});
});

const begin = (more: object = {}): Promise<Answer> =>
  ada.createSession({ channelId, sizeBytes: file.length, sha256: sha256(file), ...more });
const codes = (answer: Answer): string[] => answer.userErrors.map((error: Answer) => error.code);
const discard = (sessionId: string, start: number, end: number): Promise<Answer> =>
  ada.query('mutation ($input: DiscardRangesInput!) { discardRanges(input: $input) { userErrors { code } } }', {
    input: { sessionId, ranges: [{ start, end }] },
  });
const uuidOf = (id: string): string => Buffer.from(id, 'base64url').toString().split(':')[1] as string;

it('refuses more requests at once than it has connections', async () => {
  const { session } = await begin();
  await ada.move('cancel', session.id);
  const refused = await Promise.all([
    ...Array.from({ length: 10 }, () => ada.move('pause', session.id)),
    ...Array.from({ length: 10 }, () => begin({ sizeBytes: 1001 * KB })),
  ]);
  expect(refused.map(codes)).toEqual([...Array(10).fill(['SESSION_ENDED']), ...Array(10).fill(['QUOTA_EXCEEDED'])]);
});

it('gives one session to all requests with one key, also where the quota has no room for two', async () => {
  const once = { sizeBytes: 600 * KB, idempotencyKey: 'once' };
  const answers = await Promise.all(Array.from({ length: 8 }, () => begin(once)));
  expect(answers.flatMap(codes)).toEqual([]);
  expect(new Set(answers.map((answer) => answer.session.id)).size).toBe(1);
  await ada.move('cancel', answers[0].session.id);
});

it('takes a chunk again that counts in part, after the other part was discarded', async () => {
  const { session } = await begin();
  await ada.send(session.id, file, [[0, 100 * KB]]);
  await ada.send(session.id, file, [[50 * KB, 150 * KB]]);
  await discard(session.id, 0, 100 * KB);
  const again = await ada.send(session.id, file, [[50 * KB, 150 * KB]]);
  expect(again.results[0].outcome).toBe('COMMITTED');
  expect(again.session.committedRanges).toEqual([{ start: 50 * KB, end: 150 * KB }]);
  await ada.move('cancel', session.id);
});

it('never signs a key again whose object was deleted', async () => {
  const { session } = await begin();
  const next = [chunkOf(file, 0, 100 * KB)];
  const keyOf = async () =>
    new URL((await ada.commit(session.id, { next })).targets[0].url).pathname.slice('/storage/'.length);
  const before = await keyOf();
  expect(await keyOf()).toBe(before);
  // As after the collector, for whom a slower one may still be at work.
  await app.database.query('DELETE FROM stored_object WHERE key = $1', [before]);
  expect(await keyOf()).not.toBe(before);
  await ada.move('cancel', session.id);
});

it('counts no chunk as failed that was committed', async () => {
  const { session } = await begin();
  const chunk = chunkOf(file, 0, 100 * KB);
  const [target] = (await ada.commit(session.id, { next: [chunk] })).targets;
  await put(target, file.subarray(0, 100 * KB));
  await ada.commit(session.id, { failed: [{ offset: 0, sizeBytes: 100 * KB, reason: 'reset' }] });
  await ada.commit(session.id, { stored: [chunk] });
  const { uploadSession } = await ada.query('query ($id: ID!) { uploadSession(id: $id) { failedChunkCount } }', {
    id: session.id,
  });
  expect(uploadSession.failedChunkCount).toBe(0);
  await ada.move('cancel', session.id);
});

it('gives up an ended session in any steps, with the collector in between', async () => {
  const { session } = await begin();
  const chunks = [chunkOf(file, 0, 100 * KB), chunkOf(file, 100 * KB, 200 * KB)];
  const { targets } = await ada.commit(session.id, { next: chunks });
  for (const target of targets) await put(target, file.subarray(target.offset, target.offset + target.sizeBytes));
  for (const chunk of chunks.toReversed()) await ada.commit(session.id, { stored: [chunk] });
  await ada.move('cancel', session.id);
  await app.get(Database).query(`UPDATE stored_object SET created_at = now() - interval '1 day'`);
  for (let more = true; more; ) {
    more = await app.get(ChunksService).free(uuidOf(session.id), 1);
    await app.get(StoredObjects).deleteSome(100);
  }
  expect(
    await app.database.query('SELECT key FROM stored_object WHERE key LIKE $1', [`%${uuidOf(session.id)}%`]),
  ).toEqual([]);
});

it('deletes what a cancelled session has stored by the job that its end asks for, not when the collector comes by', async () => {
  const { session, targets } = await begin({ next: [chunkOf(file, 100 * KB, 200 * KB)] });
  await ada.send(session.id, file, [[0, 100 * KB]]);
  expect(await put(targets[0], file.subarray(100 * KB, 200 * KB))).toBe(200);
  const stored = () => storageOf(app.config.dataDir).list(`incoming/${uuidOf(session.id)}/`, { limit: 10 });
  expect(await stored()).toHaveLength(2);
  await ada.move('cancel', session.id);
  const jobs = await app.database.query(
    `SELECT payload FROM job WHERE name = 'FreeChunks' AND run_at <= now() AND payload->>'sessionId' = $1`,
    [uuidOf(session.id)],
  );
  expect(jobs).toHaveLength(1);
  const context = { signal: new AbortController().signal } as JobContext;
  await app.get(AssembleJob).free({ sessionId: uuidOf(session.id) }, context);
  expect(await stored()).toEqual([]);
});

it.each([
  ['a key with a NUL', { idempotencyKey: 'a\0b' }, 'INVALID_INPUT'],
  ['a fingerprint with a NUL', { fingerprint: 'a\0b' }, 'INVALID_INPUT'],
  ['a media type with a NUL', { contentType: 'a\0b' }, 'INVALID_INPUT'],
  ['a first chunk past the end', { next: [{ ...chunkOf(file, 0, 1), offset: 300 * KB }] }, 'CHUNK_OUT_OF_BOUNDS'],
])('begins nothing with %s', async (_, input, code) => {
  const count = () => app.database.query('SELECT count(*) FROM upload_session');
  const before = await count();
  expect(codes(await begin(input))).toEqual([code]);
  expect(await count()).toEqual(before);
});
