import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ByteSource, readSampleIndex } from '../../src/modules/media/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { patch } from '../support/append.js';
import { padded } from '../support/clip.js';
import {
  type Answer,
  ApiClient,
  rowId,
  sha256,
  startApp,
  type TestApp,
  temporaryFolder,
  until,
} from '../support/index.js';
import { brokenInvariants, storageOf, storeDifferences } from '../support/invariants.js';
import { clip, decodedFrames, joined } from './transcoding-clips.js';

/** What happens to a film while it arrives. */

const FRAMES = 900;
let app: TestApp;
let folder: string;
/** 30 s with sound, index in front; the same with its index at the end. */
let film: Buffer;
let backwards: Buffer;

beforeAll(async () => {
  folder = await temporaryFolder();
  const noisy = ['-vf', 'noise=alls=24:allf=t', '-b:v', '1M', '-g', '60'];
  const shape = { frames: FRAMES, fps: '30', size: '320x240' };
  const file = await clip(folder, 'backwards.mp4', { ...shape, more: noisy });
  const front = join(folder, 'film.mp4');
  await promisify(execFile)('ffmpeg', ['-v', 'error', '-i', file, '-c', 'copy', '-movflags', '+faststart', front]);
  [backwards, film] = await Promise.all([readFile(file), readFile(front)]);
  app = await startApp({ encodeConcurrency: 2 });
}, 60_000);
afterAll(async () => {
  expect(await brokenInvariants(app.database)).toEqual({});
  expect(await storeDifferences(app.database, storageOf(app.config.dataDir))).toEqual([]);
  await app.stop();
  await rm(folder, { recursive: true });
});

interface Begun {
  owner: ApiClient;
  id: string;
  videoId: string;
  tusUrl: string;
  send(file: Buffer, start: number, end: number): Promise<void>;
}

async function begin(file: Buffer, more: object = {}): Promise<Begun> {
  const owner = await ApiClient.signUp(app.url);
  const channelId = await owner.createChannel();
  const { session } = await owner.createSession({ channelId, sizeBytes: file.length, visibility: 'PUBLIC', ...more });
  const { uploadSession } = await owner.query('query ($id: ID!) { uploadSession(id: $id) { tusUrl } }', {
    id: session.id,
  });
  const { tusUrl } = uploadSession;
  const send = async (from: Buffer, start: number, end: number) => {
    expect((await patch(`${tusUrl}/ranges`, start, from.subarray(start, end))).status).toBe(204);
  };
  return { owner, id: session.id, videoId: session.video.id, tusUrl, send };
}

const stateOf = async (client: ApiClient, id: string): Promise<string> => (await client.video(id))?.state;
const becomes = (client: ApiClient, id: string, ...states: string[]) =>
  until(
    () => stateOf(client, id),
    (state) => states.includes(state),
    100,
  );
const runOf = async (videoId: string): Promise<Answer> =>
  (await app.database.query('SELECT run, published_at, verified_at FROM video WHERE id = $1', [rowId(videoId)]))[0];
const wantedOf = async ({ tusUrl }: Begun): Promise<[number, number][]> =>
  ((await (await fetch(`${tusUrl}/ranges`)).json()) as Answer).wanted;
const looked = ({ id }: Begun) =>
  until(
    () => app.database.query<{ wanted: string | null }>('SELECT wanted FROM upload_session WHERE id = $1', [rowId(id)]),
    ([row]) => row?.wanted === null,
    50,
  );

/** What a player has loaded from it: the manifest's, the first segments' and the poster's addresses. */
async function addressesOf({ owner, videoId }: Begun): Promise<string[]> {
  const { playback } = await owner.video(videoId);
  const [, run] = /(r\d+)\//.exec(await (await fetch(playback.hlsUrl)).text()) ?? [];
  const at = (path: string) => playback.hlsUrl.replace('master.m3u8', path);
  return [
    ...[playback.hlsUrl, playback.dashUrl],
    ...['240p', 'audio']
      .flatMap((name) => [`${run}/${name}/index.m3u8`, `${run}/${name}/init.mp4`, `${run}/${name}/1.m4s`])
      .map(at),
  ];
}
const answers = async (urls: string[]): Promise<number[]> =>
  Promise.all(urls.map(async (url) => (await fetch(url, { method: 'HEAD' })).status));
const dead = (urls: string[]) =>
  until(
    () => answers(urls),
    (statuses) => statuses.every((status) => status === 404),
  );

/** Sends the first part, and waits until the owner can watch. */
async function playing(begun: Begun, file: Buffer, share = 0.5): Promise<string[]> {
  await begun.send(file, 0, Math.floor(file.length * share));
  await becomes(begun.owner, begun.videoId, 'PLAYABLE');
  expect((await begun.owner.session(begun.id)).state).toBe('OPEN');
  const urls = await addressesOf(begun);
  expect(new Set(await answers(urls))).toEqual(new Set([200]));
  return urls;
}

/** Of all segments but the very first, which either of two jobs makes: its piece's, or the one that makes nothing else. */
async function digests(videoId: string): Promise<Record<string, string[]>> {
  const rows = await app.database.query<{ rendition: string; key: string; start: string; size: number }>(
    `SELECT rendition, object_key AS key, byte_offset AS start, byte_size AS size FROM segment
     WHERE video_id = $1 AND (rendition, number) <> ('240p', 1) ORDER BY rendition, number`,
    [videoId],
  );
  const all: Record<string, string[]> = {};
  for (const { rendition, key, start, size } of rows) {
    const hash = createHash('sha256');
    const range = { start: Number(start), end: Number(start) + size };
    for await (const bytes of await app.get(ObjectStorage).read(key, range)) hash.update(bytes);
    all[rendition] = [...(all[rendition] ?? []), hash.digest('hex')];
  }
  return all;
}

it('an owner watches what has arrived; others see it when all has, verified; and it is what it would be anyway', async () => {
  const begun = await begin(film);
  const { owner, videoId, id } = begun;
  const urls = await playing(begun, film);
  const stranger = await ApiClient.signUp(app.url);
  expect(await stranger.video(videoId)).toBeNull();
  expect(await new ApiClient(app.url).video(videoId)).toBeNull();
  // Pieces whose bytes are there are made, and no others; the sound follows in steps.
  const made = () => digests(rowId(videoId));
  await until(made, (all) => (all['240p']?.length ?? 0) >= 1 && (all.audio?.length ?? 0) >= 2);
  expect((await made())['240p']?.length).toBeLessThan(7);
  expect(await runOf(videoId)).toEqual({ run: 1, published_at: null, verified_at: null });
  expect(await brokenInvariants(app.database)).toEqual({});

  await begun.send(film, Math.floor(film.length * 0.5), film.length);
  await owner.complete(id, sha256(film));
  await becomes(owner, videoId, 'READY');
  expect(await stateOf(stranger, videoId)).toBe('READY');
  expect((await runOf(videoId)).run).toBe(1);
  expect((await owner.video(videoId)).processing.attempts).toBe(1);
  expect(await answers(urls)).toEqual(urls.map(() => 200));
  expect(await decodedFrames(await joined(app, rowId(videoId), '240p', folder))).toBe(FRAMES);

  // By its name nobody knows that it has an index.
  const plain = await begin(film, { fileName: 'film.bin' });
  await plain.send(film, 0, film.length);
  expect((await runOf(plain.videoId)).run).toBe(1);
  expect(await stateOf(plain.owner, plain.videoId)).toBe('UPLOADING');
  await plain.owner.complete(plain.id, sha256(film));
  await becomes(plain.owner, plain.videoId, 'READY');
  expect(await made()).toEqual(await digests(rowId(plain.videoId)));
}, 120_000);

it('all of it made is not READY before it is verified', async () => {
  const shape = { frames: 150, fps: '25', size: '128x96', sound: false, more: ['-movflags', '+faststart'] };
  const silent = padded(await readFile(await clip(folder, 'silent.mp4', shape)), 3_000_000);
  const begun = await begin(silent);
  await begun.send(silent, 0, silent.length);
  await until(
    () => app.database.query('SELECT done_at FROM piece WHERE video_id = $1', [rowId(begun.videoId)]),
    (pieces) => pieces.length > 0 && pieces.every((piece) => piece.done_at !== null),
    100,
  );
  // Whoever made the last piece takes the video as far as it goes.
  await until(
    () =>
      app.database.query(
        `SELECT FROM job WHERE state <> 'DONE' AND name IN ('EncodeFirst', 'EncodePiece', 'MakeStills')`,
      ),
    (jobs) => jobs.length === 0,
    100,
  );
  expect(await stateOf(begun.owner, begun.videoId)).toBe('PLAYABLE');
  await begun.owner.complete(begun.id, sha256(silent));
  await becomes(begun.owner, begun.videoId, 'READY');
}, 60_000);

it('an index at the end is asked for, and then it goes as with one in front', async () => {
  const begun = await begin(backwards);
  const hint = await wantedOf(begun);
  expect(hint[0]).toEqual([0, 65_536]);
  expect(hint[1]?.[1]).toBe(backwards.length);
  await begun.send(backwards, 0, 65_536);
  // The end of the media is known by then, and with it where the index is.
  const [[start, end] = [0, 0]] = await until(
    () => wantedOf(begun),
    ([first]) => first?.[0] !== undefined && first[0] !== hint[1]?.[0],
    50,
  );
  expect(end).toBe(backwards.length);
  expect(backwards.toString('latin1', start + 4, start + 8)).toBe('moov');
  await begun.send(backwards, start, end);
  await playing(begun, backwards, 0.4);
  await begun.owner.move('cancel', begun.id);
}, 60_000);

it('a tus client, which sends from front to back, has nothing early of an index at the end, and the film in the end', async () => {
  const begun = await begin(backwards);
  await begun.send(backwards, 0, Math.floor(backwards.length * 0.6));
  await until(
    () => wantedOf(begun),
    ([first]) => (first?.[0] ?? 0) > backwards.length * 0.6,
    50,
  );
  expect(await stateOf(begun.owner, begun.videoId)).toBe('UPLOADING');
  await begun.send(backwards, Math.floor(backwards.length * 0.6), backwards.length);
  await begun.owner.complete(begun.id, sha256(backwards));
  await becomes(begun.owner, begun.videoId, 'READY');
}, 60_000);

it('cancelled in the middle, nothing is left', async () => {
  const begun = await begin(film);
  const urls = await playing(begun, film);
  await begun.owner.move('cancel', begun.id);
  await dead(urls);
  const left = await until(
    () =>
      app.database.query(
        `SELECT 'segment' FROM segment WHERE video_id = $1 UNION ALL SELECT 'piece' FROM piece WHERE video_id = $1
         UNION ALL SELECT 'rendition' FROM rendition WHERE video_id = $1 UNION ALL SELECT 'still' FROM still WHERE video_id = $1
         UNION ALL SELECT 'source' FROM transcode_source WHERE video_id = $1
         UNION ALL SELECT 'chunk' FROM upload_chunk WHERE session_id = $2`,
        [rowId(begun.videoId), rowId(begun.id)],
      ),
    (rows) => rows.length === 0,
  );
  expect(left).toEqual([]);
}, 60_000);

it('a wrong digest takes back what was made early, and what is mended is made anew', async () => {
  const begun = await begin(film);
  const { owner, id, videoId } = begun;
  const bad = Buffer.from(film);
  const at = Math.floor(film.length * 0.9);
  bad.writeUInt8(bad.readUInt8(at) ^ 1, at);
  const urls = await playing(begun, bad);
  await begun.send(bad, Math.floor(bad.length * 0.5), bad.length);
  await owner.complete(id, sha256(film));
  await until(
    () => owner.session(id),
    ({ failure }) => failure?.code === 'FILE_DIGEST_MISMATCH',
  );
  expect(await stateOf(owner, videoId)).toBe('UPLOADING');
  expect((await runOf(videoId)).run).toBe(2);
  expect((await owner.video(videoId)).playback).toBeNull();
  await dead(urls);
  await until(
    () => app.database.query('SELECT FROM segment WHERE video_id = $1', [rowId(videoId)]),
    (rows) => rows.length === 0,
  );

  await owner.query('mutation ($input: DiscardRangesInput!) { discardRanges(input: $input) { userErrors { code } } }', {
    input: { sessionId: id, ranges: [{ start: at, end: at + 1 }] },
  });
  const { missingRanges } = await owner.session(id);
  for (const { start, end } of missingRanges) await begun.send(film, start, end);
  // Nobody knew which bytes were wrong: nothing is begun early any more.
  expect(await stateOf(owner, videoId)).toBe('UPLOADING');
  await owner.complete(id, sha256(film));
  await becomes(owner, videoId, 'READY');
  expect(await decodedFrames(await joined(app, rowId(videoId), '240p', folder))).toBe(FRAMES);
}, 120_000);

it('discarded bytes take back what may have been made of them, and it begins anew with what comes for them', async () => {
  const begun = await begin(film);
  const { owner, id, videoId } = begun;
  const urls = await playing(begun, film);
  await owner.query('mutation ($input: DiscardRangesInput!) { discardRanges(input: $input) { userErrors { code } } }', {
    input: { sessionId: id, ranges: [{ start: 100_000, end: 100_001 }] },
  });
  expect(await stateOf(owner, videoId)).toBe('UPLOADING');
  await dead(urls);
  const { missingRanges } = await owner.session(id);
  for (const { start, end } of missingRanges) await begun.send(film, start, end);
  await becomes(owner, videoId, 'PLAYABLE', 'READY');
  expect((await runOf(videoId)).run).toBe(2);
  await owner.complete(id, sha256(film));
  await becomes(owner, videoId, 'READY');
  expect((await runOf(videoId)).run).toBe(2);
}, 120_000);

it('what would be refused is so with the whole file, and not before', async () => {
  const tiny = padded(
    await readFile(
      await clip(folder, 'tiny.mp4', { frames: 30, fps: '10', size: '12x12', more: ['-movflags', '+faststart'] }),
    ),
    3_000_000,
  );
  const begun = await begin(tiny);
  await begun.send(tiny, 0, 2_500_000);
  await looked(begun);
  expect(await stateOf(begun.owner, begun.videoId)).toBe('UPLOADING');
  await begun.send(tiny, 2_500_000, tiny.length);
  await begun.owner.complete(begun.id, sha256(tiny));
  await becomes(begun.owner, begun.videoId, 'FAILED');
  expect((await begun.owner.video(begun.videoId)).failure.code).toBe('DIMENSIONS_OUT_OF_RANGE');
}, 60_000);

it('what turns out otherwise in the whole file is begun anew', async () => {
  // Behind the media stand fragments, of which the index in front says nothing.
  const fragment = Buffer.alloc(600_000);
  fragment.writeUInt32BE(fragment.length);
  fragment.write('moof', 4);
  const odd = Buffer.concat([film, fragment]);
  const begun = await begin(odd);
  await playing(begun, odd);
  await begun.send(odd, Math.floor(odd.length * 0.5), odd.length);
  await begun.owner.complete(begun.id, sha256(odd));
  await until(
    () => runOf(begun.videoId),
    ({ run }) => run === 2,
  );
  await becomes(begun.owner, begun.videoId, 'READY', 'FAILED');
}, 120_000);

it('a piece that fails before the end fails nothing for good', async () => {
  // Where the index says that pictures are, there is noise: from the eighth second to the end.
  const noisy = Buffer.from(film);
  noisy.fill(0x5a, Math.floor(film.length * 0.3), Math.floor(film.length * 0.7));
  const begun = await begin(noisy);
  await begun.send(noisy, 0, Math.floor(noisy.length * 0.8));
  await until(
    () => runOf(begun.videoId),
    ({ run }) => run === 2,
  );
  expect(await stateOf(begun.owner, begun.videoId)).toBe('UPLOADING');
  await looked(begun);
  await begun.send(noisy, Math.floor(noisy.length * 0.8), noisy.length);
  await begun.owner.complete(begun.id, sha256(noisy));
  await becomes(begun.owner, begun.videoId, 'FAILED');
}, 120_000);

it('the index says of every picture what ffprobe says of it', async () => {
  for (const bytes of [film, backwards]) {
    const source: ByteSource = {
      sizeBytes: bytes.length,
      read: async (start, length) => bytes.subarray(start, start + length),
    };
    const index = await readSampleIndex(source);
    if (!index || !('tracks' in index)) throw new Error('no index');
    const track = index.tracks.find(({ kind }) => kind === 'picture');
    const file = join(folder, bytes === film ? 'film.mp4' : 'backwards.mp4');
    const { stdout } = await promisify(execFile)(
      'ffprobe',
      [
        '-v',
        'error',
        '-select_streams',
        'v',
        '-show_entries',
        'packet=pts_time,dts_time,pos,size,flags',
        '-of',
        'json',
        file,
      ],
      { maxBuffer: 1e8 },
    );
    const packets = (JSON.parse(stdout) as Answer).packets;
    expect(track?.count).toBe(packets.length);
    for (const [i, { pts_time, dts_time, pos, size, flags }] of packets.entries()) {
      expect([track?.offsets[i], track?.sizes[i], track?.keys[i]]).toEqual([
        Number(pos),
        Number(size),
        flags[0] === 'K' ? 1 : 0,
      ]);
      expect(track?.shown[i]).toBeCloseTo(Number(pts_time), 4);
      expect(track?.decoded[i]).toBeCloseTo(Number(dts_time), 4);
    }
  }
});
