import { setTimeout as pause } from 'node:timers/promises';
import type { ObjectStorage } from '../../src/modules/storage/index.js';
import { S3Storage } from '../../src/modules/storage/s3-storage.js';
import { makeClip } from '../support/clip.js';
import { type Answer, ApiClient, chunkOf, put, sha256, spawnServer, type TestServer, until } from '../support/index.js';
import { storageOf } from '../support/invariants.js';
import { type ObjectStore, s3Of, startStore } from '../support/object-store.js';
import { runCommand, startCommand } from '../support/operate.js';

/** From disk to S3 and back, with uploads and encodes under way, as docs/operations/storage.md tells operators to. */

const CHUNK = 256 * 1024;
const DISK = { STORAGE: 'disk', STORAGE_ALSO: '' };
const TO_S3 = { STORAGE: 's3', STORAGE_ALSO: 'disk' };
const S3 = { STORAGE: 's3', STORAGE_ALSO: '' };
const TO_DISK = { STORAGE: 'disk', STORAGE_ALSO: 's3' };

let clip: Buffer;
let store: ObjectStore;
let server: TestServer;
let ada: ApiClient;
let s3: S3Storage;

beforeAll(async () => {
  [clip, store] = await Promise.all([makeClip({ seconds: 25, size: '640x360' }), startStore('minio')]);
  s3 = new S3Storage(s3Of(store));
  server = await spawnServer({ env: { ...store.env, ENCODE_CONCURRENCY: '1', ...DISK } });
  ada = await ApiClient.signUp(server.url);
});
afterAll(async () => {
  s3.onApplicationShutdown();
  await server.remove();
  await store.remove();
});

async function restart(env: Record<string, string>): Promise<void> {
  expect(await server.drain()).toBe(0);
  await server.start(env);
}

const countIn = async (storage: ObjectStorage) => (await storage.list('', { limit: 5000 })).length;
const disk = () => storageOf(server.dataDir);

async function begin(channelId: string): Promise<Answer> {
  const { session } = await ada.createSession({ channelId, sizeBytes: clip.length, sha256: sha256(clip) });
  return session;
}

const ranges = (from: number, to: number) =>
  Array.from({ length: Math.ceil((to - from) / CHUNK) }, (_, index): [number, number] => [
    from + index * CHUNK,
    Math.min(to, from + (index + 1) * CHUNK),
  ]);

async function migrate(): Promise<void> {
  // Killed a few times first: what it had done stays done.
  for (const ms of [700, 1100]) {
    const { process, ended } = startCommand('storage-migrate', server.env());
    await pause(ms);
    process.kill('SIGKILL');
    await ended;
  }
  // Two at the same time are as good as one.
  const both = await Promise.all([1, 2].map(() => runCommand('storage-migrate', server.env())));
  expect(both).toMatchObject([
    { code: 0, stdout: '' },
    { code: 0, stdout: '' },
  ]);
}

async function whole(videoId: string): Promise<void> {
  const video = await until(
    () => ada.video(videoId),
    ({ state }) => state === 'READY' || state === 'FAILED',
  );
  expect(video).toMatchObject({ state: 'READY', failure: null });
  const { stdout, code, stderr } = await runCommand('check', server.env(), ['--digests', '--json']);
  expect([code, stderr]).toEqual([0, expect.any(String)]);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toEqual([
    { kind: 'SUMMARY', objects: expect.any(Number), bytes: expect.any(Number), found: 0, freed: 0 },
  ]);
  expect(lines[0].objects).toBeGreaterThan(3);
}

async function playsWhole(videoId: string): Promise<void> {
  const { playback } = await ada.video(videoId);
  const master = await (await fetch(playback.hlsUrl)).text();
  const list = master.split('\n').find((line) => line.endsWith('.m3u8')) as string;
  const media = await (await fetch(new URL(list, playback.hlsUrl))).text();
  const segments = media.split('\n').filter((line) => line.endsWith('.m4s'));
  expect(segments.length).toBeGreaterThan(3);
  for (const segment of segments) {
    const answer = await fetch(new URL(segment, new URL(list, playback.hlsUrl)));
    expect(answer.status).toBe(200);
    expect((await answer.arrayBuffer()).byteLength).toBe(Number(answer.headers.get('content-length')));
  }
}

it('moves every object to the other store and back, in mid-upload and mid-encode, and loses nothing', async () => {
  const channelId = await ada.createChannel();
  const early = await begin(channelId);
  const half = Math.floor(clip.length / 2);

  // On disk: one is processed, another is half there, with a chunk signed and not sent.
  await ada.send(early.id, clip, ranges(0, clip.length));
  await ada.complete(early.id);
  const late = await begin(channelId);
  await ada.send(late.id, clip, ranges(0, half));
  const signed = ranges(half, clip.length)[0] as [number, number];
  const { targets } = await ada.commit(late.id, { next: [chunkOf(clip, ...signed)] });
  await until(
    () => ada.video(early.video.id),
    ({ state }) => state === 'PLAYABLE' || state === 'READY',
    50,
  );
  expect(await countIn(s3)).toBe(0);

  await restart(TO_S3);
  const moving = migrate();
  // What was signed for the disk comes to the disk, and counts.
  expect(await put(targets[0], clip.subarray(...signed))).toBe(200);
  const { results } = await ada.commit(late.id, { stored: [chunkOf(clip, ...signed)] });
  expect(results).toMatchObject([{ outcome: 'COMMITTED' }]);
  await ada.send(late.id, clip, ranges(signed[1], clip.length));
  await moving;
  await ada.complete(late.id);
  await whole(early.video.id);
  expect((await runCommand('storage-migrate', server.env())).code).toBe(0);
  expect(await countIn(disk())).toBe(0);
  expect(await countIn(s3)).toBeGreaterThan(3);
  await playsWhole(early.video.id);

  await restart(S3);
  const last = await begin(channelId);
  await ada.send(last.id, clip, ranges(0, half));
  await whole(late.video.id);
  const third = await begin(channelId);
  await ada.send(third.id, clip, ranges(0, clip.length));
  await ada.complete(third.id);
  await until(
    () => ada.video(third.video.id),
    ({ state }) => state === 'PLAYABLE' || state === 'READY',
    50,
  );

  await restart(TO_DISK);
  const back = migrate();
  await ada.send(last.id, clip, ranges(half, clip.length));
  await ada.complete(last.id);
  await back;
  for (const session of [third, last]) await whole(session.video.id);
  expect((await runCommand('storage-migrate', server.env())).code).toBe(0);
  expect(await countIn(s3)).toBe(0);

  await restart(DISK);
  for (const session of [early, late, third, last]) {
    await whole(session.video.id);
    await playsWhole(session.video.id);
  }
  expect(server.output()).not.toContain('"level":50');
}, 480_000);

it('moves nothing without being told from where to where, and says what stays', async () => {
  const nothing = await runCommand('storage-migrate', server.env());
  expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('Nothing is set to move') });
  expect(await runCommand('storage-migrate', {}, ['--help'])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('docs/operations/storage.md'),
  });

  const unknown = 'nobody/knows';
  await disk().put(unknown, clip);
  const [kept] = (await server.database?.query<{ key: string }>(
    `SELECT key FROM stored_object WHERE state = 'KEPT' AND key LIKE 'masters/%' LIMIT 1`,
  )) as [{ key: string }];
  // As a copy that another system made wrong would be.
  await s3.put(kept.key, Buffer.alloc(clip.length));
  const env = { ...server.env(), ...TO_S3 };
  const { code, stdout } = await runCommand('storage-migrate', env);
  expect(code).toBe(1);
  expect(stdout).toMatch(new RegExp(`^${kept.key} stays: it is not what is on record`, 'm'));
  expect(stdout).toMatch(/^nobody\/knows stays: the database knows nothing of it/m);
  expect(await disk().head(kept.key)).toMatchObject({ sha256: sha256(clip) });
  await s3.delete([kept.key]);

  const freed = await runCommand('check', env, ['--free-unknown']);
  expect(freed).toMatchObject({ code: 0, stdout: expect.stringContaining(`UNKNOWN     ${unknown}`) });
  expect(await runCommand('storage-migrate', env)).toMatchObject({ code: 0, stdout: '' });
  expect(await disk().list('', { limit: 5 })).toEqual([]);
});
