import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { CONFIG, type Config } from '../../src/common/config/index.js';
import { Database } from '../../src/common/database/index.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { signToken } from '../../src/modules/streaming/playback-token.js';
import { type Clip, insertSegments, insertVideo, makeClip } from '../integration/streaming-clip.js';
import { startApp } from '../integration/streaming-start.js';
import { launchBrowser, PLAYERS, play, seek, servePages, state } from './playback-page.js';

const SECONDS = 20;
const HEIGHT = 360;

let folder: string;
let clip: Clip;
let started: Awaited<ReturnType<typeof startApp>>;
let browser: Browser;
let pages: Awaited<ReturnType<typeof servePages>>;
let media: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-clip-'));
  [clip, started, browser, pages] = await Promise.all([
    makeClip(folder, SECONDS),
    startApp(),
    launchBrowser(),
    servePages(),
  ]);
  const db = started.app.get(Database, { strict: false });
  const storage = started.app.get(ObjectStorage, { strict: false });
  const { playbackSecret } = started.app.get<Config>(CONFIG, { strict: false });
  const { videoId } = await insertVideo(db, clip, { state: 'READY' });
  for (const { name } of clip.tracks) await insertSegments(db, storage, clip, videoId, name);
  const expiresAt = Math.floor(Date.now() / 1000) + 3600;
  media = `${started.url}/media/${signToken(playbackSecret, videoId, { epoch: 1, expiresAt })}/${videoId}`;
}, 60_000);

afterAll(async () => {
  await browser.close();
  pages.close();
  await started.app.close();
  await rm(folder, { recursive: true });
});

it.each(PLAYERS)('%s plays the clip from its start to its end, and from wherever it is asked', async (player) => {
  const manifest = player === 'hls.js' ? `${media}/master.m3u8` : `${media}/manifest.mpd`;
  const page = await play(browser, pages.url, player, manifest, HEIGHT);
  await page.waitForFunction(() => window.state().ended, undefined, { timeout: 60_000 });
  const end = await state(page);
  expect(end).toMatchObject({ errors: [], corrupted: 0, stalls: 0, width: 640, height: HEIGHT });
  expect(end.buffered).toHaveLength(1);
  const [[from, to] = [Number.NaN, Number.NaN]] = end.buffered;
  expect(from).toBe(0);
  expect(to).toBeCloseTo(SECONDS, 1);
  expect(end.duration).toBeCloseTo(SECONDS, 1);

  for (const time of [15.2, 3.3, 11.99, 0, 19]) await seek(page, time);
  expect((await state(page)).errors).toEqual([]);
  await page.close();
}, 120_000);
