import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readFragments } from '../../src/modules/media/index.js';
import { ApiClient, until } from '../support/client.js';
import { startApp, type TestApp, temporaryFolder } from '../support/index.js';
import { clip, decodedFrames, joined, keys, streamsOf, times, uploaded } from './transcoding-clips.js';

let app: TestApp;
let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  app = await startApp({ encodeConcurrency: 2 });
}, 60_000);
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});

const VIDEO = `query ($id: ID!) { video(id: $id) { state durationMs width height frameRate failure { code message retryable }
  renditions { name width height frameRate codecs averageBitsPerSecond state }
  processing { stage progress secondsLeft startedAt finishedAt attempts } } }`;

async function settled(owner: ApiClient, id: string) {
  const states = new Set<string>();
  const video = await until(
    async () => (await owner.query(VIDEO, { id })).video,
    ({ state }) => {
      states.add(state);
      return state === 'READY' || state === 'FAILED';
    },
  );
  return { video, states };
}

it('a clip plays before it is all made, and every frame of it is there', async () => {
  // 17.3 s: neither whole segments nor whole pieces nor whole AAC frames.
  const file = await clip(folder, 'a.mp4', { frames: 519, fps: '30000/1001', size: '640x360' });
  const { videoId, globalId, owner } = await uploaded(app, file);
  const { video, states } = await settled(owner, globalId);

  expect(video).toMatchObject({
    ...{ state: 'READY', durationMs: 17317, width: 640, height: 360, failure: null },
    renditions: [
      { name: '240p', width: 426, height: 240, state: 'READY' },
      { name: '360p', width: 640, height: 360, state: 'READY' },
    ],
    processing: { stage: 'DONE', progress: 1, secondsLeft: null, attempts: 1 },
  });
  expect(video.frameRate).toBeCloseTo(29.97, 3);
  expect(video.renditions.every((each: { codecs: string }) => /^avc1\.6400/.test(each.codecs))).toBe(true);
  expect(states).toContain('PLAYABLE');

  for (const rendition of ['240p', '360p']) {
    const whole = await joined(app, videoId, rendition, folder);
    const { pts } = await times(whole);
    expect(pts).toHaveLength(519);
    expect(new Set(pts.slice(1).map((at, index) => at - (pts[index] as number)))).toEqual(new Set([1001]));
    expect((await readFragments(whole)).fragments.map(({ decodeTime, samples }) => [decodeTime, samples])).toEqual(
      [0, 1, 2, 3, 4].map((number) => [number * 120 * 1001, number < 4 ? 120 : 39]),
    );
    expect(await decodedFrames(whole)).toBe(519);
  }
  const sound = (await readFragments(await joined(app, videoId, 'audio', folder))).fragments;
  const end = sound.reduce((next, { decodeTime, duration }) => (decodeTime === next ? next + duration : Number.NaN), 0);
  expect(Math.abs(end - (519 * 1001 * 48_000) / 30_000)).toBeLessThanOrEqual(1024);

  const rows = await app.database.query(
    `SELECT name, segment_count AS planned, (SELECT count(*)::int FROM segment s WHERE s.video_id = r.video_id AND s.rendition = r.name) AS made
     FROM rendition r WHERE video_id = $1 ORDER BY position`,
    [videoId],
  );
  expect(rows).toEqual([
    { name: '240p', planned: 5, made: 5 },
    { name: '360p', planned: 5, made: 5 },
    { name: 'audio', planned: 5, made: 5 },
  ]);
  await savesAsOneFile(owner, globalId, videoId);
  const stills = await app.database.query('SELECT kind FROM still WHERE video_id = $1', [videoId]);
  expect(new Set(stills.map((still) => still.kind))).toEqual(new Set(['POSTER', 'THUMBNAIL', 'STORYBOARD']));
}, 120_000);

it('the highest rung is the picture as it came, where that lies on the grid', async () => {
  const grid = ['-g', '60', '-keyint_min', '60', '-sc_threshold', '0', '-bf', '2', '-b:v', '500k', '-maxrate', '600k'];
  const file = await clip(folder, 'copy.mp4', {
    ...{ frames: 400, fps: '30', size: '640x360' },
    more: [...grid, '-bufsize', '600k'],
  });
  const { videoId, globalId, owner } = await uploaded(app, file);
  const { video } = await settled(owner, globalId);
  expect(video).toMatchObject({
    ...{ state: 'READY', width: 640, height: 360 },
    renditions: [{ name: '240p' }, { name: '360p', width: 640, height: 360, codecs: expect.stringMatching(/^avc1/) }],
  });
  const rows = await app.database.query('SELECT name, copied FROM rendition WHERE video_id = $1 ORDER BY position', [
    videoId,
  ]);
  expect(rows).toEqual([
    { name: '240p', copied: false },
    { name: '360p', copied: true },
    { name: 'audio', copied: false },
  ]);
  const [low, high] = [await joined(app, videoId, '240p', folder), await joined(app, videoId, '360p', folder)];
  // From the first on: ffprobe shows times before zero as if all came later.
  const [lowTimes, highTimes] = [(await times(low)).pts, (await times(high)).pts];
  expect(highTimes.map((at) => at - (highTimes[0] ?? 0))).toEqual(lowTimes.map((at) => at - (lowTimes[0] ?? 0)));
  expect((await readFragments(high)).fragments.map(({ samples }) => samples)).toEqual([120, 120, 120, 40]);
  expect(await decodedFrames(high)).toBe(400);
}, 120_000);

/** Allowed, it is made; forbidden again, nothing is left of it. */
async function savesAsOneFile(owner: ApiClient, globalId: string, videoId: string): Promise<void> {
  const allow = (downloadable: boolean) =>
    owner.query(
      'mutation ($input: UpdateVideoInput!) { updateVideo(input: $input) { video { downloadable } userErrors { code } } }',
      { input: { videoId: globalId, downloadable } },
    );
  const address = async () =>
    (await owner.query('query ($id: ID!) { video(id: $id) { playback { mp4Url } } }', { id: globalId })).video.playback
      .mp4Url;
  expect(await address()).toBeNull();
  expect((await allow(true)).updateVideo).toEqual({ video: { downloadable: true }, userErrors: [] });
  const url = await until(address, (found) => found !== null);
  const answer = await fetch(url);
  expect([answer.status, answer.headers.get('content-disposition')]).toEqual([
    200,
    `attachment; filename="A.mp4"; filename*=UTF-8''A.mp4`,
  ]);
  const file = join(folder, 'saved.mp4');
  const bytes = Buffer.from(await answer.arrayBuffer());
  await writeFile(file, bytes);
  // The index comes before the media: it plays while it is fetched.
  expect(bytes.indexOf('moov')).toBeLessThan(bytes.indexOf('mdat'));
  const [picture, sound] = await streamsOf(file);
  expect(picture).toMatchObject({ codec_name: 'h264', height: 360, nb_read_frames: '519' });
  expect(sound).toMatchObject({ codec_name: 'aac' });
  for (const stream of [picture, sound]) {
    expect(Math.abs(Number(stream?.start_time))).toBeLessThan(0.001);
    expect(Math.abs(Number(stream?.duration) - 17.317)).toBeLessThan(0.022);
  }
  const [row] = await app.database.query<{ key: string }>(
    'SELECT object_key AS key FROM download WHERE video_id = $1',
    [videoId],
  );
  await allow(false);
  expect(await address()).toBeNull();
  await until(
    () => app.database.query(`SELECT FROM stored_object WHERE key = $1 AND state = 'KEPT'`, [row?.key]),
    (kept) => kept.length === 0,
  );
}

it('a transport stream is read from a copy of its picture, which goes when it is READY', async () => {
  const file = await clip(folder, 'b.ts', {
    ...{ frames: 210, fps: '25', size: '320x240' },
    more: ['-g', '90', '-output_ts_offset', '500'],
  });
  const { videoId, globalId, owner } = await uploaded(app, file);
  const { video } = await settled(owner, globalId);
  expect(video).toMatchObject({ state: 'READY', durationMs: 8400, renditions: [{ name: '240p', state: 'READY' }] });
  const whole = await joined(app, videoId, '240p', folder);
  expect((await times(whole)).pts).toHaveLength(210);
  expect(await decodedFrames(whole)).toBe(210);
}, 120_000);

it('a clip without sound, shorter than a segment, is one piece', async () => {
  const file = await clip(folder, 'c.mp4', { frames: 7, fps: '12', size: '178x100', sound: false });
  const { videoId, globalId, owner } = await uploaded(app, file);
  const { video } = await settled(owner, globalId);
  expect(video).toMatchObject({ state: 'READY', renditions: [{ name: '100p', width: 178, height: 100 }] });
  expect(await decodedFrames(await joined(app, videoId, '100p', folder))).toBe(7);
}, 60_000);

it('what is no video is refused, once and for good, and leaves nothing', async () => {
  const file = join(folder, 'd.mp4');
  await writeFile(file, 'Dear diary, '.repeat(1000));
  const { videoId, globalId, owner, masterKey } = await uploaded(app, file);
  const { video } = await settled(owner, globalId);
  expect(video).toMatchObject({ state: 'FAILED', failure: { code: 'NOT_VIDEO', retryable: false }, renditions: [] });

  expect(await app.database.query('SELECT FROM piece WHERE video_id = $1', [videoId])).toEqual([]);
  const gone = () => app.database.query(`SELECT state FROM stored_object WHERE key = $1`, [masterKey]);
  expect(await gone()).not.toEqual([{ state: 'KEPT' }]);
  const { retryProcessing } = await owner.query(
    'mutation ($input: RetryProcessingInput!) { retryProcessing(input: $input) { video { id } userErrors { code } } }',
    { input: { videoId: globalId } },
  );
  expect(retryProcessing).toEqual({ video: null, userErrors: [{ code: 'NOTHING_TO_PROCESS' }] });
}, 60_000);

it('processing again makes a new run, and frees the one before', async () => {
  const file = await clip(folder, 'e.mp4', { frames: 30, fps: '10', size: '64x48', sound: false });
  const { videoId, globalId, owner } = await uploaded(app, file);
  await settled(owner, globalId);
  const before = await app.database.query<{ key: string }>(
    'SELECT DISTINCT object_key AS key FROM segment WHERE video_id = $1',
    [videoId],
  );
  const retry = (client: ApiClient) =>
    client.query(
      'mutation ($input: RetryProcessingInput!) { retryProcessing(input: $input) { video { state } userErrors { code } } }',
      { input: { videoId: globalId } },
    );
  const stranger = await ApiClient.signUp(app.url);
  expect((await retry(stranger)).retryProcessing.userErrors).toEqual([{ code: 'NOT_FOUND' }]);
  expect((await retry(owner)).retryProcessing).toEqual({ video: { state: 'PROCESSING' }, userErrors: [] });
  const { video } = await settled(owner, globalId);
  expect(video).toMatchObject({ state: 'READY', processing: { progress: 1 } });
  const rows = await until(
    () => app.database.query('SELECT DISTINCT run FROM segment WHERE video_id = $1', [videoId]),
    (runs) => runs.length === 1,
  );
  expect(rows).toEqual([{ run: 2 }]);
  const kept = await app.database.query(
    `SELECT key FROM stored_object WHERE key = ANY($1::text[]) AND state = 'KEPT'`,
    [before.map((row) => row.key)],
  );
  expect(kept).toEqual([]);
}, 60_000);

it('the store keeps exactly what rows name', async () => {
  const { named, kept, pending } = await keys(app);
  expect(kept).toEqual(named);
  expect(pending).toBe(0);
});
