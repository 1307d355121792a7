import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { addressesOf, statusesOf } from '../support/addresses.js';
import { type Answer, ApiClient, sha256, until } from '../support/client.js';
import { temporaryFolder } from '../support/index.js';
import { launchBrowser, play, seek, servePages, state, untilEnded } from './playback-page.js';

const SECONDS = 20;
const FRAMES = SECONDS * 30;
const HEIGHT = 360;

interface Installation {
  readonly url: string;
  remove(): Promise<void>;
}

/** Registers the tests of one upload as a person on a bad link does it, and of every player on what was made of it. */
export function playbackTests(start: () => Promise<Installation>): void {
  let folder: string;
  let installation: Installation;
  let browser: Browser;
  let pages: Awaited<ReturnType<typeof servePages>>;
  let client: ApiClient;
  let video: Answer;

  const run = (program: string, ...args: string[]) => promisify(execFile)(program, args, { timeout: 60_000 });

  /** Sends a real file as a person on a bad link would: out of order, and some of it twice. */
  beforeAll(async () => {
    folder = await temporaryFolder();
    const path = join(folder, 'film.mp4');
    [installation, browser, pages] = await Promise.all([
      start(),
      launchBrowser(),
      servePages(),
      run(
        'ffmpeg',
        ...['-nostdin', '-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=640x360:rate=30:duration=${SECONDS}`],
        ...['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=48000:duration=${SECONDS}`],
        ...['-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-shortest', path],
      ),
    ]);
    const file = await readFile(path);
    client = await ApiClient.signUp(installation.url);
    const channelId = await client.createChannel();
    const { session } = await client.createSession({ channelId, sizeBytes: file.length, sha256: sha256(file) });
    const [third, half] = [Math.floor(file.length / 3), Math.floor(file.length / 2)];
    await client.send(session.id, file, [[half, file.length]]);
    await client.send(session.id, file, [[third, half + 10_000]]);
    await client.send(session.id, file, [[0, third]]);
    const completed = await client.complete(session.id, sha256(file));
    expect(completed.userErrors).toEqual([]);
    video = await until(
      () => client.video(session.video.id),
      ({ state }) => state === 'READY' || state === 'FAILED',
    );
  }, 180_000);

  afterAll(async () => {
    await browser?.close();
    pages?.close();
    await installation?.remove();
    await rm(folder, { recursive: true });
  }, 60_000);

  it('is READY with a rung for every height', () => {
    expect(video).toMatchObject({
      state: 'READY',
      failure: null,
      durationMs: SECONDS * 1000,
      width: 640,
      height: HEIGHT,
    });
  });

  it('has every frame of its source in every rung, and sound of the same length', async () => {
    const base = video.playback.hlsUrl.replace('master.m3u8', '');
    const master = await text(video.playback.hlsUrl);
    const playlists = [...master.matchAll(/^(?:.*URI=")?(r\d+\/(\w+)\/index\.m3u8)/gm)];
    expect([...new Set(playlists.map(([, , name]) => name))].sort()).toEqual(['240p', '360p', 'audio']);
    for (const [, uri = '', name] of playlists) {
      const playlist = await text(base + uri);
      const parts = [...playlist.matchAll(/URI="(init\.mp4)"|^(\d+\.m4s)$/gm)].map(
        ([, init, segment]) => init ?? segment,
      );
      const track = join(folder, `${name}.mp4`);
      const bytes = await Promise.all(parts.map((part) => download(new URL(part ?? '', base + uri).href)));
      await writeFile(track, Buffer.concat(bytes));
      const { stdout } = await run(
        'ffprobe',
        ...[
          '-v',
          'error',
          '-count_frames',
          '-show_entries',
          'stream=codec_type,nb_read_frames,duration',
          '-of',
          'json',
          track,
        ],
      );
      const [stream] = JSON.parse(stdout).streams;
      if (stream.codec_type === 'video') expect([name, Number(stream.nb_read_frames)]).toEqual([name, FRAMES]);
      const listed = [...playlist.matchAll(/#EXTINF:([\d.]+)/g)].reduce((sum, [, seconds]) => sum + Number(seconds), 0);
      expect(listed).toBeCloseTo(SECONDS, 3);
    }
  }, 60_000);

  it('plays from start to end, and from wherever it is asked, in every player', async () => {
    const played = (['hls.js', 'shaka', 'dash.js'] as const).map(async (player) => {
      const { hlsUrl, dashUrl } = video.playback;
      const page = await play(browser, pages.url, player, player === 'hls.js' ? hlsUrl : dashUrl, HEIGHT);
      await untilEnded(page, 60_000);
      const atEnd = await state(page);
      for (const time of [15.2, 3.3, 11.99, 0, 19]) await seek(page, time);
      const { errors } = await state(page);
      await page.close();
      return { player, ...atEnd, errors };
    });
    for (const playback of await Promise.all(played)) {
      const { player, buffered, duration } = playback;
      expect(playback).toMatchObject({ player, errors: [], corrupted: 0, stalls: 0, width: 640, height: HEIGHT });
      expect({ player, holes: buffered.length - 1 }).toEqual({ player, holes: 0 });
      expect(buffered[0]?.[0]).toBe(0);
      expect(buffered[0]?.[1]).toBeCloseTo(SECONDS, 1);
      expect(duration).toBeCloseTo(SECONDS, 1);
    }
  }, 120_000);

  it('has one key frame to show for each segment, in a range of its own', async () => {
    const url = video.playback.hlsUrl.replace('master.m3u8', 'r1/240p/iframes.m3u8');
    expect(await text(video.playback.hlsUrl)).toContain('URI="r1/240p/iframes.m3u8"');
    const listed = [...(await text(url)).matchAll(/#EXT-X-BYTERANGE:(\d+)@0\n(\d+\.m4s)/g)];
    expect(listed).toHaveLength(SECONDS / 4);
    const init = await download(new URL('init.mp4', url).href);
    for (const [, length, uri = ''] of listed) {
      const part = await fetch(new URL(uri, url), { headers: { range: `bytes=0-${Number(length) - 1}` } });
      expect(part.status).toBe(206);
      const key = join(folder, 'key.mp4');
      const frames = async (bytes: Buffer) => {
        await writeFile(key, Buffer.concat([init, bytes]));
        const shown = ['-show_entries', 'frame=pict_type', '-of', 'csv=p=0'];
        return (await run('ffprobe', '-v', 'quiet', ...shown, key)).stdout
          .trim()
          .split(/[,\s]+/)
          .filter(Boolean);
      };
      const range = Buffer.from(await part.arrayBuffer());
      expect(await frames(range)).toEqual(['I']);
    }
  }, 60_000);

  it('ends within 10 s of going private for every address that was ever handed out, the file to save included', async () => {
    const update = (change: object) =>
      client.query('mutation ($input: UpdateVideoInput!) { updateVideo(input: $input) { userErrors { code } } }', {
        input: { videoId: video.id, ...change },
      });
    await update({ visibility: 'PUBLIC', downloadable: true });
    const stranger = new ApiClient(installation.url);
    const captured = await until(
      () => addressesOf(stranger, video.id),
      (urls) => urls.some((url) => url.endsWith('/download.mp4')),
    );
    // Three manifests, four playlists, three inits, fifteen segments, the file, and at least one picture of each kind.
    expect(captured.length).toBeGreaterThan(28);
    expect(new Set(await statusesOf(captured))).toEqual(new Set([200]));

    await update({ visibility: 'PRIVATE' });
    const began = performance.now();
    await until(
      () => statusesOf(captured),
      (statuses) => statuses.every((status) => status === 404),
    );
    expect(performance.now() - began).toBeLessThan(10_000);
    for (const headers of [{ range: 'bytes=0-0' }, { 'if-none-match': '*' }] as Record<string, string>[]) {
      expect(new Set(await statusesOf(captured, headers))).toEqual(new Set([404]));
    }
    expect((await addressesOf(client, video.id)).length).toBe(captured.length);
  }, 60_000);
}

async function download(url: string): Promise<Buffer> {
  const answer = await fetch(url);
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

const text = async (url: string) => (await download(url)).toString();
