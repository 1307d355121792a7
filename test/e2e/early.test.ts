import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { clip } from '../integration/transcoding-clips.js';
import { patch } from '../support/append.js';
import { ApiClient, sha256, startApp, type TestApp, temporaryFolder, until } from '../support/index.js';
import { launchBrowser } from './playback-page.js';

/** What the owner of a film sees of it while it still arrives. */

let folder: string;
let film: Buffer;
let app: TestApp;
let browser: Browser;

beforeAll(async () => {
  folder = await temporaryFolder();
  const noisy = ['-vf', 'noise=alls=24:allf=t', '-b:v', '1M', '-g', '60'];
  const file = await clip(folder, 'film.mp4', { frames: 900, fps: '30', size: '320x240', more: noisy });
  const front = join(folder, 'front.mp4');
  await promisify(execFile)('ffmpeg', ['-v', 'error', '-i', file, '-c', 'copy', '-movflags', '+faststart', front]);
  film = await readFile(front);
  [app, browser] = await Promise.all([startApp({ encodeConcurrency: 2 }), launchBrowser()]);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await app?.stop();
  await rm(folder, { recursive: true });
});

async function signIn(page: Page, email: string): Promise<void> {
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password').fill('correct horse battery');
  await page.getByRole('button', { name: 'Sign in' }).click();
}
const shows = (page: Page, condition: string) =>
  until(
    () =>
      page.evaluate<boolean>(
        `(() => { const video = document.querySelector('video'); return !!video && ${condition}; })()`,
      ),
    Boolean,
    100,
  );

it('is watched by its owner before its last byte is sent, and to its end without a reload; by nobody else', async () => {
  const ada = await ApiClient.signUp(app.url);
  const input = { channelId: await ada.createChannel(), sizeBytes: film.length, visibility: 'PUBLIC' };
  const { session } = await ada.createSession(input);
  const { uploadSession } = await ada.query('query ($id: ID!) { uploadSession(id: $id) { tusUrl } }', {
    id: session.id,
  });
  const send = async (start: number, end: number) => {
    const { status } = await patch(`${uploadSession.tusUrl}/ranges`, start, film.subarray(start, end));
    expect(status).toBe(204);
  };
  const [page, stranger] = await Promise.all([browser.newPage(), browser.newPage()]);
  const address = `${app.url}/watch/${encodeURIComponent(session.video.id)}`;
  await Promise.all([page.goto(address), stranger.goto(address)]);
  await signIn(page, ada.email as string);
  const upload = page.getByRole('progressbar', { name: 'Upload' });
  await upload.waitFor();
  expect(await page.locator('video').count()).toBe(0);

  const most = Math.floor(film.length * 0.6);
  await send(0, most);
  // The page began by itself: it had waited for its video.
  await page.evaluate(`window.stays = true`);
  await shows(page, 'video.readyState >= 3');
  await page.evaluate(
    `(() => { const video = document.querySelector('video'); video.muted = true; return video.play(); })()`,
  );
  await shows(page, 'video.currentTime > 2');
  expect((await ada.session(session.id)).state).toBe('OPEN');
  expect(await stranger.locator('video').count()).toBe(0);
  await stranger.reload();
  await stranger.getByText('This video is private, or does not exist').waitFor();

  await send(most, film.length);
  await ada.complete(session.id, sha256(film));
  await page.evaluate(`document.querySelector('video').playbackRate = 4`);
  await shows(page, 'video.ended && Math.abs(video.duration - 30) < 0.2');
  expect(await page.evaluate(`window.stays`)).toBe(true);
  expect(await page.getByRole('alert').allTextContents()).toEqual([]);
  await stranger.reload();
  await shows(stranger, 'video.readyState >= 3');
}, 180_000);
