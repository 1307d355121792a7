import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeClip } from '../support/clip.js';
import {
  ApiClient,
  sha256,
  sharedRedisUrl,
  spawnServer,
  type TestDatabase,
  temporaryFolder,
  testDatabase,
  until,
} from '../support/index.js';
import { brokenInvariants, storageOf, storeDifferences } from '../support/invariants.js';
import { type ObjectStore, startStore } from '../support/object-store.js';
import { operate } from '../support/operate.js';

/** A backup knows nothing of the store that it came from: what MinIO held plays from versitygw, and from disk. */

let minio: ObjectStore;
let versitygw: ObjectStore;
let folder: string;
let clip: Buffer;
let videoId: string;
let email: string | null;

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await testDatabase();
  await database.query('DROP SCHEMA public CASCADE');
  await database.query('CREATE SCHEMA public');
  return database;
}
const options = () => ({
  TOKEN_SECRET: randomUUID(),
  STORAGE_SECRET: randomUUID(),
  PLAYBACK_SECRET: randomUUID(),
  REDIS_URL: sharedRedisUrl(),
  REDIS_PREFIX: `test-${randomUUID()}:`,
});

beforeAll(async () => {
  [minio, versitygw] = await Promise.all([startStore('minio'), startStore('versitygw')]);
  folder = await temporaryFolder();
  clip = await makeClip({ seconds: 6, size: '640x360' });
  const env = { ...options(), ...minio.env };
  const server = await spawnServer({ env });
  try {
    const ada = await ApiClient.signUp(server.url);
    email = ada.email;
    const channelId = await ada.createChannel();
    const { session } = await ada.createSession({ channelId, sizeBytes: clip.length, sha256: sha256(clip) });
    videoId = session.video.id;
    await ada.send(session.id, clip, [[0, clip.length]]);
    await ada.complete(session.id);
    await until(
      () => ada.video(videoId),
      ({ state }) => state === 'READY',
    );
    const place = { ...env, DATABASE_URL: server.database?.url as string, DATA_DIR: server.dataDir };
    expect(await operate('backup', [join(folder, 'backups')], place)).toMatchObject({ code: 0 });
  } finally {
    await server.remove();
  }
});
afterAll(async () => {
  await Promise.all([minio.remove(), versitygw.remove()]);
  await rm(folder, { recursive: true });
});

test.each(['versitygw', 'disk'])('restored to %s it plays', async (where) => {
  const database = await emptyDatabase();
  const dataDir = await temporaryFolder();
  const env = {
    ...options(),
    ...(where === 'disk' ? {} : versitygw.env),
    DATABASE_URL: database.url,
    DATA_DIR: dataDir,
  };
  expect(await operate('restore', [join(folder, 'backups')], env)).toMatchObject({ code: 0, stderr: '' });
  const server = await spawnServer({ env });
  try {
    const ada = new ApiClient(server.url);
    const { login } = await ada.query(
      'mutation ($input: LoginInput!) { login(input: $input) { session { accessToken } userErrors { code } } }',
      { input: { email, password: 'correct horse battery' } },
    );
    ada.token = login.session.accessToken;
    const { playback } = await ada.video(videoId);
    const played = await promisify(execFile)('ffmpeg', [
      '-v',
      'error',
      '-nostdin',
      '-i',
      playback.hlsUrl,
      '-f',
      'null',
      '-',
    ]);
    expect(played.stderr).toBe('');
    expect(await brokenInvariants(database)).toEqual({});
    if (where === 'disk') expect(await storeDifferences(database, storageOf(dataDir))).toEqual([]);
  } finally {
    await server.remove();
    await database.drop();
    await rm(dataDir, { recursive: true });
  }
});
