import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiClient, rowId, until } from '../support/client.js';
import { startApp, type TestApp, temporaryFolder } from '../support/index.js';
import { clip, uploaded } from './transcoding-clips.js';

let app: TestApp;
let folder: string;
let admin: ApiClient;
beforeAll(async () => {
  folder = await temporaryFolder();
  app = await startApp({ encodeConcurrency: 2 });
  admin = await ApiClient.signUp(app.url);
  await app.database.query(`UPDATE app_user SET role = 'ADMIN' WHERE email = $1`, [admin.email]);
}, 60_000);
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});

const JOBS = `query ($videoId: ID, $state: ProcessingJobState, $first: Int, $after: Cursor) {
  processingJobs(videoId: $videoId, state: $state, first: $first, after: $after) {
    nodes { id kind number state attempts waitingSince startedAt finishedAt worker progress lastError lastLog video { id state } }
    pageInfo { hasNextPage endCursor } } }`;
const jobsOf = async (variables: object) => (await admin.query(JOBS, variables)).processingJobs;
const QUEUE = '{ processingQueue { waiting running oldestWaitSeconds expectedWaitSeconds } }';

it('is for administrators alone', async () => {
  const ada = await ApiClient.signUp(app.url);
  for (const query of [QUEUE, '{ processingJobs(state: DONE) { nodes { id } } }']) {
    expect((await ada.post(query)).errors[0].extensions.code).toBe('FORBIDDEN');
    expect((await new ApiClient(app.url).post(query)).errors[0].extensions.code).toBe('UNAUTHENTICATED');
  }
  expect((await admin.post('{ processingJobs { nodes { id } } }')).errors[0].extensions.code).toBe('BAD_USER_INPUT');
});

it('shows the jobs of a video, page by page', async () => {
  const { globalId } = await uploaded(app, await clip(folder, 'a.mp4', { frames: 140, fps: '10', size: '64x48' }));
  await until(
    () => admin.query('query ($id: ID!) { video(id: $id) { state } }', { id: globalId }),
    ({ video }) => video.state === 'READY',
  );
  // The last one finishes a moment after what it did.
  const { nodes } = await until(
    () => jobsOf({ videoId: globalId }),
    (page) => page.nodes.every((job: { state: string }) => job.state === 'DONE'),
  );
  expect(nodes.map((job: { kind: string; number: number }) => `${job.kind} ${job.number}`).sort()).toEqual([
    ...['AUDIO 0', 'AUDIO 0', 'FIRST 0', 'PROBE null', 'STILLS 0', 'VIDEO 0', 'VIDEO 1'],
  ]);
  for (const job of nodes) {
    expect(job).toMatchObject({ attempts: 1, waitingSince: null, lastError: null, lastLog: null });
    expect(job).toMatchObject({ progress: job.kind === 'PROBE' ? null : 1, video: { id: globalId, state: 'READY' } });
    expect(job.worker).toMatch(new RegExp(`^${process.pid}@`));
    expect(Date.parse(job.finishedAt)).toBeGreaterThan(Date.parse(job.startedAt));
  }
  const pages: string[] = [];
  for (let after: string | null = null; ; ) {
    const page: { nodes: { id: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } } = await jobsOf({
      ...{ videoId: globalId, state: 'DONE', first: 2, after },
    });
    pages.push(...page.nodes.map((job) => job.id));
    if (!page.pageInfo.hasNextPage) break;
    after = page.pageInfo.endCursor;
  }
  expect(pages).toEqual(nodes.map((job: { id: string }) => job.id));
  expect((await jobsOf({ videoId: globalId, state: 'QUEUED' })).nodes).toEqual([]);
  expect((await admin.query(QUEUE)).processingQueue).toMatchObject({ waiting: 0, running: 0, oldestWaitSeconds: 0 });
}, 60_000);

it('keeps why an attempt failed, with the end of what ffmpeg said', async () => {
  const file = await clip(folder, 'b.mp4', {
    ...{ frames: 140, fps: '10', size: '64x48', sound: false, more: ['-movflags', '+faststart'] },
  });
  const bytes = await readFile(file);
  // The header is whole, the picture is not.
  bytes.fill(0, bytes.indexOf('mdat') + 2_000);
  await writeFile(join(folder, 'c.mp4'), bytes);
  const { globalId, videoId } = await uploaded(app, join(folder, 'c.mp4'));
  await until(
    () => app.database.query('SELECT state FROM video WHERE id = $1', [videoId]),
    ([row]) => row?.state === 'FAILED',
  );
  const { nodes } = await jobsOf({ videoId: globalId });
  const failed = nodes.filter((job: { lastError: string | null }) => job.lastError !== null);
  expect(failed.length).toBeGreaterThan(0);
  expect(failed[0].video).toEqual({ id: globalId, state: 'FAILED' });
  expect(failed[0].lastLog).toContain('frames out');
  expect(failed[0].lastLog.length).toBeLessThanOrEqual(4_096);
}, 60_000);

it('says how long it will take, to operators and to the owner, by the speed of late', async () => {
  const { videoId, globalId, owner } = await uploaded(app, join(folder, 'a.mp4'), false);
  const other = await uploaded(app, join(folder, 'a.mp4'), false);
  const ownerOf = 'SELECT owner_id FROM video WHERE id = ';
  // As if a worker had made two pieces of 100 in 10 s each, had one now, and two owners waited.
  await app.database.query(`DELETE FROM job; DELETE FROM piece`);
  await app.database.query(
    `INSERT INTO job (name, queue, payload, state, cost, started_at, finished_at)
     SELECT 'Elsewhere', 'encode', '{}', 'DONE', 100, now() - interval '10 s', now() FROM generate_series(1, 2)`,
  );
  await app.database.query(
    `INSERT INTO job (name, queue, payload, state, lease, lease_until, run_at)
     VALUES ('Elsewhere', 'encode', '{}', 'RUNNING', gen_random_uuid(), now() + interval '1 h', now())`,
  );
  await app.database.query(
    `INSERT INTO job (name, queue, payload, cost, owner, subject, turn, run_at)
     SELECT 'Elsewhere', 'encode', '{}', 1000, owner_id, id, 0, now() - interval '1 min' FROM video WHERE id = $1`,
    [other.videoId],
  );
  await app.database.query(
    `WITH made AS (INSERT INTO piece (video_id, run, kind, number, frame_count) VALUES ($1, 1, 'VIDEO', 0, 100) RETURNING id)
     INSERT INTO job (name, queue, payload, cost, owner, subject, turn, dedupe_key)
     SELECT 'Elsewhere', 'encode', '{}', 300, (${ownerOf} $1), $1, 0, 'piece:' || id FROM made`,
    [videoId],
  );
  await app.database.query(`UPDATE video SET state = 'PROCESSING', stage = 'ENCODING' WHERE id = $1`, [videoId]);
  await app.database.query(`INSERT INTO transcode_source (video_id, run, probe) VALUES ($1, 1, '{}')`, [videoId]);
  const { processingQueue } = await until(
    () => admin.query(QUEUE),
    (answer) => answer.processingQueue.running === 1,
  );
  expect(processingQueue).toMatchObject({ waiting: 2, expectedWaitSeconds: 130 });
  expect(processingQueue.oldestWaitSeconds).toBeGreaterThanOrEqual(60);
  const { video } = await owner.query('query ($id: ID!) { video(id: $id) { processing { secondsLeft } } }', {
    id: globalId,
  });
  // 300 of its own and as much of the other's meanwhile, 10 a second.
  expect(video.processing.secondsLeft).toBe(60);
  expect(rowId(globalId)).toBe(videoId);
});
