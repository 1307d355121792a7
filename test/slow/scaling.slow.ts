import { makeClip } from '../support/clip.js';
import { ApiClient, type Cluster, type ClusterProcess, sha256, startCluster, until } from '../support/index.js';
import { brokenInvariants, digestOf, storeDifferences } from '../support/invariants.js';

/** One worker, four, one: in the middle of work, with kills among them. */

const VIDEOS = 5;
const SECONDS = 13;

let cluster: Cluster;
let clip: Buffer;
beforeAll(async () => {
  [cluster, clip] = await Promise.all([
    startCluster({ apis: 1, workers: 1, store: 'disk', env: { DATABASE_POOL_SIZE: '2' } }),
    makeClip({ seconds: SECONDS, size: '426x240' }),
  ]);
}, 240_000);
afterAll(() => cluster?.remove());

async function kill(job: string): Promise<ClusterProcess> {
  const worker = (await until(
    () => cluster.workerWith(job),
    (worker) => worker !== undefined,
    20,
  )) as ClusterProcess;
  await worker.kill();
  return worker;
}

it('loses and doubles nothing', async () => {
  const ada = await ApiClient.signUp(cluster.url);
  const channelId = await ada.createChannel();
  const sessions = await Promise.all(
    Array.from({ length: VIDEOS }, async () => {
      const { session } = await ada.createSession({ channelId, sizeBytes: clip.length, sha256: sha256(clip) });
      await ada.send(session.id, clip, [[0, clip.length]]);
      await ada.complete(session.id);
      return session;
    }),
  );
  const { database, storage } = cluster;
  const pieces = async () => {
    const [row] = await database.query<{ done: number; open: number }>(
      'SELECT count(done_at)::int AS done, count(*)::int - count(done_at)::int AS open FROM piece',
    );
    return row as { done: number; open: number };
  };
  const atLeast = (count: number) => until(pieces, ({ done }) => done >= count, 50);

  await atLeast(3);
  await cluster.scale('worker', 4);
  await (await kill('EncodePiece')).start();
  await atLeast(8);
  const gone = await kill('EncodePiece');
  await atLeast(11);
  await gone.start();
  await cluster.scale('worker', 1);
  expect((await pieces()).open).toBeGreaterThan(0);
  await (await kill('EncodePiece')).start();

  const states = () => database.query<{ state: string }>('SELECT state FROM video');
  await until(states, (rows) => rows.every(({ state }) => state === 'READY' || state === 'FAILED'));
  expect(await database.query('SELECT state, run, access_epoch FROM video')).toEqual(
    sessions.map(() => ({ state: 'READY', run: 1, access_epoch: 1 })),
  );
  // Every rung of every video is as long as its source, in segments that are there once.
  const rungs = await database.query<{ seconds: number; segments: number; wanted: number }>(
    `SELECT sum(s.duration)::float8 / r.timescale AS seconds, count(*)::int AS segments, r.segment_count AS wanted
     FROM rendition r JOIN segment s ON s.video_id = r.video_id AND s.run = r.run AND s.rendition = r.name
     WHERE r.kind = 'VIDEO' GROUP BY r.video_id, r.run, r.name`,
  );
  expect(rungs.length).toBeGreaterThanOrEqual(VIDEOS);
  for (const { seconds, segments, wanted } of rungs) {
    expect(segments).toBe(wanted);
    expect(seconds).toBeCloseTo(SECONDS, 3);
  }
  const masters = await database.query<{ key: string }>('SELECT master_key AS key FROM upload_session');
  for (const { key } of masters) expect(await digestOf(storage, key)).toBe(sha256(clip));
  expect(await database.query(`SELECT name, state FROM job WHERE state = 'RUNNING' AND lease_until < now()`)).toEqual(
    [],
  );
  expect(await brokenInvariants(database)).toEqual({});
  expect(await storeDifferences(database, storage)).toEqual([]);
}, 400_000);
