import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../src/common/database/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { Publisher } from '../../src/modules/transcoding/publisher.js';
import { startApp, type TestApp } from '../support/index.js';
import { type Clip, insertSegments, insertVideo, makeClip } from './streaming-clip.js';

let folder: string;
let clip: Clip;
let app: TestApp;
let db: Database;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-clip-'));
  // No worker: what these tests make is theirs alone.
  [clip, app] = await Promise.all([makeClip(folder, 9), startApp({ role: 'api' })]);
  db = app.get(Database);
}, 60_000);
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});

/** Everything of a video is made and nothing published; then `change` happens to it, and it is taken further. */
async function published(change: string | ((videoId: string) => Promise<void>)) {
  const { videoId } = await insertVideo(db, clip);
  await db.query('UPDATE video SET processing_started_at = now() WHERE id = $1', [videoId]);
  for (const { name } of clip.tracks) await insertSegments(db, app.get(ObjectStorage), clip, videoId, name);
  if (typeof change === 'function') await change(videoId);
  else for (const statement of change.split(';')) await db.query(statement, [videoId]);
  await app.get(Publisher).advance(videoId, 1);
  const [row] = await db.query(
    'SELECT state, failure_code AS code, failure_retryable AS retryable FROM video WHERE id = $1',
    [videoId],
  );
  return row;
}

const NOT_FIT = { state: 'FAILED', code: 'INCOMPLETE_RENDITION', retryable: true };

it('what is whole becomes READY', async () => {
  expect(await published('SELECT $1::uuid')).toEqual({ state: 'READY', code: null, retryable: null });
});

it('what a version before made, that wrote no times down, becomes READY too', async () => {
  const before = 'UPDATE segment SET decode_time = NULL, key_bytes = NULL WHERE video_id = $1';
  expect(await published(before)).toMatchObject({ state: 'READY' });
});

it.each([
  ['a segment is missing', `DELETE FROM segment WHERE video_id = $1 AND rendition = '360p' AND number = 2`],
  [
    'a segment says another time',
    `UPDATE segment SET decode_time = decode_time + 512 WHERE video_id = $1 AND rendition = '240p' AND number = 3`,
  ],
  [
    'a rung is cut elsewhere',
    `UPDATE segment SET duration = duration + 512 WHERE video_id = $1 AND rendition = '360p' AND number = 1;
     UPDATE segment SET duration = duration - 512, decode_time = decode_time + 512 WHERE video_id = $1 AND rendition = '360p' AND number = 2`,
  ],
  [
    'the sound is two frames shorter than the picture, as it was planned',
    `UPDATE rendition SET total_duration = total_duration - 2048 WHERE video_id = $1 AND name = 'audio';
     UPDATE segment SET duration = duration - 2048 WHERE video_id = $1 AND rendition = 'audio' AND number = 3`,
  ],
  [
    'the codecs are not those of the init',
    `UPDATE rendition SET codecs = 'avc1.64000a' WHERE video_id = $1 AND name = '240p'`,
  ],
  ['an init is missing', `UPDATE rendition SET init = NULL WHERE video_id = $1 AND name = 'audio'`],
  [
    'an object ends before its segment does',
    `UPDATE segment SET byte_size = byte_size + 1 WHERE video_id = $1 AND rendition = '360p' AND number = 3`,
  ],
])('nothing is READY where %s', async (_, change) => {
  expect(await published(change)).toEqual(NOT_FIT);
});

it('nothing is READY where the store has lost an object that the rows still name', async () => {
  const loses = async (videoId: string) => {
    const [row] = await db.query<{ key: string }>(
      `SELECT object_key AS key FROM segment WHERE video_id = $1 AND rendition = 'audio' AND number = 2`,
      [videoId],
    );
    await app.get(ObjectStorage).delete([row?.key ?? '']);
  };
  expect(await published(loses)).toEqual(NOT_FIT);
});
