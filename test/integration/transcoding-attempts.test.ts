import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Actor } from '../../src/common/access/index.js';
import type { Config } from '../../src/common/config/index.js';
import { Database } from '../../src/common/database/index.js';
import type { JobContext } from '../../src/common/jobs/index.js';
import { MediaEngine, MediaRunError } from '../../src/modules/media/index.js';
import { ObjectStorage, StoredObjects } from '../../src/modules/storage/index.js';
import { EncodeAudioJob } from '../../src/modules/transcoding/encode-audio.job.js';
import { EncodePieceJob } from '../../src/modules/transcoding/encode-piece.job.js';
import { FreeRunsJob } from '../../src/modules/transcoding/free-runs.job.js';
import { TranscodingService } from '../../src/modules/transcoding/index.js';
import { MakeStillsJob } from '../../src/modules/transcoding/make-stills.job.js';
import { PieceResults } from '../../src/modules/transcoding/piece-results.js';
import { ProbeVideoJob } from '../../src/modules/transcoding/probe-video.job.js';
import { Publisher } from '../../src/modules/transcoding/publisher.js';
import { Scratch } from '../../src/modules/transcoding/scratch.js';
import { NothingToProcess, PieceRefused, SourceDamaged } from '../../src/modules/transcoding/transcoding.errors.js';
import { UploadsService } from '../../src/modules/uploads/index.js';
import { VideosService } from '../../src/modules/videos/index.js';
import { until } from '../support/client.js';
import { startApp, type TestApp, temporaryFolder } from '../support/index.js';
import { clip, keys, type Uploaded, uploaded } from './transcoding-clips.js';

/** No worker runs here: each attempt is made by hand, in the order that the test needs. */
let app: TestApp;
let folder: string;
let file: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  app = await startApp({ role: 'api' });
  // 14 s: two pieces, the second of less than a segment.
  file = await clip(folder, 'a.mp4', { frames: 140, fps: '10', size: '64x48' });
}, 60_000);
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});
afterEach(() => jest.restoreAllMocks());

const context = (): JobContext => ({
  ...{ jobId: randomUUID(), attempt: 1, waitedSeconds: 0, lease: randomUUID() },
  signal: new AbortController().signal,
});

interface Piece {
  id: string;
  kind: string;
  number: number;
  done: boolean;
  strikes: number;
}
const piecesOf = (videoId: string) =>
  app.database.query<Piece & Record<string, unknown>>(
    'SELECT id, kind, number, done_at IS NOT NULL AS done, strikes FROM piece WHERE video_id = $1 ORDER BY kind, number',
    [videoId],
  );
const stateOf = async (videoId: string) =>
  (
    await app.database.query<{ state: string; failure: string }>(
      'SELECT state, failure_code AS failure FROM video WHERE id = $1',
      [videoId],
    )
  )[0];
const segmentsOf = (videoId: string) =>
  app.database.query<{ rendition: string; number: number; key: string }>(
    'SELECT rendition, number, object_key AS key FROM segment WHERE video_id = $1 ORDER BY rendition, number',
    [videoId],
  );

async function planned(source = file): Promise<Uploaded & { piece(name: string): Piece }> {
  const video = await uploaded(app, source, false);
  await app.get(ProbeVideoJob).handle({ videoId: video.videoId, run: 1 }, context());
  const pieces = await piecesOf(video.videoId);
  return { ...video, piece: (name) => pieces.find((each) => `${each.kind} ${each.number}` === name) as Piece };
}
const make = ({ id, kind }: Piece): Promise<void> => {
  if (kind === 'AUDIO') return app.get(EncodeAudioJob).handle({ pieceId: id }, context());
  if (kind === 'STILLS') return app.get(MakeStillsJob).handle({ pieceId: id }, context());
  return app.get(EncodePieceJob).piece({ pieceId: id }, context());
};

it('plans a run once, also when probed again', async () => {
  const { videoId } = await planned();
  const before = await piecesOf(videoId);
  expect(before.map((piece) => `${piece.kind} ${piece.number}`)).toEqual([
    ...['AUDIO 0', 'FIRST 0', 'STILLS 0', 'VIDEO 0', 'VIDEO 1'],
  ]);
  await app.get(ProbeVideoJob).handle({ videoId, run: 1 }, context());
  expect(await piecesOf(videoId)).toEqual(before);
  const jobs = await app.database.query(
    `SELECT j.name, j.queue FROM job j JOIN piece p ON j.dedupe_key = 'piece:' || p.id WHERE p.video_id = $1 ORDER BY j.queue DESC, j.turn`,
    [videoId],
  );
  expect(jobs).toEqual([
    { name: 'EncodeFirst', queue: 'first' },
    { name: 'EncodeAudio', queue: 'encode' },
    { name: 'EncodePiece', queue: 'encode' },
    { name: 'EncodePiece', queue: 'encode' },
  ]);
});

it('the first seconds of picture and sound, and nothing else, go ahead of other runs, and of those that have waited', async () => {
  const { piece } = await planned();
  const other = await planned();
  const run = jest.spyOn(app.get(MediaEngine), 'run');
  const sound = piece('AUDIO 0');
  await app.get(EncodeAudioJob).first({ pieceId: sound.id, segments: 1 }, context());
  for (const each of [piece('FIRST 0'), piece('VIDEO 0'), sound]) await make(each);
  await app.get(EncodePieceJob).first({ pieceId: other.piece('FIRST 0').id }, { ...context(), waitedSeconds: 60 });
  expect(run.mock.calls.map(([{ haste }]) => haste)).toEqual(['now', 'now', 'none', 'none', 'soon']);
});

it('of two attempts at one piece, one result counts', async () => {
  const { videoId, piece } = await planned();
  await Promise.all([make(piece('VIDEO 0')), make(piece('VIDEO 0')), make(piece('FIRST 0'))]);
  const segments = await segmentsOf(videoId);
  expect(segments.map((segment) => segment.number)).toEqual([1, 2]);
  const named = new Set(segments.map((segment) => segment.key));
  const objects = await app.database.query<{ key: string; state: string }>(
    'SELECT key, state FROM stored_object WHERE starts_with(key, $1)',
    [`pieces/${videoId}/`],
  );
  expect(objects).toHaveLength(3);
  for (const { key, state } of objects) expect(state).toBe(named.has(key) ? 'KEPT' : 'DELETING');
  expect((await piecesOf(videoId)).filter((each) => each.done).map((each) => each.kind)).toEqual(['FIRST', 'VIDEO']);
});

it('sound that was made twice, half of it before, is there once', async () => {
  const { videoId, piece } = await planned();
  const results = app.get(PieceResults);
  const commit = results.commit.bind(results);
  jest.spyOn(results, 'commit').mockImplementationOnce(async (work, made) => {
    await commit(
      work,
      made.map((each) => ({ ...each, segments: each.segments.slice(0, 2) })),
      false,
    );
    throw new Error('the worker died here');
  });
  await expect(make(piece('AUDIO 0'))).rejects.toThrow('the worker died here');
  await make(piece('AUDIO 0'));
  expect((await segmentsOf(videoId)).map((segment) => segment.number)).toEqual([1, 2, 3, 4]);
  expect((await keys(app)).kept).toEqual((await keys(app)).named);
});

it('is PLAYABLE with the first segments of the lowest rung and of the sound, not before', async () => {
  const { videoId, piece } = await planned();
  await make(piece('FIRST 0'));
  expect(await stateOf(videoId)).toMatchObject({ state: 'PROCESSING' });
  await make(piece('AUDIO 0'));
  expect(await stateOf(videoId)).toMatchObject({ state: 'PLAYABLE' });
});

it('an attempt whose run ended before its commit leaves nothing that counts', async () => {
  const { videoId, piece } = await planned();
  const results = app.get(PieceResults);
  const commit = results.commit.bind(results);
  jest.spyOn(results, 'commit').mockImplementationOnce(async (work, made, isAll) => {
    await app.get(Database).tx((tx) => app.get(VideosService).nextRun(tx, videoId, 1));
    return commit(work, made, isAll);
  });
  await make(piece('VIDEO 0'));
  expect(await segmentsOf(videoId)).toEqual([]);
  const left = await app.database.query<{ state: string }>(
    `SELECT state FROM stored_object WHERE starts_with(key, $1)`,
    [`pieces/${videoId}/`],
  );
  expect(left).toEqual([{ state: 'DELETING' }]);
  expect((await piecesOf(videoId)).some((each) => each.done)).toBe(false);
  // And it does not begin at all any more.
  await make(piece('VIDEO 1'));
  expect(await segmentsOf(videoId)).toEqual([]);
});

it('a run does not end between the look at it and the commit', async () => {
  const { videoId, piece } = await planned();
  const objects = app.get(StoredObjects);
  const keep = objects.keep.bind(objects);
  let ended = false;
  let ending: Promise<unknown> | undefined;
  jest.spyOn(objects, 'keep').mockImplementationOnce(async (tx, kept) => {
    ending = app
      .get(Database)
      .tx((other) => app.get(VideosService).nextRun(other, videoId, 1))
      .then(() => {
        ended = true;
      });
    await until(
      () =>
        app.database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        ),
      (waiting) => waiting.length > 0 || ended,
      10,
    );
    expect(ended).toBe(false);
    return keep(tx, kept);
  });
  await make(piece('VIDEO 1'));
  await ending;
  expect((await segmentsOf(videoId)).map((segment) => segment.number)).toEqual([3, 4]);
});

it('is not processed again from a file that is just being refused', async () => {
  const { videoId } = await uploaded(app, file, false);
  const uploads = app.get(UploadsService);
  const release = uploads.releaseMaster.bind(uploads);
  const admin: Actor = { userId: randomUUID(), sessionId: randomUUID(), role: 'ADMIN' };
  let retried: Promise<unknown> | undefined;
  jest.spyOn(uploads, 'releaseMaster').mockImplementationOnce(async (tx, id) => {
    retried = app
      .get(TranscodingService)
      .retry(admin, videoId)
      .catch((error: Error) => error);
    await until(
      () =>
        app.database.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        ),
      (waiting) => waiting.length > 0,
      10,
    );
    await release(tx, id);
  });
  await app.get(TranscodingService).refuse({ videoId, run: 1 }, { code: 'CORRUPT', message: 'It is.' });
  expect(await retried).toBeInstanceOf(NothingToProcess);
  expect(await stateOf(videoId)).toEqual({ state: 'FAILED', failure: 'CORRUPT' });
});

it('a crash between the last piece and publish is found by the sweep, and READY comes once', async () => {
  const { videoId, piece } = await planned();
  const publisher = app.get(Publisher);
  const crash = jest.spyOn(publisher, 'advance').mockResolvedValue();
  for (const name of ['FIRST 0', 'VIDEO 0', 'VIDEO 1', 'AUDIO 0', 'STILLS 0']) await make(piece(name));
  expect(await stateOf(videoId)).toMatchObject({ state: 'PROCESSING' });
  crash.mockRestore();
  const steps = jest.spyOn(app.get(VideosService), 'transition');
  await Promise.all([publisher.sweep(), publisher.advance(videoId, 1), publisher.advance(videoId, 1)]);
  await publisher.advance(videoId, 1);
  expect(await stateOf(videoId)).toMatchObject({ state: 'READY' });
  const ready = await Promise.all(
    steps.mock.results.filter((_, index) => steps.mock.calls[index]?.[1].to === 'READY').map((result) => result.value),
  );
  expect(ready.filter(Boolean)).toEqual([true]);
  const [rate] = await app.database.query<{ rate: number }>(
    `SELECT average_bits_per_second AS rate FROM rendition WHERE video_id = $1 AND kind = 'AUDIO'`,
    [videoId],
  );
  expect(rate?.rate).toBeGreaterThan(10_000);
});

it('stills wait for the whole lowest rung', async () => {
  const { videoId, piece } = await planned();
  const asked = () =>
    app.database.query('SELECT name FROM job WHERE dedupe_key = $1', [`piece:${piece('STILLS 0').id}`]);
  await make(piece('FIRST 0'));
  await make(piece('VIDEO 1'));
  expect(await asked()).toEqual([]);
  await make(piece('VIDEO 0'));
  expect(await asked()).toEqual([{ name: 'MakeStills' }]);
  await app.get(Publisher).advance(videoId, 1);
  expect(await asked()).toHaveLength(1);
});

it('work that no job is left for is asked for again', async () => {
  const { videoId, piece } = await planned();
  const unplanned = await uploaded(app, file, false);
  await app
    .get(Database)
    .tx((tx) =>
      app.get(VideosService).transition(tx, { videoId: unplanned.videoId, run: 1, to: 'PROCESSING', stage: 'PROBING' }),
    );
  await app.database.query('DELETE FROM job');
  await app.get(Publisher).sweep();
  const jobs = await app.database.query<{ key: string }>('SELECT dedupe_key AS key FROM job');
  const found = jobs.map((job) => job.key);
  expect(found).toEqual(
    expect.arrayContaining([
      `piece:${piece('FIRST 0').id}`,
      `piece:${piece('VIDEO 1').id}`,
      `probe:${unplanned.videoId}:1`,
    ]),
  );
  expect(found).not.toContain(`piece:${piece('STILLS 0').id}`);
  expect(found).not.toContain(`probe:${videoId}:1`);
});

it('a piece with another init segment is refused, and a refusal is a strike', async () => {
  const { videoId, piece } = await planned();
  await make(piece('FIRST 0'));
  await app.database.query(`UPDATE rendition SET init = init || 'x'::bytea WHERE video_id = $1`, [videoId]);
  await expect(make(piece('VIDEO 0'))).rejects.toThrow(PieceRefused);
  expect((await segmentsOf(videoId)).map((segment) => segment.number)).toEqual([1]);
  expect((await piecesOf(videoId)).find((each) => each.id === piece('VIDEO 0').id)).toMatchObject({ strikes: 1 });
});

it('an input that ended three attempts gets no fourth', async () => {
  const { videoId, piece } = await planned();
  await app.database.query(`UPDATE piece SET strikes = 3, fault = 'WORKER_KILLED' WHERE id = $1`, [
    piece('VIDEO 1').id,
  ]);
  await make(piece('VIDEO 1'));
  expect(await stateOf(videoId)).toMatchObject({ state: 'FAILED', failure: 'WORKER_KILLED' });
});

it('a source that two attempts find broken is refused for good, and released', async () => {
  const { videoId, masterKey, piece } = await planned();
  await make(piece('FIRST 0'));
  const path = app.get(ObjectStorage).localPath(masterKey) as string;
  const bytes = await readFile(path);
  await chmod(path, 0o600);
  await writeFile(path, bytes.fill(0, bytes.indexOf('mdat') + 4, bytes.lastIndexOf('moov') - 4));
  await expect(make(piece('VIDEO 1'))).rejects.toThrow(SourceDamaged);
  expect((await piecesOf(videoId)).find((each) => each.id === piece('VIDEO 1').id)).toMatchObject({ strikes: 1 });
  expect(await stateOf(videoId)).toMatchObject({ state: 'PROCESSING' });
  await make(piece('VIDEO 1'));
  expect(await stateOf(videoId)).toMatchObject({ state: 'FAILED', failure: 'CORRUPT' });
  expect(await app.get(UploadsService).masterOf(app.get(Database), videoId)).toBeNull();
});

it('trouble of our own is no strike', async () => {
  const { videoId, piece } = await planned();
  jest.spyOn(app.get(StoredObjects), 'write').mockRejectedValueOnce(new Error('the store is away'));
  await expect(make(piece('VIDEO 1'))).rejects.toThrow('the store is away');
  expect((await piecesOf(videoId)).every((each) => each.strikes === 0)).toBe(true);
});

it('a full disk and an encoder that could not be started are no strikes, one that stood still is', async () => {
  const { videoId, piece } = await planned();
  const strikes = async () => (await piecesOf(videoId)).find((each) => each.id === piece('VIDEO 1').id)?.strikes;
  const engine = app.get(MediaEngine);
  for (const failure of [
    new MediaRunError('exit', 'av_interleaved_write_frame(): No space left on device'),
    new MediaRunError('start', ''),
  ]) {
    jest.spyOn(engine, 'run').mockRejectedValueOnce(failure);
    await expect(make(piece('VIDEO 1'))).rejects.toBe(failure);
    expect(await strikes()).toBe(0);
  }
  jest.spyOn(engine, 'run').mockRejectedValueOnce(new MediaRunError('stalled', ''));
  await expect(make(piece('VIDEO 1'))).rejects.toThrow('stalled');
  expect(await strikes()).toBe(1);
  await make(piece('VIDEO 1'));
  expect((await segmentsOf(videoId)).map((segment) => segment.number)).toEqual([3, 4]);
});

it('a player that waits has its piece made on the next turn of its owner, in place of another', async () => {
  const { videoId, piece } = await planned();
  const name = (key: string) =>
    ['AUDIO 0', 'VIDEO 0', 'VIDEO 1'].find((each) => key === `piece:${piece(each).id}`) as string;
  const order = async () => {
    const rows = await app.database.query<{ key: string; turn: number }>(
      `SELECT dedupe_key AS key, turn FROM job WHERE subject = $1 AND queue = 'encode' ORDER BY turn, priority`,
      [videoId],
    );
    return { names: rows.map((row) => name(row.key)), turns: rows.map((row) => row.turn) };
  };
  const hurry = (wanted: object) =>
    app.get(TranscodingService).hurry({ videoId, run: 1, rendition: '48p', segmentNumber: 4, ...wanted });
  const { names, turns } = await order();
  expect(names).toEqual(['AUDIO 0', 'VIDEO 0', 'VIDEO 1']);
  expect(new Set(turns).size).toBe(3);
  await hurry({});
  expect(await order()).toEqual({ names: ['VIDEO 1', 'VIDEO 0', 'AUDIO 0'], turns });
  await hurry({});
  expect((await order()).names).toEqual(['VIDEO 1', 'VIDEO 0', 'AUDIO 0']);
  // Who asked before keeps the turn that was won.
  await hurry({ rendition: 'audio' });
  expect(await order()).toEqual({ names: ['VIDEO 1', 'AUDIO 0', 'VIDEO 0'], turns });
  await hurry({ segmentNumber: 2 });
  expect(await order()).toEqual({ names: ['VIDEO 1', 'AUDIO 0', 'VIDEO 0'], turns });
});

it('a run is made with what it was planned with, whatever is configured meanwhile', async () => {
  const { videoId, piece } = await planned();
  await make(piece('FIRST 0'));
  const runs = jest.spyOn(app.get(MediaEngine), 'run');
  const transcoding = app.get(TranscodingService);
  const changed = { ...app.config, encodePreset: 'ultrafast', encodeCrf: 30, segmentsPerPiece: 1 };
  const configured = jest.replaceProperty(transcoding as unknown as { config: Config }, 'config', changed);
  const later = await planned();
  configured.restore();
  for (const name of ['VIDEO 0', 'VIDEO 1']) await make(piece(name));
  expect((await segmentsOf(videoId)).map((segment) => segment.number)).toEqual([1, 2, 3, 4]);
  await make(later.piece('VIDEO 3'));
  const asked = runs.mock.calls.map(([{ command }]) => command.outputs[0]?.options ?? []);
  const settings = asked.map((options) => ['-preset', '-crf'].map((name) => options[options.indexOf(name) + 1]));
  expect(settings).toEqual([
    ['veryfast', '23'],
    ['veryfast', '23'],
    ['ultrafast', '30'],
  ]);
  const hurried = async () =>
    (await app.database.query('SELECT FROM job WHERE subject = $1 AND priority = 1', [later.videoId])).length;
  expect(await hurried()).toBe(0);
  await transcoding.hurry({ videoId: later.videoId, run: 1, rendition: '48p', segmentNumber: 2 });
  expect(await hurried()).toBe(1);
});

it('a deleted video leaves no row and no object', async () => {
  const { videoId, piece } = await planned();
  for (const name of ['FIRST 0', 'VIDEO 0', 'VIDEO 1', 'AUDIO 0', 'STILLS 0']) await make(piece(name));
  expect(await stateOf(videoId)).toMatchObject({ state: 'READY' });
  await app.get(Database).tx((tx) => app.get(VideosService).remove(tx, videoId));
  await app.get(FreeRunsJob).deleted({ videoId });
  for (const table of ['segment', 'still', 'piece', 'rendition', 'transcode_source']) {
    expect(await app.database.query(`SELECT FROM ${table} WHERE video_id = $1`, [videoId])).toEqual([]);
  }
  const left = await app.database.query(
    `SELECT key FROM stored_object WHERE starts_with(key, $1) AND state <> 'DELETING'`,
    [`pieces/${videoId}/`],
  );
  expect(left).toEqual([]);
});

describe('scratch files', () => {
  const root = () => join(app.config.dataDir, 'scratch');

  it('go with their attempt, and those of dead processes at the next start', async () => {
    const host = hostname()
      .toLowerCase()
      .replace(/[^a-z0-9]/g, '-');
    await make((await planned()).piece('FIRST 0'));
    expect(await readdir(join(root(), `${host}.${process.pid}`))).toEqual([]);
    const alive = `${host}.${process.ppid}`;
    // Above the largest process number that Linux gives.
    for (const name of [alive, `${host}.4194305`]) await mkdir(join(root(), name, 'left'), { recursive: true });
    await new Scratch(app.get(ObjectStorage), { ...app.config, role: 'worker' }).onModuleInit();
    expect(await readdir(root())).toEqual([alive]);
  });

  it('hold one copy of a master that the store has no file of, and that cannot be read in parts, for all its pieces', async () => {
    const { videoId, masterKey, piece } = await planned(
      await clip(folder, 'a.mkv', { frames: 140, fps: '10', size: '64x48' }),
    );
    const storage = app.get(ObjectStorage);
    jest.spyOn(storage, 'localPath').mockReturnValue(null);
    const reads = jest.spyOn(storage, 'read');
    await Promise.all([make(piece('VIDEO 0')), make(piece('VIDEO 1')), make(piece('AUDIO 0'))]);
    expect((await segmentsOf(videoId)).map((segment) => segment.number)).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
    // Its first bytes say that it has no index of ours.
    expect(reads.mock.calls.filter(([key, range]) => key === masterKey && !range)).toHaveLength(1);
  });

  it('who is told to stop does not wait for the file to be fetched', async () => {
    const storage = app.get(ObjectStorage);
    const scratch = app.get(Scratch);
    const fetched = new PassThrough();
    jest.spyOn(storage, 'localPath').mockReturnValue(null);
    jest.spyOn(storage, 'read').mockResolvedValueOnce(fetched);
    const object = { key: 'masters/slow', sizeBytes: 4 };
    const stop = new AbortController();
    const stopped = scratch.object(object, stop.signal, async () => 'worked');
    const patient = scratch.object(object, new AbortController().signal, (path) => readFile(path, 'utf8'));
    stop.abort(new Error('stop'));
    await expect(stopped).rejects.toThrow('stop');
    fetched.end('film');
    expect(await patient).toBe('film');
  });
});
