import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Database } from '../../src/common/database/index.js';
import { Live } from '../../src/common/live/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { signToken } from '../../src/modules/streaming/playback-token.js';
import { segmentTopic } from '../../src/modules/transcoding/index.js';
import { type Clip, insertSegments, insertStills, insertVideo, makeClip } from '../integration/streaming-clip.js';
import { type Edge, freePort, startApp, startEdge, type TestApp } from '../support/index.js';
import { startLink } from '../support/link.js';

const HOUR = 3600;
const ORIGIN = 'https://player.example.org';

let folder: string;
let clip: Clip;
let app: TestApp;
let edge: Edge;
let db: Database;
let storage: ObjectStorage;
/** What reached the app, in order: `METHOD /path`. */
const arrived: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-clip-'));
  const port = await freePort();
  [clip, app] = await Promise.all([
    makeClip(folder, 9),
    startApp({ role: 'api', publicUrl: `http://127.0.0.1:${port}`, trustProxy: 1, corsOrigins: [ORIGIN] }),
  ]);
  edge = await startEdge({ apis: [app.url], port });
  db = app.get(Database);
  storage = app.get(ObjectStorage);
  app.nest.getHttpServer().on('request', ({ method, url }: { method: string; url: string }) => {
    arrived.push(`${method} ${url}`);
  });
}, 60_000);

afterAll(async () => {
  await edge.stop();
  await app.stop();
  await rm(folder, { recursive: true });
});

interface Grant {
  epoch?: number;
  expiresAt?: number;
}

function token(videoId: string, { epoch = 1, expiresAt = Math.floor(Date.now() / 1000) + HOUR }: Grant = {}): string {
  return signToken(app.config.playbackSecret, videoId, { epoch, expiresAt });
}

const path = (videoId: string, file: string, grant?: Grant) => `/media/${token(videoId, grant)}/${videoId}/${file}`;
const get = (address: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${edge.url}${address}`, { headers, method });
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

/** As it stands: `fetch` would tidy the path up first. */
function rawStatus(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(edge.url);
    const sent = request({ hostname, port, path: address }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0));
    });
    sent.once('error', reject).end();
  });
}

/** How often the app was asked for these bytes, and not only whether they may be seen. */
const fetched = (file: string) =>
  arrived.filter((line) => line.startsWith('GET /media/') && line.endsWith(file)).length;

async function finishedVideo(visibility = 'PUBLIC'): Promise<string> {
  const { videoId } = await insertVideo(db, clip, { visibility, state: 'READY' });
  for (const { name } of clip.tracks) await insertSegments(db, storage, clip, videoId, name);
  await insertStills(db, storage, clip, videoId);
  return videoId;
}

describe('what is immutable', () => {
  it('is fetched once for all tokens, and the same in every byte', async () => {
    const videoId = await finishedVideo();
    for (const file of ['r1/360p/1.m4s', 'r1/360p/init.mp4', 'r1/audio/2.m4s', 'r1/poster/0.jpg']) {
      const direct = await fetch(`${app.url}${path(videoId, file)}`);
      const bytes = await bytesOf(direct);
      arrived.length = 0;
      for (const expiresIn of [HOUR, 2 * HOUR, 3 * HOUR]) {
        const expiresAt = Math.floor(Date.now() / 1000) + expiresIn;
        const answer = await get(path(videoId, file, { expiresAt }));
        expect(answer.status).toBe(200);
        for (const name of ['etag', 'content-type', 'content-length', 'cache-control', 'x-content-type-options'])
          expect([name, answer.headers.get(name)]).toEqual([name, direct.headers.get(name)]);
        expect((await bytesOf(answer)).equals(bytes)).toBe(true);
      }
      expect(fetched(file)).toBe(1);
    }
  });

  it('is served in ranges and conditionally from the whole that is kept', async () => {
    const videoId = await finishedVideo();
    const file = 'r1/360p/2.m4s';
    const whole = await bytesOf(await fetch(`${app.url}${path(videoId, file)}`));
    arrived.length = 0;
    // The first to ask wants a part, and still the whole is kept.
    const first = await get(path(videoId, file), { range: 'bytes=10-99' });
    expect([first.status, first.headers.get('content-range')]).toEqual([206, `bytes 10-99/${whole.length}`]);
    expect((await bytesOf(first)).equals(whole.subarray(10, 100))).toBe(true);

    const again = await get(path(videoId, file), { range: 'bytes=-5' });
    expect(again.status).toBe(206);
    expect((await bytesOf(again)).equals(whole.subarray(-5))).toBe(true);
    expect((await get(path(videoId, file), { range: `bytes=${whole.length}-` })).status).toBe(416);
    const etag = again.headers.get('etag') ?? '';
    expect((await get(path(videoId, file), { 'if-none-match': etag })).status).toBe(304);
    expect((await get(path(videoId, file), { 'if-none-match': '"other"' })).status).toBe(200);
    expect((await get(path(videoId, file), { 'if-range': etag, range: 'bytes=0-0' })).status).toBe(206);
    expect((await get(path(videoId, file), { 'if-range': '"other"', range: 'bytes=0-0' })).status).toBe(200);
    const head = await get(path(videoId, file), {}, 'HEAD');
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(whole.length)]);
    // A query says nothing, so it makes no second copy.
    expect((await get(`${path(videoId, file)}?again=1`)).status).toBe(200);
    expect(fetched(file)).toBe(1);
  });

  it('asked for by a crowd is fetched once', async () => {
    const videoId = await finishedVideo();
    arrived.length = 0;
    const file = 'r1/240p/2.m4s';
    const answers = await Promise.all(Array.from({ length: 40 }, () => get(path(videoId, file))));
    const sizes = await Promise.all(answers.map(async (answer) => (await bytesOf(answer)).length));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(sizes).size).toBe(1);
    expect(fetched(file)).toBe(1);
  });

  it('carries the permissions of who asks, not of who asked first', async () => {
    const videoId = await finishedVideo();
    const address = path(videoId, 'r1/360p/1.m4s');
    const none = await get(address);
    expect(none.headers.get('access-control-allow-origin')).toBeNull();
    const ours = await get(address, { origin: ORIGIN, 'x-request-id': 'request-of-mine' });
    expect(ours.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    expect(ours.headers.get('access-control-expose-headers')).toMatch(/Content-Range/);
    expect(ours.headers.get('vary')).toMatch(/Origin/i);
    expect(ours.headers.get('x-request-id')).toBe('request-of-mine');
    const others = await get(address, { origin: 'https://elsewhere.example.org' });
    expect(others.headers.get('access-control-allow-origin')).toBeNull();
    expect(others.headers.get('x-request-id')).not.toBe('request-of-mine');
    const refused = await get(path(videoId, 'r1/360p/1.m4s', { epoch: 7 }), { origin: ORIGIN });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([404, ORIGIN]);
    const preflight = await fetch(`${edge.url}${address}`, {
      method: 'OPTIONS',
      headers: { origin: ORIGIN, 'access-control-request-method': 'GET', 'access-control-request-headers': 'range' },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, ORIGIN]);
    expect(preflight.headers.get('access-control-allow-headers')).toMatch(/range/i);
  });
});

describe('what is kept', () => {
  let videoId: string;
  let otherId: string;
  const file = 'r1/360p/1.m4s';
  beforeAll(async () => {
    [videoId, otherId] = [await finishedVideo(), await finishedVideo()];
    for (const id of [videoId, otherId]) expect((await get(path(id, file))).status).toBe(200);
  });

  it.each<[string, () => string]>([
    ['no token', () => `/media/${videoId}/${file}`],
    ['an empty token', () => `/media//${videoId}/${file}`],
    ['a token that has ended', () => path(videoId, file, { expiresAt: Math.floor(Date.now() / 1000) - 1 })],
    ['a token of another epoch', () => path(videoId, file, { epoch: 2 })],
    ["another video's token", () => `/media/${token(otherId)}/${videoId}/${file}`],
    ['a token with another end', () => `/media/${token(videoId).replace(/^\d+/, '9999999999')}/${videoId}/${file}`],
    ['a token that is cut', () => `/media/${token(videoId).slice(0, -1)}/${videoId}/${file}`],
    ['another run', () => path(videoId, 'r2/360p/1.m4s')],
    ['traversal from a video of ours', () => `/media/${token(otherId)}/${otherId}/../${videoId}/${file}`],
    ['encoded traversal', () => `/media/${token(otherId)}/${otherId}/%2e%2e/${videoId}/${file}`],
    ['encoded slashes', () => `/media/${token(otherId)}/${otherId}%2f..%2f${videoId}%2f${file}`],
    ['twice encoded traversal', () => `/media/${token(otherId)}/${otherId}/%252e%252e/${videoId}/${file}`],
    ['a slash of another kind', () => `/media/${token(otherId)}/${otherId}\\..\\${videoId}/${file}`],
    [
      'a token in front of another',
      () => `/media/${token(otherId)}/${otherId}/media/${token(videoId, { epoch: 3 })}/${videoId}/${file}`,
    ],
    [
      'a query that looks like a path',
      () => `/media/${token(otherId)}/${videoId}/${file}?/media/${token(videoId)}/${videoId}/${file}`,
    ],
    ['a fragment', () => `/media/${token(otherId)}/${videoId}/${file}#${token(videoId)}`],
    ['an end of line', () => `/media/${token(otherId)}/${videoId}/${file}%0a`],
  ])('is not given to %s', async (_, address) => {
    expect(await rawStatus(address())).toBe(404);
  });

  it.each<[string, () => string]>([
    ['the edge itself has for it', () => '/edge/access'],
    ['sockets have', () => '/edge/socket'],
    ['the app has for it', () => `/media-access/${token(videoId)}/${videoId}/1`],
    ['the app has, encoded', () => `/%6dedia-access/${token(videoId)}/${videoId}/1`],
    ['the app has, by a detour', () => `/media/x/../../media-access/${token(videoId)}/${videoId}/1`],
  ])('cannot be asked for at the address that %s', async (_, address) => {
    arrived.length = 0;
    expect(await rawStatus(address())).toBe(404);
    expect(arrived).toEqual([]);
  });

  it('cannot be had by headers that the question might carry', async () => {
    const good = path(videoId, file);
    const headers = { 'x-original-uri': good, 'x-original-url': good, 'x-rewrite-url': good, 'x-accel-redirect': good };
    expect((await get(path(videoId, file, { epoch: 2 }), headers)).status).toBe(404);
  });

  it('is the same by a spelling that means the same', async () => {
    expect(await rawStatus(`/media/./${token(videoId)}//${videoId}/%72${file.slice(1)}`)).toBe(200);
  });

  it('is gone from every address within 10 s when the video goes private', async () => {
    const addresses = [HOUR, 2 * HOUR].map((life) =>
      path(videoId, file, { expiresAt: Math.floor(Date.now() / 1000) + life }),
    );
    const statuses = () => Promise.all(addresses.map((address) => get(address).then(({ status }) => status)));
    expect(await statuses()).toEqual([200, 200]);
    await db.query(`UPDATE video SET visibility = 'PRIVATE', access_epoch = access_epoch + 1 WHERE id = $1`, [videoId]);
    const begun = performance.now();
    while ((await statuses()).includes(200)) {
      expect(performance.now() - begun).toBeLessThan(10_000);
      await pause(100);
    }
    // Asked for all the time, so no answer was kept for longer because it was in use.
    expect(performance.now() - begun).toBeLessThan(6_000);
    // Whoever still may see it has a new address, and the bytes are still here.
    arrived.length = 0;
    expect((await get(path(videoId, file, { epoch: 2 }))).status).toBe(200);
    expect(fetched(file)).toBe(0);
  });
});

describe('what is not kept', () => {
  it('manifests', async () => {
    const videoId = await finishedVideo();
    for (const file of ['master.m3u8', 'manifest.mpd', 'r1/360p/index.m3u8', 'r1/storyboard.vtt']) {
      arrived.length = 0;
      for (let k = 0; k < 2; k++) {
        const answer = await get(path(videoId, file), { 'accept-encoding': 'gzip' });
        expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'private, no-store']);
        await answer.text();
      }
      expect(fetched(file)).toBe(2);
    }
    const playlist = await get(path(videoId, 'manifest.mpd'), { 'accept-encoding': 'gzip' });
    expect(playlist.headers.get('content-encoding')).toBe('gzip');
  });

  it('what is not there, and what is still being made', async () => {
    const { videoId } = await insertVideo(db, clip);
    await insertSegments(db, storage, clip, videoId, '240p', [1]);
    // Not in the plan.
    expect((await get(path(videoId, 'r1/240p/99.m4s'))).status).toBe(404);
    // In the plan: held by the app, and given as soon as it is made, to one and all.
    const file = 'r1/240p/2.m4s';
    arrived.length = 0;
    const held = [get(path(videoId, file)), get(path(videoId, file))];
    while (fetched(file) === 0) await pause(20);
    await insertSegments(db, storage, clip, videoId, '240p', [2]);
    app.get(Live).tick(segmentTopic(videoId));
    for (const answer of await Promise.all(held)) expect(answer.status).toBe(200);
    expect(fetched(file)).toBe(1);
  });

  it('an answer that says: later', async () => {
    const { videoId } = await insertVideo(db, clip);
    await insertSegments(db, storage, clip, videoId, '240p', [1]);
    const file = 'r1/240p/3.m4s';
    const later = await get(path(videoId, file));
    expect([later.status, later.headers.get('retry-after')]).toEqual([503, '1']);
    await insertSegments(db, storage, clip, videoId, '240p', [3]);
    expect((await get(path(videoId, file))).status).toBe(200);
  });

  it('anything while the app cannot be asked', async () => {
    const videoId = await finishedVideo();
    const address = path(videoId, 'r1/360p/1.m4s');
    const link = await startLink(app.url);
    const lonely = await startEdge({ apis: [link.url] });
    try {
      expect((await fetch(`${lonely.url}${address}`)).status).toBe(200);
      link.stop();
      const answers: Response[] = [];
      do answers.push(await fetch(`${lonely.url}${address}`));
      while (answers.at(-1)?.status === 200 && answers.length < 1000 && (await pause(50)) === undefined);
      const last = answers.at(-1) as Response;
      expect([last.status, last.headers.get('retry-after')]).toEqual([503, '1']);
      expect(lonely.output()).not.toContain(token(videoId).slice(-43));
    } finally {
      link.stop();
      await lonely.stop();
    }
  });
});
