import { rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { makeClip, padded } from '../support/clip.js';
import {
  ApiClient,
  type Link,
  sha256,
  startApp,
  startLink,
  type TestApp,
  temporaryFolder,
  until,
} from '../support/index.js';
import { brokenInvariants, digestOf, storageOf, storeDifferences } from '../support/invariants.js';
import { launchBrowser } from './playback-page.js';
import { serveUploadPages, type UploadPages } from './upload-pages.js';

/** Uploads from pages of another origin, over a link that is cut, in a real browser. */

const MiB = 2 ** 20;
const SIZE = 16 * MiB;

let app: TestApp;
let browser: Browser;
let pages: UploadPages;
let link: Link;
let folder: string;
let clip: Buffer;
let ada: ApiClient;

beforeAll(async () => {
  link = await startLink(() => app.url);
  [app, browser, pages, folder, clip] = await Promise.all([
    startApp({ publicUrl: link.url }),
    launchBrowser(),
    serveUploadPages(),
    temporaryFolder(),
    makeClip({ seconds: 1, size: '256x144' }),
  ]);
});
afterAll(async () => {
  await browser.close();
  pages.close();
  link.stop();
  expect(await brokenInvariants(app.database)).toEqual({});
  expect(await storeDifferences(app.database, storageOf(app.config.dataDir))).toEqual([]);
  await app.stop();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  link.bytesPerSecond = link.cutEveryBytes = Number.POSITIVE_INFINITY;
  ada = await ApiClient.signUp(app.url);
  await ada.createChannel();
});

/** A playable file of this size, on disk, with a content of its own. */
async function makeFile(name: string): Promise<{ path: string; digest: string }> {
  const path = join(folder, name);
  const bytes = padded(clip, SIZE);
  await writeFile(path, bytes);
  return { path, digest: sha256(bytes) };
}

async function open(name: string, path: string, options: object = {}, context?: BrowserContext): Promise<Page> {
  const page = await (context ?? (await browser.newContext())).newPage();
  await page.goto(`${pages.url}/${name}`);
  await page.locator('input[type=file]').setInputFiles(path);
  await page.evaluate(`begin(${JSON.stringify({ endpoint: `${link.url}/tus`, token: ada.token, ...options })})`);
  return page;
}

const done = (page: Page) => page.waitForFunction('page.done || page.error', undefined, { timeout: 60_000 });

/** What became of the user's only upload. */
async function outcome(): Promise<{ state: string; digest: string | null }> {
  const { viewer } = await until(
    () => ada.query('{ viewer { uploadSessions(first: 2) { nodes { id state video { state } } } } }'),
    (answer) => answer.viewer.uploadSessions.nodes.some(({ state }: { state: string }) => state === 'COMPLETED'),
  );
  expect(viewer.uploadSessions.nodes).toHaveLength(1);
  const [session] = viewer.uploadSessions.nodes;
  const [row] = await app.database.query<{ key: string }>(
    'SELECT master_key AS key FROM upload_session WHERE id = $1',
    [Buffer.from(session.id, 'base64url').toString().split(':')[1]],
  );
  return { state: session.state, digest: row ? await digestOf(storageOf(app.config.dataDir), row.key) : null };
}

describe.each(['tus', 'uppy-tus'])('stock clients: %s', (name) => {
  it('finishes over a link that is cut again and again', async () => {
    const { path, digest } = await makeFile(`${name} cuts.mp4`);
    link.bytesPerSecond = 16 * MiB;
    link.cutEveryBytes = 3 * MiB;
    const before = link.cuts;
    const page = await open(name, path);
    await done(page);
    expect(await page.evaluate('page.error')).toBeNull();
    expect(link.cuts - before).toBeGreaterThanOrEqual(4);
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it('goes on where it was when its page is closed and opened again', async () => {
    const { path, digest } = await makeFile(`${name} closed.mp4`);
    const context = await browser.newContext();
    link.bytesPerSecond = 4 * MiB;
    const first = await open(name, path, {}, context);
    await until(
      () => ada.query('{ viewer { uploadSessions(first: 1) { nodes { committedBytes } } } }'),
      ({ viewer }) => viewer.uploadSessions.nodes[0]?.committedBytes > SIZE / 4,
      20,
    );
    await first.close();
    const before = link.bytes;
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    const second = await open(name, path, {}, context);
    await done(second);
    expect(await second.evaluate('page.error')).toBeNull();
    expect(link.bytes - before).toBeLessThan(SIZE * 0.75 + 64 * 1024);
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it('begins with a file of many gigabytes', async () => {
    const { path } = await makeFile(`${name} long.mp4`);
    await truncate(path, 20 * 2 ** 30);
    const page = await open(name, path);
    await page.waitForFunction(`page.error || page.progress > ${64 * MiB}`);
    expect(await page.evaluate('page.error')).toBeNull();
    const { viewer } = await ada.query('{ viewer { uploadSessions(first: 1) { nodes { id state sizeBytes } } } }');
    expect(viewer.uploadSessions.nodes).toMatchObject([{ state: 'OPEN', sizeBytes: 20 * 2 ** 30 }]);
    await page.close();
    await ada.move('cancel', viewer.uploadSessions.nodes[0].id);
  });
});
