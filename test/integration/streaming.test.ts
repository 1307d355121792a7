import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text as body } from 'node:stream/consumers';
import { Database } from '../../src/common/database/index.js';
import { encodeId } from '../../src/common/graphql/index.js';
import { Live } from '../../src/common/live/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { signToken } from '../../src/modules/streaming/playback-token.js';
import { PIECE_JOB_KEY } from '../../src/modules/transcoding/transcoding.jobs.js';
import { videoTopic } from '../../src/modules/videos/index.js';
import { ApiClient, until } from '../support/client.js';
import { startApp, type TestApp } from '../support/index.js';
import { type Clip, insertDownload, insertSegments, insertStills, insertVideo, makeClip } from './streaming-clip.js';

const SECONDS = 9;
const HOUR = 3600;

let folder: string;
let clip: Clip;
let app: TestApp;
let db: Database;
let storage: ObjectStorage;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-clip-'));
  // No worker: what these tests make is theirs alone.
  [clip, app] = await Promise.all([makeClip(folder, SECONDS), startApp({ role: 'api' })]);
  db = app.get(Database);
  storage = app.get(ObjectStorage);
}, 60_000);

afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});

function address(videoId: string, path: string, grant: { epoch?: number; expiresAt?: number } = {}): string {
  const { epoch = 1, expiresAt = Math.floor(Date.now() / 1000) + HOUR } = grant;
  return `${app.url}/media/${signToken(app.config.playbackSecret, videoId, { epoch, expiresAt })}/${videoId}/${path}`;
}

const get = (url: string, headers: Record<string, string> = {}, method = 'GET') => fetch(url, { headers, method });
const text = async (url: string) => (await get(url)).text();

/** What a segment's bytes are, from the encoder's own file. */
async function made(rendition: string, number: number): Promise<Buffer> {
  const segment = clip.tracks.find(({ name }) => name === rendition)?.segments[number - 1];
  if (!segment) throw new Error('no such segment');
  return (await readFile(segment.file)).subarray(segment.offset, segment.offset + segment.size);
}

async function keysOf(videoId: string, rendition: string): Promise<string[]> {
  const rows = await db.query<{ key: string }>(
    'SELECT DISTINCT object_key AS key FROM segment WHERE video_id = $1 AND rendition = $2',
    [videoId, rendition],
  );
  return rows.map(({ key }) => key);
}

/** As whatever changes a video does. */
const tell = (videoId: string) => app.get(Live).tick(videoTopic(videoId));

async function finishedVideo(visibility = 'PUBLIC'): Promise<string> {
  const { videoId } = await insertVideo(db, clip, { visibility, state: 'READY' });
  for (const { name } of clip.tracks) await insertSegments(db, storage, clip, videoId, name);
  await insertStills(db, storage, clip, videoId);
  return videoId;
}

describe('manifests', () => {
  it('lead to every byte that was encoded, by HLS and by DASH alike', async () => {
    const videoId = await finishedVideo();
    const master = await get(address(videoId, 'master.m3u8'));
    expect(master.status).toBe(200);
    expect(master.headers.get('content-type')).toBe('application/vnd.apple.mpegurl');
    expect(master.headers.get('cache-control')).toBe('private, no-store');
    const playlists = [...(await master.text()).matchAll(/^(?:.*URI=")?(r1\/\w+\/index\.m3u8)/gm)].map(
      ([, uri]) => uri,
    );
    // The sound comes twice: beside each rung, and last by itself.
    const names = ['audio', '240p', '360p', 'audio'];
    expect(playlists).toEqual(names.map((name) => `r1/${name}/index.m3u8`));

    const mpd = await text(address(videoId, 'manifest.mpd'));
    expect(mpd).toContain(`mediaPresentationDuration="PT${SECONDS.toFixed(6)}S"`);
    for (const track of clip.tracks) {
      const playlist = await text(address(videoId, `r1/${track.name}/index.m3u8`));
      const durations = [...playlist.matchAll(/#EXTINF:([\d.]+),\n(\d+)\.m4s/g)];
      // What was said before anything was encoded is what came out.
      expect(durations.map(([, seconds]) => seconds)).toEqual(
        track.segments.map(({ duration }) => (duration / track.timescale).toFixed(6)),
      );
      expect(mpd).toMatch(new RegExp(`<Representation id="${track.name}"[^>]* codecs="${track.codecs}"`));
      for (const [, , number] of durations) {
        const segment = await get(address(videoId, `r1/${track.name}/${number}.m4s`));
        expect(segment.headers.get('content-type')).toBe(track.kind === 'AUDIO' ? 'audio/mp4' : 'video/mp4');
        expect(segment.headers.get('cache-control')).toBe('private, max-age=31536000, immutable');
        const bytes = Buffer.from(await segment.arrayBuffer());
        expect(bytes.equals(await made(track.name, Number(number)))).toBe(true);
      }
      const init = Buffer.from(await (await get(address(videoId, `r1/${track.name}/init.mp4`))).arrayBuffer());
      expect(init.equals(track.init)).toBe(true);
    }
  });

  it('are complete while nothing but the start is there, and offer only what has started', async () => {
    const { videoId } = await insertVideo(db, clip);
    expect((await get(address(videoId, 'master.m3u8'))).status).toBe(404);
    await insertSegments(db, storage, clip, videoId, '240p', [1]);
    await insertSegments(db, storage, clip, videoId, 'audio', [1]);
    tell(videoId);
    const master = await eventually(async () => {
      const answer = await get(address(videoId, 'master.m3u8'));
      return answer.status === 200 ? answer.text() : null;
    });
    expect(master).toContain('240p');
    expect(master).not.toContain('360p');
    expect(master).not.toContain('AVERAGE-BANDWIDTH');
    expect(master).not.toContain('I-FRAME');
    expect(await statusOf(address(videoId, 'r1/240p/iframes.m3u8'))).toBe(404);
    expect(await text(address(videoId, 'manifest.mpd'))).not.toContain('360p');
    // What is planned is told to those who ask for it, with the codecs that it is going to have.
    const plan = await text(address(videoId, 'planned.mpd'));
    const codecs = clip.tracks.find(({ name }) => name === '360p')?.codecs;
    expect(plan).toMatch(new RegExp(`<Representation id="360p"[^>]* codecs="${codecs}" width="640" height="360"`));
    const playlist = await text(address(videoId, 'r1/240p/index.m3u8'));
    expect(playlist.match(/#EXTINF/g)).toHaveLength(3);
    expect(playlist).toContain('#EXT-X-ENDLIST');
  });

  it('tell measured rates of what is finished: no segment is above BANDWIDTH, the sum is AVERAGE-BANDWIDTH', async () => {
    const videoId = await finishedVideo();
    const master = await text(address(videoId, 'master.m3u8'));
    const rate = (name: string, reduce: (rates: number[]) => number) => {
      const track = clip.tracks.find((track) => track.name === name);
      const whole = track?.segments.filter(({ duration }) => duration * 2 >= track.segmentDuration) ?? [];
      // Short as it is, the last one counts together with the one before it.
      const [a, b] = track?.segments.slice(-2) ?? [];
      const pair = a && b ? [{ size: a.size + b.size, duration: a.duration + b.duration }] : [];
      return reduce([...whole, ...pair].map(({ size, duration }) => (size * 8 * (track?.timescale ?? 0)) / duration));
    };
    const peak = (name: string) => Math.round(rate(name, (rates) => Math.max(...rates)));
    const [, bandwidth, average] = /BANDWIDTH=(\d+),AVERAGE-BANDWIDTH=(\d+),.*\nr1\/360p/.exec(master) ?? [];
    expect(Math.abs(Number(bandwidth) - peak('360p') - peak('audio'))).toBeLessThanOrEqual(2);
    const sizeOf = (name: string) =>
      clip.tracks.find((track) => track.name === name)?.segments.reduce((sum, { size }) => sum + size, 0) ?? 0;
    expect(Number(average) / (((sizeOf('360p') + sizeOf('audio')) * 8) / SECONDS)).toBeCloseTo(1, 4);
  });
});

describe('a segment', () => {
  let videoId: string;
  let url: string;
  let bytes: Buffer;
  beforeAll(async () => {
    videoId = await finishedVideo();
    url = address(videoId, 'r1/360p/2.m4s');
    bytes = await made('360p', 2);
  });

  it('comes in part, from its own place in the object', async () => {
    const part = await get(url, { range: 'bytes=100-199' });
    expect(part.status).toBe(206);
    expect(part.headers.get('content-range')).toBe(`bytes 100-199/${bytes.length}`);
    expect(part.headers.get('content-length')).toBe('100');
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(100, 200))).toBe(true);
    const end = await get(url, { range: 'bytes=-10' });
    expect(Buffer.from(await end.arrayBuffer()).equals(bytes.subarray(-10))).toBe(true);
    const beyond = await get(url, { range: `bytes=${bytes.length}-` });
    expect(beyond.status).toBe(416);
    expect(beyond.headers.get('content-range')).toBe(`bytes */${bytes.length}`);
  });

  it('answers HEAD with the head of a GET', async () => {
    const [head, whole] = [await get(url, {}, 'HEAD'), await get(url)];
    expect(head.status).toBe(200);
    expect(await head.text()).toBe('');
    await whole.arrayBuffer();
    for (const name of ['content-length', 'content-type', 'etag', 'cache-control', 'accept-ranges']) {
      expect([name, head.headers.get(name)]).toEqual([name, whole.headers.get(name)]);
    }
    expect(head.headers.get('content-length')).toBe(`${bytes.length}`);
    const part = await get(url, { range: 'bytes=0-9' }, 'HEAD');
    expect([part.status, part.headers.get('content-length')]).toEqual([206, '10']);
  });

  it('is not sent again to who has it', async () => {
    const etag = (await get(url, {}, 'HEAD')).headers.get('etag') ?? '';
    const known = await get(url, { 'if-none-match': etag });
    expect([known.status, await known.text()]).toEqual([304, '']);
    expect(known.headers.get('etag')).toBe(etag);
    const other = await get(address(videoId, 'r1/360p/1.m4s'), { 'if-none-match': etag });
    expect(other.status).toBe(200);
    await other.arrayBuffer();
  });

  it('may be used by pages of other origins', async () => {
    const answer = await get(url, { origin: 'https://app.example.org', range: 'bytes=0-0' });
    await answer.arrayBuffer();
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(answer.headers.get('cross-origin-resource-policy')).toBe('cross-origin');
    const exposed = answer.headers.get('access-control-expose-headers')?.toLowerCase();
    for (const name of ['content-range', 'etag', 'retry-after']) expect(exposed).toContain(name);
  });

  it('is the same from memory, which many ask for, when the store has lost it', async () => {
    const victim = await finishedVideo();
    const hot = address(victim, 'r1/360p/2.m4s');
    const first = await get(hot);
    const [etag = '', whole] = [first.headers.get('etag') ?? '', Buffer.from(await first.arrayBuffer())];
    expect(whole.equals(bytes)).toBe(true);
    // Only what is asked for a second time is taken into memory, and a part of it will do.
    await (await get(hot, { range: 'bytes=0-0' })).arrayBuffer();
    await storage.delete(await keysOf(victim, '360p'));

    const again = await get(hot);
    expect(Buffer.from(await again.arrayBuffer()).equals(bytes)).toBe(true);
    for (const name of ['content-length', 'content-type', 'etag', 'cache-control', 'accept-ranges']) {
      expect([name, again.headers.get(name)]).toEqual([name, first.headers.get(name)]);
    }
    const part = await get(hot, { range: 'bytes=100-199', 'if-range': etag });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-199/${bytes.length}`]);
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(100, 200))).toBe(true);
    expect((await get(hot, { range: `bytes=${bytes.length}-` })).status).toBe(416);
    expect((await get(hot, { 'if-none-match': etag })).status).toBe(304);
    const head = await get(hot, {}, 'HEAD');
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, `${bytes.length}`, '']);

    expect(await statusOf(address(victim, 'r1/360p/2.m4s', { epoch: 2 }))).toBe(404);
    await db.query('UPDATE video SET access_epoch = access_epoch + 1 WHERE id = $1', [victim]);
    await eventually(async () => ((await statusOf(hot)) === 404 ? true : null));
  });

  it('is kept by nobody when the store fails', async () => {
    const victim = await finishedVideo();
    await storage.delete(await keysOf(victim, '240p'));
    const answer = await get(address(victim, 'r1/240p/1.m4s'));
    await answer.arrayBuffer();
    expect(answer.status).toBe(500);
    expect(answer.headers.get('cache-control') ?? '').not.toContain('immutable');
    expect(answer.headers.get('etag')).toBeNull();
  });

  it('is broken off, not cut short in silence, where the store has lost its end', async () => {
    const victim = await finishedVideo();
    await db.query('UPDATE segment SET byte_size = byte_size + 1000000 WHERE video_id = $1 AND rendition = $2', [
      victim,
      '240p',
    ]);
    const answer = await get(address(victim, 'r1/240p/1.m4s'));
    await expect(answer.arrayBuffer()).rejects.toThrow();
    expect(await statusOf(address(victim, 'r1/240p/1.m4s'))).toBe(500);
  });
});

describe('a request for what is not made yet', () => {
  let videoId: string;
  beforeEach(async () => {
    ({ videoId } = await insertVideo(db, clip));
    await insertSegments(db, storage, clip, videoId, '240p', [1]);
  });

  it('is held until a tick says that it is there', async () => {
    const began = performance.now();
    const held = get(address(videoId, 'r1/240p/2.m4s'));
    await expect(Promise.race([held, pause(700)])).resolves.toBe('paused');
    await insertSegments(db, storage, clip, videoId, '240p', [2]);
    app.get(Live).tick(`segment:${videoId}`);
    const answer = await held;
    expect(answer.status).toBe(200);
    expect(performance.now() - began).toBeLessThan(4000);
    expect(Buffer.from(await answer.arrayBuffer()).equals(await made('240p', 2))).toBe(true);
  });

  it('finds it also when the tick was lost', async () => {
    const held = get(address(videoId, 'r1/240p/3.m4s'));
    await expect(Promise.race([held, pause(200)])).resolves.toBe('paused');
    await insertSegments(db, storage, clip, videoId, '240p', [3]);
    expect((await held).status).toBe(200);
  });

  it('is held for an init segment too', async () => {
    const held = get(address(videoId, 'r1/360p/init.mp4'));
    await expect(Promise.race([held, pause(200)])).resolves.toBe('paused');
    await insertSegments(db, storage, clip, videoId, '360p', [1]);
    expect((await held).status).toBe(200);
  });

  it('is sent away after 8 s, to come again', async () => {
    const began = performance.now();
    const answer = await get(address(videoId, 'r1/240p/2.m4s'));
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(performance.now() - began).toBeGreaterThan(7_900);
    expect(performance.now() - began).toBeLessThan(9_000);
  }, 15_000);

  it('has its piece made before others', async () => {
    const [piece] = await db.query<{ id: string }>(
      `INSERT INTO piece (video_id, run, kind, number, frame_count) VALUES ($1, 1, 'VIDEO', 0, 270) RETURNING id`,
      [videoId],
    );
    await db.query(`INSERT INTO transcode_source (video_id, run, probe) VALUES ($1, 1, '{}')`, [videoId]);
    const [job] = await db.query<{ id: string }>(
      `INSERT INTO job (name, queue, payload, dedupe_key, priority) VALUES ('EncodePiece', 'encode', '{}', $1, 90) RETURNING id`,
      [`${PIECE_JOB_KEY}${piece?.id}`],
    );
    const stop = new AbortController();
    const held = fetch(address(videoId, 'r1/240p/2.m4s'), { signal: stop.signal }).catch((error: Error) => error.name);
    await eventually(async () => {
      const [row] = await db.query<{ priority: number }>('SELECT priority FROM job WHERE id = $1', [job?.id]);
      return row && row.priority < 10 ? row : null;
    });
    stop.abort();
    expect(await held).toBe('AbortError');
  });

  it('is not held beyond the plan', async () => {
    expect((await get(address(videoId, 'r1/240p/4.m4s'))).status).toBe(404);
    expect((await get(address(videoId, 'r1/480p/1.m4s'))).status).toBe(404);
    expect((await get(address(videoId, 'r2/240p/1.m4s'))).status).toBe(404);
  });

  it('ends when the video is closed meanwhile', async () => {
    const held = get(address(videoId, 'r1/240p/2.m4s'));
    await expect(Promise.race([held, pause(200)])).resolves.toBe('paused');
    await db.query('UPDATE video SET access_epoch = access_epoch + 1 WHERE id = $1', [videoId]);
    expect((await held).status).toBe(404);
  });

  it('has room for 32 of one client, freed when the client goes away', async () => {
    const stop = new AbortController();
    const url = address(videoId, 'r1/240p/2.m4s');
    const ask = () =>
      fetch(url, { signal: stop.signal }).then(
        ({ status }) => status,
        (error: Error) => error.name,
      );
    const asked = Array.from({ length: 33 }, ask);
    const began = performance.now();
    expect(await Promise.race(asked)).toBe(503);
    expect(performance.now() - began).toBeLessThan(7_000);
    stop.abort();
    const answers = await Promise.all(asked);
    expect(answers.filter((answer) => answer === 'AbortError')).toHaveLength(32);
    await eventually(async () => ((await Promise.race([get(url), pause(300)])) === 'paused' ? true : null));
  }, 20_000);
});

describe('access', () => {
  it('gives nothing of a closed video away to conditional requests, ranges and HEAD', async () => {
    const videoId = await finishedVideo();
    await insertDownload(db, storage, videoId, Buffer.alloc(10));
    const paths = [
      'master.m3u8',
      'planned.mpd',
      'r1/240p/iframes.m3u8',
      'r1/360p/init.mp4',
      'r1/360p/1.m4s',
      'r1/poster/0.jpg',
    ];
    const urls = [...paths, 'r1/download.mp4', 'r1/storyboard.vtt'].map((path) => address(videoId, path));
    for (const url of urls) expect([url, await statusOf(url)]).toEqual([url, 200]);
    const etag = (await get(address(videoId, 'r1/360p/1.m4s'), {}, 'HEAD')).headers.get('etag') ?? '';
    await db.query('UPDATE video SET access_epoch = access_epoch + 1 WHERE id = $1', [videoId]);
    await eventually(async () => ((await Promise.all(urls.map(statusOf))).every((it) => it === 404) ? true : null));
    const kinds: Record<string, string>[] = [
      {},
      { range: 'bytes=0-0' },
      { 'if-none-match': etag },
      { 'if-match': '"other"' },
      { origin: 'https://app.example.org' },
    ];
    for (const url of urls) {
      for (const headers of kinds) {
        for (const method of ['GET', 'HEAD']) {
          const answer = await get(url, headers, method);
          await answer.arrayBuffer();
          expect([answer.status, answer.headers.get('cache-control'), answer.headers.get('etag')]).toEqual([
            ...[404, 'private, no-store', null],
          ]);
        }
      }
    }
  });

  it('gives one answer for whatever may not be watched', async () => {
    const videoId = await finishedVideo();
    const other = await finishedVideo();
    const now = Math.floor(Date.now() / 1000);
    const good = address(videoId, 'master.m3u8');
    expect((await get(good)).status).toBe(200);
    const token = good.split('/')[4] ?? '';
    const refused = [
      address(videoId, 'master.m3u8', { expiresAt: now - 1 }),
      address(videoId, 'master.m3u8', { epoch: 2 }),
      address(videoId, 'master.m3u8', { epoch: 0 }),
      good.replace(videoId, other),
      good.replace(token, `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`),
      good.replace(token, 'x'),
      good.replace(videoId, '00000000-0000-4000-8000-000000000000'),
      address('00000000-0000-4000-8000-000000000000', 'master.m3u8'),
      address(videoId, 'r1/360p/%2e%2e/%2e%2e/master.m3u8'),
      address(videoId, 'r1/360p/..%2F..%2Fmaster.m3u8'),
      address(other, 'master.m3u8', { epoch: 2 }).replace(`${other}/`, `${other}%2F..%2F${videoId}/`),
      address(videoId, 'master.m3u8%00'),
      address(videoId, 'nothing.txt'),
    ];
    const answers = new Set<string>();
    for (const url of refused) answers.add(await rawAnswer(url));
    expect([...answers]).toEqual(['404 private, no-store There is nothing here to watch.\n']);
  });

  it('ends within 5 s for every address of a video that is closed, in whatever way', async () => {
    const ways = ['access_epoch = access_epoch + 1', 'deleted_at = now()', "state = 'BLOCKED'", 'run = run + 1'];
    const addresses: string[] = [];
    for (const way of ways) {
      const videoId = await finishedVideo();
      // A new run has its own addresses; the manifests' are the same for all runs.
      const manifests = way.startsWith('run') ? [] : ['master.m3u8', 'manifest.mpd'];
      const paths = [...manifests, 'r1/360p/index.m3u8', 'r1/360p/init.mp4', 'r1/360p/1.m4s', 'r1/audio/1.m4s'];
      paths.push('r1/poster/0.jpg', 'r1/thumbnail/0.jpg', 'r1/storyboard/0.jpg', 'r1/storyboard.vtt');
      addresses.push(...paths.map((path) => address(videoId, path)));
      for (const url of addresses) expect([url, await statusOf(url)]).toEqual([url, 200]);
      await db.query(`UPDATE video SET ${way} WHERE id = $1`, [videoId]);
      await eventually(async () =>
        (await Promise.all(addresses.map(statusOf))).every((it) => it === 404) ? true : null,
      );
      addresses.length = 0;
    }
  }, 30_000);

  it("ends by the database's clock", async () => {
    const videoId = await finishedVideo();
    const [row] = await db.query<{ now: number }>('SELECT extract(epoch FROM now())::int AS now');
    const url = address(videoId, 'master.m3u8', { expiresAt: (row?.now ?? 0) + 2 });
    const realNow = Date.now;
    try {
      Date.now = () => realNow() + 2 * HOUR * 1000;
      expect((await get(url)).status).toBe(200);
    } finally {
      Date.now = realNow;
    }
    await pause(3_000);
    expect((await get(url)).status).toBe(404);
  });
});

describe('Video.playback', () => {
  const VIDEO = `query ($id: ID!) { video(id: $id) {
    playback { hlsUrl dashUrl plannedDashUrl mp4Url posterUrl expiresAt } posterUrl storyboardUrl thumbnails { url width height atMs } } }`;

  async function signUp(): Promise<{ userId: string; token: string }> {
    const { email, token } = await ApiClient.signUp(app.url);
    const [user] = await db.query<{ id: string }>('SELECT id FROM app_user WHERE email = $1', [email]);
    return { userId: user?.id ?? '', token: token ?? '' };
  }

  /** biome-ignore lint/suspicious/noExplicitAny: a test asserts what it reads */
  async function video(videoId: string, token?: string): Promise<any> {
    const { data, errors } = await app.graphql(VIDEO, { id: encodeId('Video', videoId) }, token);
    expect(errors).toBeUndefined();
    return data?.video;
  }

  it('gives addresses that work, of everything there is to see', async () => {
    const { playback, posterUrl, storyboardUrl, thumbnails } = await video(await finishedVideo());
    expect(playback.posterUrl).toBe(posterUrl);
    expect(playback.mp4Url).toBeNull();
    expect(await statusOf(playback.plannedDashUrl)).toBe(200);
    expect(thumbnails).toEqual([{ url: expect.any(String), width: 160, height: 90, atMs: 0 }]);
    for (const url of [playback.hlsUrl, playback.dashUrl, posterUrl, storyboardUrl, thumbnails[0].url]) {
      expect([url, await statusOf(url)]).toEqual([url, 200]);
    }
    const hours = (Date.parse(playback.expiresAt) - Date.now()) / 3_600_000;
    expect(hours).toBeGreaterThan(6);
    expect(hours).toBeLessThanOrEqual(7);
  });

  it('is null before anything plays, and then offers the first rung', async () => {
    const { videoId } = await insertVideo(db, clip);
    expect(await video(videoId)).toMatchObject({
      playback: null,
      posterUrl: null,
      storyboardUrl: null,
      thumbnails: [],
    });
    await insertSegments(db, storage, clip, videoId, '240p', [1]);
    tell(videoId);
    expect((await video(videoId)).playback).toBeNull();
    await insertSegments(db, storage, clip, videoId, 'audio', [1]);
    tell(videoId);
    expect(await statusOf((await video(videoId)).playback.hlsUrl)).toBe(200);
  });

  it('is for those who may watch: not for strangers before it is verified, not for anybody when it is blocked', async () => {
    const owner = await signUp();
    const { videoId, channelId } = await insertVideo(db, clip, { visibility: 'PRIVATE' });
    await db.query('UPDATE channel_member SET user_id = $2 WHERE channel_id = $1', [channelId, owner.userId]);
    for (const { name } of clip.tracks) await insertSegments(db, storage, clip, videoId, name, [1]);
    const stranger = await signUp();
    const seen = async () => {
      tell(videoId);
      return Promise.all(
        [undefined, stranger.token, owner.token].map(async (token) => !!(await video(videoId, token))?.playback),
      );
    };
    expect(await seen()).toEqual([false, false, true]);
    await db.query(`UPDATE video SET visibility = 'UNLISTED' WHERE id = $1`, [videoId]);
    expect(await seen()).toEqual([true, true, true]);
    await db.query('UPDATE video SET verified_at = NULL WHERE id = $1', [videoId]);
    expect(await seen()).toEqual([false, false, true]);
    await db.query(`UPDATE video SET verified_at = now(), state = 'BLOCKED' WHERE id = $1`, [videoId]);
    expect(await seen()).toEqual([false, false, false]);
  });

  it('is for everybody with the address of what is unlisted, and in no list', async () => {
    const { videoId, channelId } = await insertVideo(db, clip, { visibility: 'UNLISTED', state: 'READY' });
    for (const { name } of clip.tracks) await insertSegments(db, storage, clip, videoId, name);
    expect(await statusOf((await video(videoId)).playback.hlsUrl)).toBe(200);
    const { data } = await app.graphql<{ node: unknown }>(
      'query ($id: ID!) { node(id: $id) { ... on Channel { videos(first: 10) { totalCount nodes { id } } } } }',
      { id: encodeId('Channel', channelId) },
    );
    expect(data?.node).toEqual({ videos: { totalCount: 0, nodes: [] } });
  });

  it('waits for publishAt, and ends what was handed out before it was set', async () => {
    const owner = await signUp();
    const { videoId, channelId } = await insertVideo(db, clip, { state: 'READY' });
    await db.query('UPDATE channel_member SET user_id = $2 WHERE channel_id = $1', [channelId, owner.userId]);
    for (const { name } of clip.tracks) await insertSegments(db, storage, clip, videoId, name);
    const { hlsUrl } = (await video(videoId)).playback;
    const publishAt = new Date(Date.now() + 6_000).toISOString();
    await app.graphql(
      `mutation ($input: UpdateVideoInput!) { updateVideo(input: $input) { userErrors { code } } }`,
      { input: { videoId: encodeId('Video', videoId), publishAt } },
      owner.token,
    );
    expect(await video(videoId)).toBeNull();
    expect(await statusOf((await video(videoId, owner.token)).playback.hlsUrl)).toBe(200);
    await eventually(async () => ((await statusOf(hlsUrl)) === 404 ? true : null));
    const shown = await until(
      () => video(videoId),
      (found) => found !== null,
    );
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(publishAt));
    expect(await statusOf(shown.playback.hlsUrl)).toBe(200);
    expect(await statusOf(hlsUrl)).toBe(404);
  }, 20_000);

  it('is not for who uploaded it and is no member of its channel any more', async () => {
    const former = await signUp();
    const { videoId, channelId } = await insertVideo(db, clip, { visibility: 'PRIVATE' });
    for (const { name } of clip.tracks) await insertSegments(db, storage, clip, videoId, name, [1]);
    const [session] = await db.query<{ id: string }>(
      `INSERT INTO upload_session (owner_id, channel_id, video_id, file_name, size_bytes, idempotency_key, input_hash, state)
       VALUES ($1, $2, $3, 'film.mp4', 1, '-', '', 'COMPLETED') RETURNING id`,
      [former.userId, channelId, videoId],
    );
    const { data } = await app.graphql<{ uploadSession: unknown }>(
      'query ($id: ID!) { uploadSession(id: $id) { video { title playback { hlsUrl } thumbnails { url } } } }',
      { id: encodeId('UploadSession', session?.id ?? '') },
      former.token,
    );
    expect(data.uploadSession).toEqual({ video: { title: 'A clip', playback: null, thumbnails: [] } });
  });

  it('ends for those who hold addresses when its owner makes it private', async () => {
    const owner = await signUp();
    const { videoId, channelId } = await insertVideo(db, clip, { state: 'READY' });
    await db.query('UPDATE channel_member SET user_id = $2 WHERE channel_id = $1', [channelId, owner.userId]);
    for (const { name } of clip.tracks) await insertSegments(db, storage, clip, videoId, name);
    const { hlsUrl } = (await video(videoId)).playback;
    const held = [
      hlsUrl,
      hlsUrl.replace('master.m3u8', 'r1/360p/1.m4s'),
      hlsUrl.replace('master.m3u8', 'r1/audio/init.mp4'),
    ];
    for (const url of held) expect([url, await statusOf(url)]).toEqual([url, 200]);
    const { data } = await app.graphql<{ updateVideo: unknown }>(
      `mutation ($input: UpdateVideoInput!) { updateVideo(input: $input) { video { visibility } userErrors { code } } }`,
      { input: { videoId: encodeId('Video', videoId), visibility: 'PRIVATE' } },
      owner.token,
    );
    expect(data?.updateVideo).toEqual({ video: { visibility: 'PRIVATE' }, userErrors: [] });
    await eventually(async () => ((await Promise.all(held.map(statusOf))).every((it) => it === 404) ? true : null));
    expect(await video(videoId)).toBeNull();
    expect(await statusOf((await video(videoId, owner.token)).playback.hlsUrl)).toBe(200);
  });
});

describe('the file to save', () => {
  const bytes = Buffer.from('not a film, but bytes all the same');

  it('comes whole or in part, under a name made of the title, for as long as it is allowed', async () => {
    const videoId = await finishedVideo();
    await db.query(`UPDATE video SET title = 'Tag am "Fluß": 1/2' WHERE id = $1`, [videoId]);
    const url = address(videoId, 'r1/download.mp4');
    expect(await statusOf(url)).toBe(404);
    await insertDownload(db, storage, videoId, bytes);
    const whole = await get(url);
    expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true);
    expect(Object.fromEntries(whole.headers)).toMatchObject({
      'content-disposition': `attachment; filename="Tag am Flu_ 1 2.mp4"; filename*=UTF-8''Tag%20am%20Flu%C3%9F%201%202.mp4`,
      'content-type': 'video/mp4',
      'content-length': `${bytes.length}`,
      'accept-ranges': 'bytes',
      'cache-control': 'private, no-store',
    });
    const etag = whole.headers.get('etag') ?? '';
    const rest = await get(url, { range: 'bytes=10-', 'if-range': etag });
    expect([rest.status, rest.headers.get('content-range')]).toEqual([
      206,
      `bytes 10-${bytes.length - 1}/${bytes.length}`,
    ]);
    expect(Buffer.from(await rest.arrayBuffer()).equals(bytes.subarray(10))).toBe(true);
    expect((await get(url, { 'if-none-match': etag })).status).toBe(304);
    const head = await get(url, {}, 'HEAD');
    expect([head.status, head.headers.get('content-length')]).toEqual([200, `${bytes.length}`]);
    await db.query('UPDATE video SET downloadable = false WHERE id = $1', [videoId]);
    expect(await statusOf(url)).toBe(404);
  });
});

describe('pictures', () => {
  it('come as they were stored, with a storyboard that points at them', async () => {
    const videoId = await finishedVideo();
    const poster = await get(address(videoId, 'r1/poster/0.jpg'));
    expect(poster.headers.get('content-type')).toBe('image/jpeg');
    expect(sha256(Buffer.from(await poster.arrayBuffer()))).toBe(sha256(clip.still));
    const track = await get(address(videoId, 'r1/storyboard.vtt'));
    expect(track.headers.get('content-type')).toBe('text/vtt; charset=utf-8');
    expect(await track.text()).toContain('00:00:02.000 --> 00:00:04.000\nstoryboard/0.jpg#xywh=80,0,80,90');
    expect((await get(address(videoId, 'r1/thumbnail/7.jpg'))).status).toBe(404);
  });
});

async function statusOf(url: string): Promise<number> {
  const answer = await get(url);
  await answer.arrayBuffer();
  return answer.status;
}

/** `fetch` would tidy the path up before it sends it. */
async function rawAnswer(url: string): Promise<string> {
  const { hostname, port, origin } = new URL(url);
  const sent = request({ hostname, port, path: url.slice(origin.length), agent: false }).end();
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return `${answer.statusCode} ${answer.headers['cache-control']} ${await body(answer)}`;
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

function pause(ms: number): Promise<'paused'> {
  return new Promise((resolve) => setTimeout(resolve, ms, 'paused'));
}

/** What `look` finds, asked again for up to 5 s. */
async function eventually<T>(look: () => Promise<T | null>): Promise<T> {
  for (const until = Date.now() + 5_000; Date.now() < until; await pause(100)) {
    const found = await look();
    if (found !== null) return found;
  }
  throw new Error('not within 5 s');
}
