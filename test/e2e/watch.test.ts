import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { Database } from '../../src/common/database/index.js';
import { encodeId } from '../../src/common/graphql/index.js';
import { addressBlock } from '../../src/common/http/index.js';
import { Live } from '../../src/common/live/index.js';
import { RateLimits } from '../../src/common/rate-limits/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { ViewsService } from '../../src/modules/views/index.js';
import { ViewFlush } from '../../src/modules/views/view-flush.js';
import { type Clip, insertSegments, insertStills, insertVideo, makeClip } from '../integration/streaming-clip.js';
import { until } from '../support/client.js';
import { startApp, type TestApp } from '../support/index.js';
import { launchBrowser } from './playback-page.js';

const SECONDS = 20;
const ALL = [1, 2, 3, 4, 5];

let folder: string;
let clip: Clip;
let app: TestApp;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-clip-'));
  // No worker: these tests say when something is made. Addresses end after 12 to 14 s.
  [clip, app, browser] = await Promise.all([
    makeClip(folder, SECONDS),
    startApp({ role: 'api', playbackSeconds: 12 }),
    launchBrowser(),
  ]);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await app?.stop();
  await rm(folder, { recursive: true });
});

/** Makes segments, and tells of it as transcoding does. */
async function make(videoId: string, made: Record<string, readonly number[]>): Promise<void> {
  for (const [track, numbers] of Object.entries(made)) {
    await insertSegments(app.get(Database), app.get(ObjectStorage), clip, videoId, track, numbers);
  }
  app.get(Live).tick(`segment:${videoId}`);
  app.get(Live).tick(`video:${videoId}`);
}

/** The watch page, playing at `rate`, with all that a viewer would take for a break written down. */
async function watched(
  videoId: string,
  rate: number,
  prepare: (page: Page) => Promise<void> = async () => undefined,
): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await prepare(page);
  await page.goto(`${app.url}/watch/${encodeURIComponent(encodeId('Video', videoId))}`);
  await shows(page, 'video.readyState >= 3');
  await page.evaluate(`{
    const video = document.querySelector('video');
    window.breaks = [];
    let last = 0;
    const note = (what) => { if (video.currentTime < video.duration - 0.5) breaks.push(what + ' at ' + video.currentTime); };
    for (const name of ['waiting', 'emptied', 'seeking', 'error', 'pause']) video.addEventListener(name, () => note(name));
    video.muted = true;
    video.playbackRate = ${rate};
    video.play().then(() => setInterval(() => {
      if (video.currentTime < last) note('back');
      if (video.readyState < 3) note('dry');
      if (video.buffered.length !== 1) note('hole');
      last = video.currentTime;
    }, 50));
  }`);
  await shows(page, 'video.currentTime > 0.3');
  return page;
}
/** Of the page's element. (Its content security policy lets nothing be evaluated that waits in the page.) */
const shows = (page: Page, condition: string) =>
  until(
    () =>
      page.evaluate<boolean>(
        `(() => { const video = document.querySelector('video'); return !!video && ${condition}; })()`,
      ),
    Boolean,
    100,
  );
const breaks = (page: Page) => page.evaluate<string[]>('breaks');

it('takes up a rung, previews and new addresses while it plays, without a break', async () => {
  const { videoId } = await insertVideo(app.get(Database), clip);
  await make(videoId, { '240p': [1, 2, 3], audio: ALL });
  // At half its speed, since its addresses are to end before its segments do.
  const page = await watched(videoId, 0.5);
  const first = await page.evaluate<string>(
    `performance.getEntriesByType('resource').find(({ name }) => name.endsWith('/planned.mpd')).name`,
  );
  expect((await fetch(first)).status).toBe(200);
  expect(await page.evaluate(`document.querySelector('video').videoHeight`)).toBe(240);

  // Asked for before it is there, by keyboard, and played once it is.
  await page.mouse.move(640, 300);
  await page.getByRole('button', { name: 'Quality: Auto' }).focus();
  await page.keyboard.press('Enter');
  const choices = page.getByRole('menu', { name: 'Quality' }).getByRole('menuitemradio');
  expect(await choices.allTextContents()).toEqual(['Auto240p', '360pwaiting', '240p60 %']);
  expect(await choices.nth(0).getAttribute('aria-checked')).toBe('true');
  await choices.nth(1).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Quality: 360p' }).waitFor();
  expect(await choices.nth(1).isVisible()).toBe(false);
  expect(await page.getByRole('progressbar', { name: '360p' }).getAttribute('value')).toBe('0');
  await make(videoId, { '360p': [1, 2, 3] });
  await shows(page, 'video.videoHeight === 360');
  expect(await page.getByRole('progressbar', { name: '360p' }).getAttribute('value')).toBe('0.6');

  await until(
    () => fetch(first),
    ({ status }) => status === 404,
  );
  // Still before the end of what there was.
  expect(await page.evaluate<number>(`document.querySelector('video').currentTime`)).toBeLessThan(11);
  await insertStills(app.get(Database), app.get(ObjectStorage), clip, videoId);
  await app.database.query(`UPDATE video SET state = 'READY' WHERE id = $1`, [videoId]);
  await make(videoId, { '240p': [4, 5], '360p': [4, 5] });
  // The track of previews is read some time after READY is told of.
  await until(async () => {
    await page.mouse.move(640, 400);
    await page.locator('.shaka-seek-bar-container').hover({ position: { x: 20, y: 3 } });
    return page.evaluate<number>(`document.querySelector('.shaka-player-ui-thumbnail-image')?.naturalWidth ?? 0`);
  }, Boolean);
  await page.evaluate(`document.querySelector('video').playbackRate = 2`);
  await shows(page, 'video.ended');
  expect(await breaks(page)).toEqual([]);
  expect(await page.getByRole('alert').allTextContents()).toEqual([]);
  await page.close();
}, 120_000);

/** The entry of the quality menu, also while that is closed. */
const entry = (page: Page, rung: string) =>
  page.locator('.qualities button', { has: page.locator('span', { hasText: new RegExp(`^${rung}$`) }) });
async function choose(page: Page, rung: string): Promise<void> {
  await page.mouse.move(640, 300);
  await page.getByRole('button', { name: 'Quality: Auto' }).focus();
  await page.keyboard.press('Enter');
  await entry(page, rung).focus();
  await page.keyboard.press('Enter');
}
const becomes = async (videoId: string, onDemand: string) => {
  await app.database.query(`UPDATE rendition SET on_demand = $2 WHERE video_id = $1 AND name = '360p'`, [
    videoId,
    onDemand,
  ]);
  app.get(Live).tick(`video:${videoId}`);
};
const onDemandOf = (videoId: string) =>
  app.database.query<{ state: string }>(
    `SELECT on_demand AS state FROM rendition WHERE video_id = $1 AND name = '360p'`,
    [videoId],
  );

it('has a rung made that its viewer chooses, plays another meanwhile, and takes it up once all of it is there', async () => {
  const { videoId } = await insertVideo(app.get(Database), clip, { state: 'READY' });
  await make(videoId, { '240p': ALL, audio: ALL });
  await becomes(videoId, 'ABSENT');
  const page = await watched(videoId, 0.5);
  expect(await entry(page, '360p').textContent()).toBe('360pmade when chosen');
  await choose(page, '360p');
  await page.getByRole('button', { name: 'Quality: 360p' }).waitFor();
  await until(
    () => entry(page, '360p').textContent(),
    (text) => text === '360pwaiting',
  );
  expect(await onDemandOf(videoId)).toEqual([{ state: 'ASKED' }]);
  await make(videoId, { '360p': [1, 2, 3, 4] });
  await until(
    () => entry(page, '360p').textContent(),
    (text) => text === '360p80 %',
  );
  expect(await page.evaluate(`document.querySelector('video').videoHeight`)).toBe(240);
  await make(videoId, { '360p': [5] });
  await becomes(videoId, 'MADE');
  await shows(page, 'video.videoHeight === 360');
  await page.evaluate(`document.querySelector('video').playbackRate = 2`);
  await shows(page, 'video.ended');
  expect(await breaks(page)).toEqual([]);
  expect(await page.getByRole('alert').allTextContents()).toEqual([]);
  await page.close();
}, 120_000);

it('says why a rung is not made, and goes on', async () => {
  const [{ videoId }, other] = await Promise.all([
    insertVideo(app.get(Database), clip, { state: 'READY' }),
    insertVideo(app.get(Database), clip),
  ]);
  await make(videoId, { '240p': ALL, audio: ALL });
  await becomes(videoId, 'ABSENT');
  // What waits of the same owner.
  await app.database.query('UPDATE video SET owner_id = (SELECT owner_id FROM video WHERE id = $1) WHERE id = $2', [
    videoId,
    other.videoId,
  ]);
  await app.database.query(
    `INSERT INTO rendition (video_id, run, name, kind, position, timescale, max_bits_per_second, segment_count, segment_duration,
                            total_duration, on_demand)
     SELECT video_id, run, n || 'p', kind, 10 + n, timescale, max_bits_per_second, segment_count, segment_duration, total_duration, 'ASKED'
     FROM rendition, generate_series(1, 8) n WHERE video_id = $1 AND name = '360p'`,
    [other.videoId],
  );
  const page = await watched(videoId, 0.5);
  const isToldOf = (words: string) => page.getByRole('alert').filter({ hasText: words }).waitFor();
  await choose(page, '360p');
  await isToldOf('360p is not made. Many renditions wait');
  await page.getByRole('button', { name: 'Quality: Auto' }).waitFor();
  await app.database.query(`DELETE FROM rendition WHERE video_id = $1`, [other.videoId]);

  const limit = { name: 'requestRendition', points: 30, seconds: 3_600 };
  const viewer = addressBlock('127.0.0.1');
  const left = await app.get(RateLimits).spend(limit, viewer, 0);
  const points = Number(/r=(\d+)/.exec(left.ratelimit ?? '')?.[1]);
  await app.get(RateLimits).spend(limit, viewer, points);
  await choose(page, '360p');
  await isToldOf('360p is not made. Too many requests');
  app.get(RateLimits).giveBack(limit, viewer, points);

  await choose(page, '360p');
  await until(
    () => onDemandOf(videoId),
    ([rung]) => rung?.state === 'ASKED',
  );
  await until(
    () => entry(page, '360p').textContent(),
    (text) => text === '360pwaiting',
  );
  await becomes(videoId, 'FAILED');
  await isToldOf('360p is not made. Something went wrong');
  expect(await entry(page, '360p').count()).toBe(0);
  await page.getByRole('button', { name: 'Quality: Auto' }).waitFor();
  expect(await breaks(page)).toEqual([]);
  await page.close();
}, 120_000);

it('counts as a view after three seconds that were played, told once, and again where nobody heard it', async () => {
  const { videoId } = await insertVideo(app.get(Database), clip, { state: 'READY' });
  await make(videoId, { '240p': ALL, '360p': ALL, audio: ALL });
  const views = async () => {
    await app.get(ViewFlush).flush();
    return (await app.get(ViewsService).countsOf([videoId])).get(videoId) ?? 0;
  };
  const told: number[] = [];
  const page = await watched(videoId, 1, async (page) => {
    await page.route('**/views/*', async (route) => {
      told.push(await page.evaluate<number>(`document.querySelector('video').currentTime`));
      if (told.length === 1) await route.fulfill({ status: 503 });
      else await route.continue();
    });
  });
  await page.evaluate(`document.querySelector('video').pause()`);
  expect(await views()).toBe(0);
  await page.evaluate(`document.querySelector('video').play()`);
  await until(views, Boolean);
  expect(told[0]).toBeGreaterThanOrEqual(3);
  await page.evaluate(
    `{ const video = document.querySelector('video'); video.playbackRate = 4; video.currentTime = 12; }`,
  );
  await shows(page, 'video.ended');
  expect(told).toHaveLength(2);
  expect(await views()).toBe(1);
  await page.close();
}, 60_000);

it('comes back by itself from addresses that were ended while it played', async () => {
  const { videoId } = await insertVideo(app.get(Database), clip);
  await make(videoId, { '240p': [1, 2], audio: ALL });
  const page = await watched(videoId, 2);
  await app.database.query('UPDATE video SET access_epoch = access_epoch + 1 WHERE id = $1', [videoId]);
  await make(videoId, { '240p': [3, 4, 5] });
  await shows(page, 'video.currentTime > 9');
  await page.close();
}, 60_000);

it('ends within 10 s of the video going private, also where all of it was loaded, and says so', async () => {
  // Of addresses that last: nothing but the stream of its state tells.
  const ending = app;
  app = await startApp({ role: 'api' });
  try {
    const { videoId } = await insertVideo(app.get(Database), clip, { state: 'READY' });
    await make(videoId, { '240p': ALL, '360p': ALL, audio: ALL });
    const page = await watched(videoId, 0.5);
    await shows(page, `video.buffered.end(0) > ${SECONDS - 0.5}`);
    // Nothing is said of it to those who listen: it is looked at all the same.
    await app.database.query(`UPDATE video SET access_epoch = access_epoch + 1, visibility = 'PRIVATE' WHERE id = $1`, [
      videoId,
    ]);
    await page.getByText('This video is not available any more').waitFor({ timeout: 10_000 });
    expect(await page.locator('video').count()).toBe(0);
    await page.close();
  } finally {
    await app.stop();
    app = ending;
  }
}, 60_000);
