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
import { launchBrowser, PLAYERS, play, seek, servePages, state, untilEnded } from './playback-page.js';

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

it('plays from start to end, and from wherever it is asked, in every player', async () => {
  const played = PLAYERS.map(async (player) => {
    const manifest = player === 'hls.js' ? `${media}/master.m3u8` : `${media}/manifest.mpd`;
    const page = await play(browser, pages.url, player, manifest, HEIGHT);
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
