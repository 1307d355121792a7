import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { Database } from '../../src/common/database/index.js';
import { encodeId } from '../../src/common/graphql/index.js';
import { Live } from '../../src/common/live/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { signToken } from '../../src/modules/streaming/playback-token.js';
import {
  changeRung,
  launchBrowser,
  type Playback,
  type PlayerName,
  play,
  renew,
  seek,
  servePages,
  state,
  untilEnded,
} from '../e2e/playback-page.js';
import { type Clip, insertSegments, insertVideo, makeClip } from '../integration/streaming-clip.js';
import { startApp, type TestApp } from '../support/index.js';

const SECONDS = 12;
const ALL = [1, 2, 3];
type Address = 'hlsUrl' | 'dashUrl';
/** Both manifests, and every player that most front ends are made with. */
const CASES: readonly (readonly [PlayerName, Address])[] = [
  ['hls.js', 'hlsUrl'],
  ['video.js', 'hlsUrl'],
  ['shaka', 'hlsUrl'],
  ['shaka', 'dashUrl'],
  ['dash.js', 'dashUrl'],
];
type Played = Playback & { name: string };

let folder: string;
let clip: Clip;
let app: TestApp;
let browser: Browser;
let pages: Awaited<ReturnType<typeof servePages>>;
let finished: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-clip-'));
  // No worker: these tests say when something is made.
  [clip, app, browser, pages] = await Promise.all([
    makeClip(folder, SECONDS),
    startApp({ role: 'api' }),
    launchBrowser(),
    servePages(),
  ]);
  finished = (await insertVideo(app.get(Database), clip, { state: 'READY' })).videoId;
  await make(finished, ALL);
}, 120_000);

afterAll(async () => {
  await browser?.close();
  pages?.close();
  await app?.stop();
  await rm(folder, { recursive: true });
});

async function make(videoId: string, numbers: readonly number[]): Promise<void> {
  for (const { name } of clip.tracks) {
    await insertSegments(app.get(Database), app.get(ObjectStorage), clip, videoId, name, numbers);
  }
  app.get(Live).tick(`segment:${videoId}`);
}

async function addressesOf(videoId: string): Promise<Record<Address, string>> {
  const { data } = await app.graphql<{ video: { playback: Record<Address, string> } }>(
    'query ($id: ID!) { video(id: $id) { playback { hlsUrl dashUrl } } }',
    { id: encodeId('Video', videoId) },
  );
  if (!data?.video.playback) throw new Error('nothing plays');
  return data.video.playback;
}

/** Opens the video in every player at once, does `what` in each, waits for the end, and says what each of them saw. */
async function inEvery(
  videoId: string,
  height: number | null,
  rate: number,
  what: (page: Page, by: Address) => Promise<unknown> = async () => {},
  addresses: Record<Address, string> | null = null,
): Promise<Played[]> {
  const at = addresses ?? (await addressesOf(videoId));
  return Promise.all(
    CASES.map(async ([player, by]) => {
      const name = `${player} ${by}`;
      const page = await play(browser, pages.url, player, at[by], height, rate);
      try {
        await what(page, by);
        await untilEnded(page, 60_000);
        return { name, ...(await state(page)) };
      } catch (error) {
        throw new Error(`${name}: ${JSON.stringify(await state(page))}`, { cause: error });
      } finally {
        await page.close();
      }
    }),
  );
}

/** hls.js tells of every wait as well, and goes on. */
const grave = (error: string) => !/ false$/.test(error);

/** Nothing went wrong, and of what was loaded nothing is missing in between. */
function expectWhole(played: readonly Played[]): void {
  for (const { name, errors, corrupted, ended, buffered, duration } of played) {
    expect({ name, errors: errors.filter(grave), corrupted, ended, ranges: buffered.length }).toEqual({
      ...{ name, errors: [], corrupted: 0, ended: true, ranges: 1 },
    });
    expect(buffered[0]?.[1]).toBeCloseTo(SECONDS, 1);
    expect(duration).toBeCloseTo(SECONDS, 1);
  }
}

describe('a finished video', () => {
  it.each([240, 360])('plays at %ip from start to end without running dry', async (height) => {
    const played = await inEvery(finished, height, 2);
    expectWhole(played);
    for (const { name, stalls, buffered, ...playback } of played) {
      expect({ name, stalls, height: playback.height, from: buffered[0]?.[0] }).toEqual({
        ...{ name, stalls: 0, height, from: 0 },
      });
    }
  }, 90_000);

  it('changes its rung, and plays on from wherever it is asked, ten times', async () => {
    const times = [9.2, 3.3, 7.99, 11, 8, 4.01, 10.5, 3.97, 6.4, 0];
    // Slowly at first, so that the end does not come before the other rung.
    const played = await inEvery(finished, 240, 0.5, async (page) => {
      await page.waitForFunction('video.currentTime > 0.2');
      await changeRung(page, 360);
      await page.evaluate('video.playbackRate = 2');
      for (const time of times) await seek(page, time);
    });
    expectWhole(played);
  }, 120_000);

  it('shows its picture also to who takes the link for too slow, and not the sound alone', async () => {
    const played = await inEvery(finished, null, 2);
    expectWhole(played);
    expect(played.filter(({ height }) => height === 0)).toEqual([]);
  }, 90_000);
});

describe('a video that is still being made', () => {
  async function begun(): Promise<string> {
    const { videoId } = await insertVideo(app.get(Database), clip);
    await make(videoId, [1]);
    return videoId;
  }
  const seconds = (count: number) => new Promise((resolve) => setTimeout(resolve, count * 1000));

  it('plays to its end in another rung and with other addresses than it began with, and slower than it is made', async () => {
    const videoId = await begun();
    const newest = await addressesOf(videoId);
    const token = signToken(app.config.playbackSecret, videoId, { epoch: 1, expiresAt: 2 ** 33 });
    const older = (url: string) => url.replace(/\/media\/[^/]+\//, `/media/${token}/`);
    const last: string[] = [];
    let playing = CASES.length;
    const begin = async (page: Page, by: Address) => {
      await page.waitForFunction('video.currentTime > 0.2');
      await renew(page, newest[by]);
      page.on('request', (asked) => asked.url().endsWith('/3.m4s') && last.push(asked.url()));
      await Promise.all([
        changeRung(page, 360),
        // Longer in the making than a request is held.
        page.waitForResponse((answer) => answer.url().endsWith('/360p/2.m4s') && answer.status() === 503),
      ]);
      playing -= 1;
      if (playing > 0) return;
      await make(videoId, [2]);
      await seconds(6);
      await make(videoId, [3]);
    };
    const before = { hlsUrl: older(newest.hlsUrl), dashUrl: older(newest.dashUrl) };
    const played = await inEvery(videoId, 240, 1, begin, before);
    expectWhole(played);
    expect(played.map(({ height }) => height)).toEqual(played.map(() => 360));
    expect(last.length).toBeGreaterThanOrEqual(CASES.length);
    expect(last.filter((url) => url.includes(token))).toEqual([]);
  }, 120_000);

  it('plays from where nothing is yet, once it is there', async () => {
    const videoId = await begun();
    const played = inEvery(videoId, 240, 1, async (page) => {
      await page.waitForFunction('video.currentTime > 0.2');
      await seek(page, 9);
    });
    await seconds(4);
    await make(videoId, [3]);
    await seconds(2);
    await make(videoId, [2]);
    for (const { name, errors, corrupted, ended } of await played) {
      expect({ name, errors: errors.filter(grave), corrupted, ended }).toEqual({
        ...{ name, errors: [], corrupted: 0, ended: true },
      });
    }
  }, 120_000);
});
