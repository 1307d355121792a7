import { rm } from 'node:fs/promises';
import { Database, type Tx } from '../../src/common/database/index.js';
import { Jobs } from '../../src/common/jobs/index.js';
import { readFragments } from '../../src/modules/media/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { StorageCollector } from '../../src/modules/storage/storage-collector.js';
import { OnDemandRungs } from '../../src/modules/transcoding/index.js';
import { PieceResults } from '../../src/modules/transcoding/piece-results.js';
import { Publisher } from '../../src/modules/transcoding/publisher.js';
import { ApiClient, until } from '../support/client.js';
import { startApp, type TestApp, temporaryFolder } from '../support/index.js';
import { brokenInvariants, storeDifferences } from '../support/invariants.js';
import { clip, decodedFrames, joined, times, type Uploaded, uploaded } from './transcoding-clips.js';

const FRAMES = 140;

let app: TestApp;
let folder: string;
let file: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  app = await startApp({
    ...{ encodeConcurrency: 2, copyTopRung: false },
    ...{ onDemandAbove: 240, onDemandAfterDays: 30, onDemandKeep: 0 },
  });
  // 14 s: two pieces, the second of less than a segment.
  file = await clip(folder, 'a.mp4', { frames: FRAMES, fps: '10', size: '640x360' });
}, 120_000);
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});
afterEach(async () => {
  jest.restoreAllMocks();
  expect(await brokenInvariants(app.database)).toEqual({});
});

const REQUEST = `mutation ($input: RequestRenditionInput!) { requestRendition(input: $input) {
  rendition { name state } userErrors { code field } } }`;
const request = async (client: ApiClient, videoId: string, name = '360p') =>
  (await client.query(REQUEST, { input: { videoId, name } })).requestRendition;
const VIDEO = `query ($id: ID!) { video(id: $id) { state renditions { name state codecs averageBitsPerSecond }
  playback { hlsUrl plannedDashUrl } } }`;
const look = async ({ owner, globalId }: Uploaded) => (await owner.query(VIDEO, { id: globalId })).video;
const stateOf = async (video: Uploaded): Promise<string> => (await look(video)).renditions[1].state;
const sweep = () => app.get(OnDemandRungs).sweep();
const becomes = (video: Uploaded, state: string) =>
  until(
    () => stateOf(video),
    (now) => now === state,
  );
async function ready(): Promise<Uploaded> {
  const video = await uploaded(app, file);
  await until(
    () => look(video),
    ({ state }) => state === 'READY',
  );
  return video;
}
const text = async (url: string) => (await fetch(url)).text();
const folderOf = async (video: Uploaded) => new URL('.', (await look(video)).playback.hlsUrl).href;
const rungOf = (video: Uploaded) =>
  app.database.query(
    `SELECT on_demand AS "onDemand", edition, (SELECT count(*)::int FROM segment s WHERE s.video_id = r.video_id AND s.rendition = r.name) AS segments,
            (SELECT count(*)::int FROM piece p WHERE p.video_id = r.video_id AND p.kind = 'RUNG') AS pieces
     FROM rendition r WHERE video_id = $1 AND name = '360p'`,
    [video.videoId],
  );
const keysOf = async (video: Uploaded) =>
  (
    await app.database.query<{ key: string }>(
      `SELECT DISTINCT object_key AS key FROM segment WHERE video_id = $1 AND rendition = '360p'`,
      [video.videoId],
    )
  ).map(({ key }) => key);
/** As if nobody had looked at it for so long. */
const unwatched = (video: Uploaded, days = 40) =>
  app.database.query(
    `UPDATE video SET watched_at = now() - $2 * interval '1 day', processing_finished_at = now() - $2 * interval '1 day' WHERE id = $1`,
    [video.videoId, days],
  );
const metric = async (name: string) => {
  const lines = (await text(`${app.url}/metrics`)).split('\n');
  return Number(lines.find((line) => line.startsWith(`${name} `))?.split(' ')[1]);
};

async function playsToTheEnd({ videoId }: Uploaded): Promise<void> {
  const [low, high] = [await joined(app, videoId, '240p', folder), await joined(app, videoId, '360p', folder)];
  expect(await decodedFrames(high)).toBe(FRAMES);
  // From the first on: ffprobe shows times before zero as if all came later.
  const timesOf = async (rung: string) => {
    const { pts } = await times(rung);
    return pts.map((at) => at - (pts[0] ?? 0));
  };
  expect(await timesOf(high)).toEqual(await timesOf(low));
  const cuts = async (rung: string) =>
    (await readFragments(rung)).fragments.map(({ decodeTime, samples }) => [decodeTime, samples]);
  expect(await cuts(high)).toEqual(await cuts(low));
}

it('a rung above the limit is left out, and made once when it is asked for', async () => {
  const video = await ready();
  expect((await look(video)).renditions).toMatchObject([
    { name: '240p', state: 'READY' },
    { name: '360p', state: 'ON_DEMAND', codecs: '' },
  ]);
  const { hlsUrl, plannedDashUrl } = (await look(video)).playback;
  expect(await text(hlsUrl)).not.toContain('360p');
  expect(await text(plannedDashUrl)).toContain('360p');
  expect(await rungOf(video)).toEqual([{ onDemand: 'ABSENT', edition: 1, segments: 0, pieces: 0 }]);

  const stranger = await ApiClient.signUp(app.url);
  for (const [client, name, field] of [
    [stranger, '360p', 'videoId'],
    [new ApiClient(app.url), '360p', 'videoId'],
    [video.owner, '480p', 'name'],
    [video.owner, 'audio', 'name'],
  ] as const) {
    expect(await request(client, video.globalId, name)).toEqual({
      ...{ rendition: null, userErrors: [{ code: 'NOT_FOUND', field: [field] }] },
    });
  }
  expect(await rungOf(video)).toMatchObject([{ onDemand: 'ABSENT' }]);

  // Both ways to ask: by the API, and by loading it from an address. That is not held: another one is there to be played.
  const asked = await Promise.all([
    ...Array.from({ length: 40 }, () => request(video.owner, video.globalId)),
    ...Array.from({ length: 20 }, async (_, n) => (await fetch(new URL(`r1/360p/${1 + (n % 4)}.m4s`, hlsUrl))).status),
  ]);
  // Of them one begins something: more than may begin something in an hour are none too many.
  for (const { rendition, userErrors } of asked.slice(0, 40)) {
    expect(userErrors).toEqual([]);
    expect(rendition).toEqual({ name: '360p', state: expect.stringMatching(/^(PENDING|PLAYABLE|READY)$/) });
  }
  expect(new Set(asked.slice(40))).toContain(503);
  await becomes(video, 'READY');
  expect(await rungOf(video)).toEqual([{ onDemand: 'MADE', edition: 1, segments: 4, pieces: 2 }]);
  const jobs = await app.database.query(`SELECT attempts FROM job WHERE subject = $1 AND name = 'EncodeRung'`, [
    video.videoId,
  ]);
  expect(jobs).toEqual([{ attempts: 1 }, { attempts: 1 }]);
  // Who looked in another process before that comes too late.
  const rungs = app.get(OnDemandRungs) as unknown as {
    markAsked(tx: Tx, of: object, name: string, edits: boolean): Promise<boolean>;
  };
  const of = { videoId: video.videoId, run: 1 };
  expect(await app.get(Database).tx((tx) => rungs.markAsked(tx, of, '360p', true))).toBe(false);
  expect(await rungOf(video)).toMatchObject([{ onDemand: 'MADE' }]);

  await playsToTheEnd(video);
  const [, high] = (await look(video)).renditions;
  expect(high.codecs).toMatch(/^avc1\.6400/);
  expect(high.averageBitsPerSecond).toBeGreaterThan(0);
  // What is asked for is remembered for a second.
  await until(
    () => text(hlsUrl),
    (master) => master.includes('r1/360p/index.m3u8'),
  );
  expect(await metric('sluice_on_demand_requests_total{outcome="begun"}')).toBe(1);
  expect(await metric('sluice_on_demand_requests_total{outcome="hit"}')).toBe(0);
  // As one that was made with its video, and is given up when nobody watches.
  await app.database.query(`UPDATE rendition SET on_demand = NULL WHERE video_id = $1 AND name = '360p'`, [
    video.videoId,
  ]);
  expect((await fetch(new URL('r1/360p/init.mp4', hlsUrl), { method: 'HEAD' })).status).toBe(200);
  expect((await fetch(new URL('r1/240p/init.mp4', hlsUrl))).status).toBe(200);
  expect(await metric('sluice_on_demand_requests_total{outcome="hit"}')).toBe(0);
  expect((await fetch(new URL('r1/360p/init.mp4', hlsUrl))).status).toBe(200);
  expect(await metric('sluice_on_demand_requests_total{outcome="hit"}')).toBe(1);
  expect(await metric('sluice_job_duration_seconds_sum{name="EncodeRung",outcome="done"}')).toBeGreaterThan(0);
}, 120_000);

it('asked for before its video is READY, it is made after that', async () => {
  const video = await uploaded(app, file);
  await until(
    () => look(video),
    ({ renditions }) => renditions.length > 0,
  );
  expect(await request(video.owner, video.globalId)).toMatchObject({ userErrors: [] });
  await until(
    () => look(video),
    ({ state }) => state === 'READY',
  );
  await sweep();
  await becomes(video, 'READY');
  await playsToTheEnd(video);
}, 120_000);

it('what nobody watches goes, and comes back as long as it was', async () => {
  const [video, watched] = [await ready(), await ready()];
  for (const each of [video, watched]) {
    await request(each.owner, each.globalId);
    await becomes(each, 'READY');
    await unwatched(each);
  }
  // Somebody begins to watch the one: that is written down once an hour.
  const address = new URL('master.m3u8', await folderOf(watched));
  await text(address.href);
  await until(
    () =>
      app.database.query(`SELECT FROM video WHERE id = $1 AND watched_at > now() - interval '1 min'`, [
        watched.videoId,
      ]),
    (rows) => rows.length === 1,
  );
  const before = await app.database.query('SELECT watched_at FROM video WHERE id = $1', [watched.videoId]);
  await text(address.href);
  expect(await app.database.query('SELECT watched_at FROM video WHERE id = $1', [watched.videoId])).toEqual(before);

  const [keys, at] = [await keysOf(video), await folderOf(video)];
  expect((await fetch(`${at}r1/360p/2.m4s`)).status).toBe(200);
  await unwatched(video);
  const freed = await metric('sluice_on_demand_freed_bytes_total');
  await Promise.all([app.get(OnDemandRungs).dropUnwatched(), app.get(OnDemandRungs).dropUnwatched()]);
  await app.get(OnDemandRungs).dropUnwatched();
  expect(await rungOf(watched)).toEqual([{ onDemand: 'MADE', edition: 1, segments: 4, pieces: 2 }]);
  expect(await rungOf(video)).toEqual([{ onDemand: 'ABSENT', edition: 2, segments: 0, pieces: 0 }]);
  expect(await look(video)).toMatchObject({ state: 'READY', renditions: [{ state: 'READY' }, { state: 'ON_DEMAND' }] });
  expect(await metric('sluice_on_demand_freed_bytes_total')).toBeGreaterThan(freed);
  await app.get(StorageCollector).collect(new AbortController().signal);
  for (const key of keys) expect(await app.get(ObjectStorage).head(key)).toBeNull();
  expect(await storeDifferences(app.database, app.get(ObjectStorage))).toEqual([]);
  // What a process remembers of it is forgotten when the bytes are not there, and the others play on.
  expect((await fetch(`${at}r1/360p/2.m4s`)).status).toBe(404);
  expect((await fetch(`${at}r1/240p/2.m4s`)).status).toBe(200);

  expect(await request(video.owner, video.globalId)).toMatchObject({ userErrors: [] });
  await becomes(video, 'READY');
  // However long it waited to be made: whoever asked is to see it.
  await app.get(OnDemandRungs).dropUnwatched();
  expect(await rungOf(video)).toEqual([{ onDemand: 'MADE', edition: 2, segments: 4, pieces: 2 }]);
  await playsToTheEnd(video);
  // Browsers keep segments for good: what was made anew has addresses of its own.
  await until(
    () => text(`${at}master.m3u8`),
    (master) => master.includes('r1/360pv2/index.m3u8'),
  );
  expect((await fetch(`${at}r1/360pv2/4.m4s`)).status).toBe(200);
  expect((await fetch(`${at}r1/360p/4.m4s`)).status).toBe(404);
  // It is asked for by either name.
  expect(await request(video.owner, video.globalId, '360pv2')).toMatchObject({ rendition: { name: '360p' } });
}, 180_000);

it('nothing is given up that could not be made again, or is to be kept', async () => {
  const video = await ready();
  await request(video.owner, video.globalId);
  await becomes(video, 'READY');
  await unwatched(video);
  const set = (column: string, value: string, table: string) =>
    app.database.query(`UPDATE ${table} SET ${column} = ${value} WHERE video_id = $1`, [video.videoId]);
  const stays = async () => {
    await app.get(OnDemandRungs).dropUnwatched();
    expect(await rungOf(video)).toMatchObject([{ onDemand: 'MADE', segments: 4 }]);
  };
  await set('master_key', `'gone ' || master_key`, 'upload_session');
  await app.database.query(`UPDATE upload_session SET state = 'CANCELLED' WHERE video_id = $1`, [video.videoId]);
  await stays();
  await set('master_key', `substr(master_key, 6)`, 'upload_session');
  await app.database.query(`UPDATE upload_session SET state = 'COMPLETED' WHERE video_id = $1`, [video.videoId]);
  await set('copied', `name = '360p'`, 'rendition');
  await stays();
  await set('copied', 'false', 'rendition');
  await unwatched(video, 20);
  await stays();
  await unwatched(video);
  // Its premiere is yet to come, or others come to see it just now.
  await app.database.query(`UPDATE video SET publish_at = now() + interval '1 day' WHERE id = $1`, [video.videoId]);
  await stays();
  await app.database.query('UPDATE video SET publish_at = NULL WHERE id = $1', [video.videoId]);
  const update = `mutation ($input: UpdateVideoInput!) { updateVideo(input: $input) { userErrors { code } } }`;
  await video.owner.query(update, { input: { videoId: video.globalId, visibility: 'PUBLIC' } });
  await stays();
}, 120_000);

it('a worker that dies in the middle is followed by another', async () => {
  const video = await ready();
  const results = app.get(PieceResults);
  let died = 0;
  const commit = results.commit.bind(results);
  jest.spyOn(results, 'commit').mockImplementation(async (work, made, isAll) => {
    if (died++ === 0) throw new Error('the worker died here');
    return commit(work, made, isAll);
  });
  await request(video.owner, video.globalId);
  await becomes(video, 'READY');
  expect(died).toBeGreaterThan(2);
  await playsToTheEnd(video);
}, 120_000);

/** Asked for, and never come to be made. */
async function waiting(video: Uploaded): Promise<void> {
  jest.spyOn(app.get(Jobs), 'enqueueAll').mockResolvedValue(undefined);
  await request(video.owner, video.globalId);
  jest.restoreAllMocks();
  expect(await rungOf(video)).toMatchObject([{ onDemand: 'ASKED', segments: 0, pieces: 2 }]);
}
const strike = (video: Uploaded, fault: string) =>
  app.database.query(`UPDATE piece SET strikes = 3, fault = $2 WHERE video_id = $1 AND kind = 'RUNG' AND number = 1`, [
    video.videoId,
    fault,
  ]);

it('what cannot be made is given up alone, and lost jobs are asked for again', async () => {
  const video = await ready();
  await waiting(video);
  // Who loads it is not held while nothing of it is made: it may be long.
  const begun = performance.now();
  expect((await fetch(`${await folderOf(video)}r1/360p/1.m4s`)).status).toBe(503);
  expect(performance.now() - begun).toBeLessThan(4_000);
  // Not by the fault of the file: who asks for it next has it made anew.
  await strike(video, 'ENCODE_FAILED');
  await sweep();
  await becomes(video, 'ON_DEMAND');
  expect(await rungOf(video)).toEqual([{ onDemand: 'ABSENT', edition: 2, segments: 0, pieces: 0 }]);

  await waiting(video);
  await strike(video, 'WORKER_KILLED');
  await sweep();
  await becomes(video, 'FAILED');
  expect(await look(video)).toMatchObject({ state: 'READY' });
  expect(await rungOf(video)).toEqual([{ onDemand: 'FAILED', edition: 3, segments: 0, pieces: 0 }]);
  // Whoever asks again is told, and whoever may edit it has it tried again.
  await app.database.query(`UPDATE video SET visibility = 'PUBLIC' WHERE id = $1`, [video.videoId]);
  expect(await request(await ApiClient.signUp(app.url), video.globalId)).toEqual({
    ...{ rendition: { name: '360p', state: 'FAILED' }, userErrors: [] },
  });
  expect(await request(video.owner, video.globalId)).toMatchObject({ userErrors: [] });
  await becomes(video, 'READY');
  await playsToTheEnd(video);
  await until(
    () => app.database.query(`SELECT FROM job WHERE subject = $1 AND state <> 'DONE'`, [video.videoId]),
    (rows) => rows.length === 0,
  );
  expect(await storeDifferences(app.database, app.get(ObjectStorage))).toEqual([]);
}, 120_000);

it('what is asked for and never comes to be made is forgotten', async () => {
  const video = await ready();
  await waiting(video);
  const asked = (hours: number) =>
    app.database.query(
      `WITH r AS (UPDATE rendition SET asked_at = now() - $2 * interval '1 hour' WHERE video_id = $1 AND on_demand = 'ASKED')
       UPDATE video SET processing_finished_at = now() - $2 * interval '1 hour' WHERE id = $1`,
      [video.videoId, hours],
    );
  jest.spyOn(app.get(Jobs), 'enqueueAll').mockResolvedValue(undefined);
  await asked(5);
  await sweep();
  expect(await rungOf(video)).toMatchObject([{ onDemand: 'ASKED', pieces: 2 }]);
  await app.database.query(
    `INSERT INTO job (name, queue, payload, dedupe_key, run_at, subject)
     SELECT 'EncodeRung', 'spare', json_build_object('pieceId', id), 'piece:' || id, now() + interval '1 day', video_id
     FROM piece WHERE video_id = $1 AND kind = 'RUNG'`,
    [video.videoId],
  );
  await asked(7);
  await sweep();
  expect(await rungOf(video)).toMatchObject([{ onDemand: 'ABSENT', pieces: 0 }]);
  expect(await app.database.query(`SELECT FROM job WHERE name = 'EncodeRung' AND state <> 'DONE'`)).toEqual([]);
}, 120_000);

it('nothing is asked for of what is given up at the same time', async () => {
  const video = await ready();
  jest.spyOn(app.get(Jobs), 'enqueueAll').mockRejectedValue(new Error('the process died here'));
  await request(video.owner, video.globalId);
  jest.restoreAllMocks();
  expect(await rungOf(video)).toMatchObject([{ onDemand: 'ASKED', pieces: 0 }]);
  let sweeping = Promise.resolve();
  await app.get(Database).tx(async (tx) => {
    await tx.query('SELECT FROM video WHERE id = $1 FOR NO KEY UPDATE', [video.videoId]);
    await tx.query(`UPDATE rendition SET on_demand = 'ABSENT' WHERE video_id = $1 AND name = '360p'`, [video.videoId]);
    sweeping = sweep();
    const waits = until(
      () =>
        app.database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        ),
      (rows) => rows.length > 0,
      20,
    );
    await Promise.race([sweeping, waits]);
  });
  await sweeping;
  expect(await rungOf(video)).toMatchObject([{ onDemand: 'ABSENT', pieces: 0 }]);
}, 120_000);

it('what is made of a rung that was given up meanwhile does not count', async () => {
  const video = await ready();
  const results = app.get(PieceResults);
  const commit = results.commit.bind(results);
  jest.spyOn(results, 'commit').mockImplementation(async (work, made, isAll) => {
    await app.get(OnDemandRungs).giveUp(work, '360p', 'ABSENT', 'nobody waits for it');
    return commit(work, made, isAll);
  });
  await request(video.owner, video.globalId);
  await until(
    () =>
      app.database.query(`SELECT FROM job WHERE subject = $1 AND name = 'EncodeRung' AND state = 'DONE'`, [
        video.videoId,
      ]),
    (rows) => rows.length === 1,
  );
  expect(await rungOf(video)).toEqual([{ onDemand: 'ABSENT', edition: 2, segments: 0, pieces: 0 }]);
  expect(await storeDifferences(app.database, app.get(ObjectStorage))).toEqual([]);
}, 120_000);

it('is not listed before all of it was looked at', async () => {
  const video = await ready();
  const results = app.get(PieceResults);
  const commit = results.commit.bind(results);
  // A piece that says other times than it has.
  jest.spyOn(results, 'commit').mockImplementation(async (work, made, isAll) => {
    const moved = made.map((each) => ({
      ...each,
      segments: each.segments.map((segment) => ({ ...segment, decodeTime: segment.decodeTime + 1 })),
    }));
    return commit(work, moved, isAll);
  });
  await request(video.owner, video.globalId);
  await becomes(video, 'ON_DEMAND');
  expect(await text((await look(video)).playback.hlsUrl)).not.toContain('360p');
  expect(await rungOf(video)).toEqual([{ onDemand: 'ABSENT', edition: 2, segments: 0, pieces: 0 }]);
}, 120_000);

it('is bounded: how much waits of one owner and of all, and how often one viewer may ask', async () => {
  const [video, other] = [await ready(), await ready()];
  // Meanwhile they are as if they were being processed, so that nothing is made of what waits.
  jest.spyOn(app.get(Publisher), 'advance').mockResolvedValue(undefined);
  for (const { videoId } of [video, other]) {
    await app.database.query(`UPDATE video SET state = 'PLAYABLE', visibility = 'PUBLIC' WHERE id = $1`, [videoId]);
  }
  const fill = ({ videoId }: Uploaded, count: number) =>
    app.database.query(
      `INSERT INTO rendition (video_id, run, name, kind, position, width, height, timescale, max_bits_per_second, segment_count,
                              segment_duration, total_duration, on_demand)
       SELECT video_id, run, 'of ' || n, kind, 10 + n, width, height, timescale, max_bits_per_second, segment_count, segment_duration,
              total_duration, 'ASKED' FROM rendition, generate_series(1, $2::int) n WHERE video_id = $1 AND name = '360p'`,
      [videoId, count],
    );
  const becomesAgain = (state: string) =>
    app.database.query(`UPDATE rendition SET on_demand = $2 WHERE video_id = $1 AND name = '360p'`, [
      video.videoId,
      state,
    ]);
  const empty = () => app.database.query(`DELETE FROM rendition WHERE starts_with(name, 'of ')`);
  const stranger = await ApiClient.signUp(app.url);
  const refused = async (times: number) => {
    for (let n = 0; n < times; n++) {
      const { rendition, userErrors } = await request(stranger, video.globalId);
      expect([rendition, userErrors]).toEqual([null, [{ code: 'TOO_MANY_ASKED', field: ['name'] }]]);
    }
  };
  // What strangers asked for keeps no editor out.
  const editorMay = async () =>
    expect(await request(video.owner, video.globalId)).toMatchObject({ rendition: { state: 'PENDING' } });

  await fill(video, 8);
  // What begins nothing is free.
  await refused(35);
  await editorMay();
  await empty();
  await becomesAgain('ABSENT');

  await fill(other, 200);
  await refused(1);
  await editorMay();
  await empty();

  for (let n = 0; n <= 30; n++) {
    await becomesAgain('ABSENT');
    const { data, errors } = await stranger.post(REQUEST, { input: { videoId: video.globalId, name: '360p' } });
    if (n < 30) expect(data.requestRendition.userErrors).toEqual([]);
    else expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
  }
  for (const { videoId } of [video, other]) {
    await app.database.query(`UPDATE video SET state = 'READY' WHERE id = $1`, [videoId]);
  }
}, 120_000);
