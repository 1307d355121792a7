import { execFile } from 'node:child_process';
import { rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
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
import { documentedExamples } from './documented-examples.js';
import { launchBrowser } from './playback-page.js';
import { serveUploadPages, type UploadPages } from './upload-pages.js';

/** Uploads from pages of another origin, over a link that is cut, in a real browser. */

const MiB = 2 ** 20;
const SIZE = 16 * MiB;
/** When the first half was there: the other one, and what a busy machine sends twice since it takes a pause for a hole. */
const MOST_OF_THE_REST = SIZE * 0.8;

let app: TestApp;
let browser: Browser;
let pages: UploadPages;
let link: Link;
let folder: string;
let clip: Buffer;
let ada: ApiClient;
let channelId: string;

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
  channelId = await ada.createChannel();
  pages.policy = '';
  pages.values = { 'https://video.example': link.url, ACCESS_TOKEN: ada.token ?? '', CHANNEL_ID: channelId };
});

/** A playable file of this size, on disk, with a content of its own. */
async function makeFile(name: string, sizeBytes = SIZE): Promise<{ path: string; digest: string }> {
  const path = join(folder, name);
  const bytes = padded(clip, sizeBytes);
  await writeFile(path, bytes);
  return { path, digest: sha256(bytes) };
}

async function open(name: string, paths: string | string[], context?: BrowserContext): Promise<Page> {
  const page = await (context ?? (await browser.newContext())).newPage();
  await page.goto(`${pages.url}/${name}`);
  await page.locator('input[type=file]').last().setInputFiles(paths);
  return page;
}

/** Hands the page what it is to be told, and sees that it begins. */
async function begin(page: Page, options: object): Promise<void> {
  await page.evaluate(`begin(${JSON.stringify({ token: ada.token, ...options })})`);
  const start = page.getByRole('button', { name: 'Start' });
  if (await start.isVisible()) await start.click();
}

async function finished(page: Page): Promise<void> {
  await page.waitForFunction('page.done || page.error', undefined, { timeout: 60_000 });
  expect(await page.evaluate('page.error')).toBeNull();
}

const committed = (more: number) =>
  until(
    () => ada.query('{ viewer { uploadSessions(first: 1) { nodes { committedBytes } } } }'),
    ({ viewer }) => viewer.uploadSessions.nodes[0]?.committedBytes > more,
    20,
  );

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

const ALL = [
  ['tus-js-client, as it is', 'tus', () => ({ endpoint: `${link.url}/tus` })],
  ['Uppy with its own tus, as it is', 'uppy-tus', () => ({ endpoint: `${link.url}/tus` })],
  ['Uppy with our adapter', 'uppy-sluice', () => ({ endpoint: link.url, channelId })],
  ['useUpload in React', 'react', () => ({ endpoint: link.url, channelId })],
] as const;

describe.each(ALL)('%s', (_, name, options) => {
  it('finishes over a link that is cut again and again', async () => {
    const { path, digest } = await makeFile(`${name} cuts.mp4`);
    link.bytesPerSecond = 16 * MiB;
    link.cutEveryBytes = 3 * MiB;
    const { cuts, bytes } = link;
    const page = await open(name, path);
    await begin(page, options());
    await finished(page);
    expect(link.cuts - cuts).toBeGreaterThanOrEqual(4);
    // What browsers send again by themselves, on connections that had served before, would be a quarter and more.
    expect(link.bytes - bytes).toBeLessThan(SIZE * 1.15);
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it('goes on where it was when its page is closed and opened again', async () => {
    const { path, digest } = await makeFile(`${name} closed.mp4`);
    const context = await browser.newContext();
    link.bytesPerSecond = 4 * MiB;
    const first = await open(name, path, context);
    await begin(first, options());
    await committed(SIZE / 2);
    await first.close();
    const before = link.bytes;
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    const second = await open(name, path, context);
    await begin(second, options());
    await finished(second);
    expect(link.bytes - before).toBeLessThan(MOST_OF_THE_REST);
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it('begins with a file of many gigabytes', async () => {
    const { path } = await makeFile(`${name} long.mp4`);
    await truncate(path, 20 * 2 ** 30);
    const page = await open(name, path);
    await begin(page, options());
    await committed(16 * MiB);
    expect(await page.evaluate('page.error')).toBeNull();
    const { viewer } = await ada.query('{ viewer { uploadSessions(first: 1) { nodes { id state sizeBytes } } } }');
    expect(viewer.uploadSessions.nodes).toMatchObject([{ state: 'OPEN', sizeBytes: 20 * 2 ** 30 }]);
    await page.close();
    await ada.move('cancel', viewer.uploadSessions.nodes[0].id);
  });
});

describe('useUpload', () => {
  it('pauses, goes on, and leaves nothing running when its component goes', async () => {
    const { path, digest } = await makeFile('react buttons.mp4');
    link.bytesPerSecond = 4 * MiB;
    const page = await open('react', path);
    await begin(page, { endpoint: link.url, channelId });
    await committed(MiB);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('status').filter({ hasText: 'paused' }).waitFor();
    await nothingArrives();
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByRole('status').filter({ hasText: 'sending' }).waitFor();
    await committed(SIZE / 2);
    await page.evaluate('unmount()');
    await nothingArrives();
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    const before = link.bytes;
    await begin(page, { endpoint: link.url, channelId });
    await finished(page);
    expect(link.bytes - before).toBeLessThan(MOST_OF_THE_REST);
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it('finds the end of a hole that swallowed all its connections', async () => {
    const { path, digest } = await makeFile('react hole.mp4');
    link.bytesPerSecond = 4 * MiB;
    const page = await open('react', path);
    await begin(page, { endpoint: link.url, channelId });
    await committed(SIZE / 2);
    const { bytes } = link;
    const end = link.hole();
    await page.getByRole('status').filter({ hasText: 'waiting' }).waitFor();
    end();
    await finished(page);
    expect(link.bytes - bytes).toBeLessThan(MOST_OF_THE_REST);
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it('cancels, and says why it failed', async () => {
    const { path } = await makeFile('react cancelled.mp4');
    link.bytesPerSecond = 4 * MiB;
    const page = await open('react', path);
    await begin(page, { endpoint: link.url, channelId });
    await committed(MiB);
    await page.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('status').filter({ hasText: 'cancelled' }).waitFor();
    await ended('CANCELLED');
    const stranger = await open('react', path);
    await begin(stranger, { endpoint: link.url, channelId, token: 'no token' });
    await stranger.getByRole('status').filter({ hasText: 'failed' }).waitFor();
    expect(await stranger.evaluate('page.error')).toBe('UNAUTHENTICATED');
  });
});

describe('SHA-256 of a file that is too large for WebCrypto', () => {
  const LARGE = 20 * MiB;
  /** What workers told, and after how many turns of the page each part of the file was read on it. */
  async function watched(): Promise<BrowserContext> {
    const context = await browser.newContext();
    await context.addInitScript(`
      globalThis.seen = { hexes: [], turns: [] };
      globalThis.Worker = class extends Worker {
        constructor(...all) {
          super(...all);
          this.addEventListener('message', ({ data }) => data.hex && seen.hexes.push(data.hex));
        }
      };
      let turn = 0;
      setInterval(() => turn++, 0);
      const { arrayBuffer } = Blob.prototype;
      Blob.prototype.arrayBuffer = function () {
        if (this.size === ${MiB}) seen.turns.push(turn);
        return arrayBuffer.call(this);
      };`);
    return context;
  }

  it('is worked out beside a plain page of another origin', async () => {
    const { path, digest } = await makeFile('large plain.mp4', LARGE);
    const page = await open('documented-form.html', path, await watched());
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
    const { hexes, turns } = await page.evaluate<{ hexes: string[]; turns: number[] }>('seen');
    expect(hexes).toContain(digest);
    expect(turns).toEqual([]);
  });

  it("is worked out beside a page whose team's own build has the client", async () => {
    const { path, digest } = await makeFile('large bundled.mp4', LARGE);
    const page = await open('react', path, await watched());
    await begin(page, { endpoint: link.url, channelId });
    await finished(page);
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
    expect(await page.evaluate('seen.hexes')).toContain(digest);
  });

  it('is worked out on a page that may have no worker, which goes on meanwhile', async () => {
    const { path, digest } = await makeFile('large strict.mp4', LARGE);
    pages.policy = `script-src 'unsafe-inline' ${link.url}; worker-src 'none'`;
    const page = await open('documented-form.html', path, await watched());
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
    const { hexes, turns } = await page.evaluate<{ hexes: string[]; turns: number[] }>('seen');
    expect(hexes).toEqual([]);
    expect(turns).toHaveLength(LARGE / MiB);
    expect(new Set(turns).size).toBeGreaterThan(4);
  });
});

describe('the adapter for Uppy', () => {
  it('pauses and resumes, tries again, and names the video', async () => {
    const { path, digest } = await makeFile('uppy retried.mp4');
    const page = await open('uppy-sluice', path);
    await begin(page, { endpoint: link.url, channelId, token: 'no token' });
    await page.waitForFunction('page.error');
    expect(await page.evaluate('page.error')).toBe('UNAUTHENTICATED');
    link.bytesPerSecond = 4 * MiB;
    await page.evaluate(
      `page.error = null; uppy.getPlugin('SluiceUppy').setOptions({ token: ${JSON.stringify(ada.token)} }); void uppy.retryAll()`,
    );
    await committed(MiB);
    await page.evaluate('uppy.pauseAll()');
    await nothingArrives();
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    await page.evaluate('uppy.resumeAll()');
    await finished(page);
    const videoId = await page.evaluate<string>('page.videoId');
    expect(await ada.video(videoId)).toMatchObject({ title: 'Of Uppy: uppy retried.mp4' });
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it('sends so many at once as it is told, and cancels what is removed', async () => {
    const files = [await makeFile('uppy one.mp4'), await makeFile('uppy two.mp4')];
    link.bytesPerSecond = 8 * MiB;
    const page = await open(
      'uppy-sluice',
      files.map(({ path }) => path),
    );
    await begin(page, { endpoint: link.url, channelId, limit: 1 });
    await committed(MiB);
    const { viewer } = await ada.query('{ viewer { uploadSessions(first: 5) { nodes { id fileName } } } }');
    expect(viewer.uploadSessions.nodes).toMatchObject([{ fileName: 'uppy one.mp4' }]);
    await page.evaluate('uppy.removeFile(uppy.getFiles()[0].id)');
    await ended('CANCELLED');
    await finished(page);
    await ended('COMPLETED');
  });
});

describe('docs/uploads.md, as it stands there', () => {
  const examples = documentedExamples();

  it('has a form in 20 lines, with a bar and a button that pauses', async () => {
    expect(examples.get('form.html')?.trimEnd().split('\n').length).toBeLessThanOrEqual(20);
    const { path, digest } = await makeFile('form.mp4');
    link.bytesPerSecond = 4 * MiB;
    const page = await open('documented-form.html', path);
    await committed(MiB);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('status').filter({ hasText: 'paused' }).waitFor();
    await nothingArrives();
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    await page.getByRole('button', { name: 'Pause' }).click();
    await page
      .getByRole('status')
      .filter({ hasText: `done: ${link.url}/watch/` })
      .waitFor();
    expect(await page.getByRole('progressbar').getAttribute('value')).toBe('1');
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it.each(['react', 'uppy', 'uppy-tus', 'tus'])('has an example that uploads: %s', async (name) => {
    const { path, digest } = await makeFile(`documented ${name}.mp4`);
    link.cutEveryBytes = 6 * MiB;
    await open(`documented-${name}`, path);
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it('has a token that is asked for', async () => {
    const { path, digest } = await makeFile('documented token.mp4');
    const page = await open('documented-token', path);
    await page.evaluate(
      `import('/documented-token.js').then(({ upload }) => upload(document.querySelector('input').files[0]).start())`,
    );
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });

  it('has an example for Node', async () => {
    const { digest } = await makeFile('holiday.mp4');
    const client = pathToFileURL(join(import.meta.dirname, '../../client/dist/node/sluice.js')).href;
    const values = { ...pages.values, '@sluice/client': client };
    const code = Object.entries(values).reduce((all, [k, v]) => all.replaceAll(k, v), examples.get('node.mjs') ?? '');
    await writeFile(join(folder, 'node.mjs'), code);
    const { stdout } = await promisify(execFile)(process.execPath, ['node.mjs'], { cwd: folder });
    expect(stdout).toMatch(/\/watch\/\S+\n$/);
    expect(await outcome()).toEqual({ state: 'COMPLETED', digest });
  });
});

const nothingArrives = () =>
  until(
    () => app.database.query('SELECT id FROM upload_writer'),
    (writers) => writers.length === 0,
    20,
  );

/** One of the user's uploads ends so. */
const ended = (state: string) =>
  until(
    () => ada.query('{ viewer { uploadSessions(first: 5) { nodes { state } } } }'),
    ({ viewer }) => viewer.uploadSessions.nodes.some((one: { state: string }) => one.state === state),
  );
