import { readFile, rm } from 'node:fs/promises';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { ApiClient, rowId, until } from '../support/client.js';
import { startApp, type TestApp, temporaryFolder } from '../support/index.js';
import { hostileFiles } from './hostile-files.js';

let app: TestApp;
let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  app = await startApp();
}, 60_000);
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});

const VIDEO = `query ($id: ID!) { video(id: $id) { state failure { code message retryable } } }`;

it.each([
  'an HLS playlist of an address',
  'half an MP4, index first',
  'chunks far behind the end',
  'a Matroska file of a hundred times its length',
  'a hole in the middle',
  'a flipped bit in each 100 bytes',
])('%s is uploaded, refused in words, and leaves nothing', async (name) => {
  const hostile = hostileFiles(folder).find((each) => each.name === name);
  if (!hostile) throw new Error(name);
  const file = await readFile(await hostile.make());
  const owner = await ApiClient.signUp(app.url);
  const { session } = await owner.createSession({
    ...{ channelId: await owner.createChannel(), sizeBytes: file.length, title: name },
  });
  await owner.send(session.id, file, [[0, file.length]]);
  await owner.complete(session.id);
  const video = await until(
    async () => (await owner.query(VIDEO, { id: session.video.id })).video,
    ({ state }) => state === 'FAILED' || state === 'READY',
  );
  expect(video).toMatchObject({ state: 'FAILED', failure: { retryable: false } });
  expect(hostile.codes).toContain(video.failure.code);
  expect(video.failure.message).toMatch(/^[A-Z].{20,}\.$/);

  // What is freed later, in case somebody still reads it, is freed now.
  await until(
    async () => {
      await app.database.query(`UPDATE job SET run_at = now() WHERE state = 'QUEUED' AND run_at > now()`);
      return app.database.query(`SELECT key FROM stored_object WHERE state = 'KEPT'`);
    },
    (kept) => kept.length === 0,
  );
  for (const table of ['piece', 'segment', 'rendition', 'transcode_source']) {
    await until(
      () => app.database.query(`SELECT FROM ${table} WHERE video_id = $1`, [rowId(session.video.id)]),
      (rows) => rows.length === 0,
    );
  }
  expect(await app.database.query('SELECT FROM app_user WHERE used_bytes > 0')).toEqual([]);
}, 60_000);

it('no byte of them is left in the store', async () => {
  const storage = app.get(ObjectStorage);
  await until(
    () => storage.list('', { limit: 10 }),
    (objects) => objects.length === 0,
    500,
  );
}, 60_000);
