import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core';
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
import { brokenInvariants, digestOf, storageOf } from '../support/invariants.js';
import { launchBrowser } from './playback-page.js';

/** The page /upload, over a link that is cut, as somebody with a phone has it. */

const MiB = 2 ** 20;
const SIZE = 12 * MiB;
const PASSWORD = 'correct horse battery';

let app: TestApp;
let browser: Browser;
let context: BrowserContext;
let link: Link;
let folder: string;
let clip: Buffer;
const misdeeds: string[] = [];

beforeAll(async () => {
  link = await startLink(() => app.url);
  [app, browser, folder, clip] = await Promise.all([
    startApp({ publicUrl: link.url }),
    launchBrowser(),
    temporaryFolder(),
    makeClip({ seconds: 1, size: '256x144' }),
  ]);
});
afterAll(async () => {
  await browser.close();
  link.stop();
  expect(await brokenInvariants(app.database)).toEqual({});
  await app.stop();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  link.bytesPerSecond = link.cutEveryBytes = Number.POSITIVE_INFINITY;
  context = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
});
afterEach(async () => {
  await context.close();
  expect(misdeeds.splice(0)).toEqual([]);
});

async function makeFile(name: string, sizeBytes = SIZE): Promise<{ path: string; digest: string }> {
  const path = join(folder, name);
  const bytes = padded(clip, sizeBytes);
  await writeFile(path, bytes);
  return { path, digest: sha256(bytes) };
}

async function open(): Promise<Page> {
  const page = await context.newPage();
  page.on('pageerror', (error) => misdeeds.push(String(error)));
  page.on('console', (message) => {
    // What a cut link does to a request is told there as well.
    const isLink = /net::ERR_|closed before receiving a handshake/.test(message.text());
    if (message.type() === 'error' && !isLink) misdeeds.push(message.text());
  });
  page.on('dialog', (dialog) => dialog.accept());
  await page.goto(`${link.url}/upload`);
  return page;
}

async function signIn(page: Page, user: ApiClient): Promise<void> {
  await page.getByLabel('E-mail').fill(user.email ?? '');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

const choose = (page: Page) => page.getByLabel('Choose videos');
const item = (page: Page, name: string): Locator => page.getByRole('listitem').filter({ hasText: name });
const button = (page: Page, what: string, name: string): Locator =>
  page.getByRole('button', { name: `${what}: ${name}`, exact: true });
/** Waits until that share of the file is shown as stored. */
const shown = (page: Page, name: string, atLeast: number) =>
  until(
    async () => Number(await page.getByRole('progressbar', { name: `Upload of ${name}` }).getAttribute('value')),
    (bytes) => bytes >= atLeast * SIZE,
    50,
  );
const fitsInWidth = (page: Page) =>
  page.evaluate<boolean>('document.documentElement.scrollWidth <= document.documentElement.clientWidth');

async function storedDigest(fileName: string): Promise<string> {
  const [row] = await app.database.query<{ key: string }>(
    `SELECT master_key AS key FROM upload_session WHERE file_name = $1 AND state = 'COMPLETED'`,
    [fileName],
  );
  return digestOf(storageOf(app.config.dataDir), row?.key ?? '');
}

test('from a new account to a video that plays, over cuts and a reload in the middle', async () => {
  const { path, digest } = await makeFile('canal walk.mp4');
  const page = await open();
  await page.getByRole('link', { name: 'Create an account' }).click();
  const form = page.getByRole('form', { name: 'Create an account' });
  await form.getByLabel('Your name').fill('Ada');
  await form.getByLabel('E-mail').fill('ada@example.org');
  await form.getByLabel('Password').fill(PASSWORD);
  await form.getByRole('button').click();
  await page.getByText('Signed in as Ada').waitFor();
  await page.getByRole('link', { name: 'Upload', exact: true }).click();
  await page.getByLabel('Name', { exact: true }).fill('Ada films');
  await page.getByLabel('Handle').fill('ada');
  await page.getByRole('button', { name: 'Open the channel' }).click();

  link.bytesPerSecond = 4 * MiB;
  link.cutEveryBytes = 3 * MiB;
  await choose(page).setInputFiles(path);
  await shown(page, 'canal walk.mp4', 0.5);
  await page.reload();
  const unfinished = page.getByRole('region', { name: 'Unfinished' });
  await unfinished.getByText('kept for another 7 days').waitFor();
  expect(await fitsInWidth(page)).toBe(true);

  const before = link.bytes;
  link.bytesPerSecond = Number.POSITIVE_INFINITY;
  await unfinished.getByLabel('Choose the same file to go on: canal walk.mp4').setInputFiles(path);
  await page.getByRole('link', { name: 'Watch canal walk.mp4' }).click();
  expect(link.bytes - before).toBeLessThan(SIZE * 0.8);
  expect(await storedDigest('canal walk.mp4')).toBe(digest);
  await page.getByRole('heading', { name: 'canal walk.mp4' }).waitFor();
  await until(() => page.evaluate<boolean>(`document.querySelector('video')?.duration > 0`), Boolean);
});

test('a browser that gives out handles goes on after a reload without choosing again', async () => {
  const ada = await ApiClient.signUp(app.url);
  await ada.createChannel();
  const { path, digest } = await makeFile('handle.mp4');
  const page = await open();
  await signIn(page, ada);
  await choose(page).waitFor();
  // No dialog can be answered here: the handle is one of the page's own files.
  await page.evaluate(
    `document.body.append(Object.assign(document.createElement('input'), { type: 'file', id: 'own' }))`,
  );
  await page.locator('#own').setInputFiles(path);
  await page.evaluate(`(async () => {
    const handle = await (await navigator.storage.getDirectory()).getFileHandle('handle.mp4', { create: true });
    const out = await handle.createWritable();
    await out.write(document.querySelector('#own').files[0]);
    await out.close();
    window.showOpenFilePicker = async () => [handle];
  })()`);
  link.bytesPerSecond = 4 * MiB;
  await choose(page).click();
  await shown(page, 'handle.mp4', 0.5);
  await page.reload();
  const remembered = () =>
    page.evaluate<string[]>(
      `import('/client/sluice.js').then(async (client) => (await client.rememberedFiles()).map(({ sessionId }) => sessionId))`,
    );
  const { viewer } = await ada.query('{ viewer { uploadSessions(first: 2) { nodes { id } } } }');
  expect(await remembered()).toEqual(viewer.uploadSessions.nodes.map(({ id }: { id: string }) => id));
  link.bytesPerSecond = Number.POSITIVE_INFINITY;
  const before = link.bytes;
  await button(page, 'Go on', 'handle.mp4').click();
  await page.getByRole('link', { name: 'Watch handle.mp4' }).waitFor();
  expect(link.bytes - before).toBeLessThan(SIZE * 0.8);
  expect(await storedDigest('handle.mp4')).toBe(digest);
  await until(remembered, (sessions) => sessions.length === 0);
});

test('several files: two at once, paused, resumed and cancelled by keyboard', async () => {
  const ada = await ApiClient.signUp(app.url);
  const channelId = await ada.createChannel();
  await ada.createSession({ channelId, fileName: 'elsewhere.mp4', sizeBytes: SIZE });
  const names = ['one.mp4', 'two.mp4', 'three.mp4'];
  const files = await Promise.all(names.map((name) => makeFile(name)));
  const page = await open();
  await signIn(page, ada);
  link.bytesPerSecond = 4 * MiB;
  await choose(page).setInputFiles(files.map(({ path }) => path));
  await item(page, 'three.mp4').getByText('Waiting for its turn').waitFor();
  const unfinished = page.getByRole('region', { name: 'Unfinished' });
  await unfinished.getByLabel('Choose the same file to go on: elsewhere.mp4').setInputFiles(files[0]?.path ?? '');
  await unfinished.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Cancel: one.mp4' }).last().press('Enter');
  await unfinished.getByText('elsewhere.mp4').waitFor();
  await shown(page, 'one.mp4', 0.05);
  await button(page, 'Pause', 'one.mp4').press('Enter');
  await item(page, 'one.mp4').getByText('Paused').waitFor();
  expect(await page.evaluate(`document.activeElement?.ariaLabel`)).toBe('Resume: one.mp4');
  await item(page, 'three.mp4').getByText('Uploading').waitFor();
  await button(page, 'Cancel', 'two.mp4').press('Enter');
  await item(page, 'two.mp4').getByText('Cancelled').waitFor();
  link.bytesPerSecond = Number.POSITIVE_INFINITY;
  await button(page, 'Resume', 'one.mp4').press('Enter');
  for (const name of ['one.mp4', 'three.mp4']) await page.getByRole('link', { name: `Watch ${name}` }).waitFor();
  expect(await storedDigest('one.mp4')).toBe(files[0]?.digest);
  expect(await storedDigest('three.mp4')).toBe(files[2]?.digest);
  const { viewer } = await ada.query('{ viewer { uploadSessions(first: 5) { nodes { fileName state } } } }');
  expect(viewer.uploadSessions.nodes).toContainEqual({ fileName: 'two.mp4', state: 'CANCELLED' });
  expect(await fitsInWidth(page)).toBe(true);
});

test('says that the network is gone, that it is another file, and that it is no video', async () => {
  const ada = await ApiClient.signUp(app.url);
  const channelId = await ada.createChannel();
  const { path } = await makeFile('waits.mp4');
  const other = await makeFile('other.mp4', SIZE + 1);
  await writeFile(join(folder, 'diary.mp4'), 'Dear diary, '.repeat(1000));
  await ada.createSession({ channelId, fileName: 'elsewhere.mp4', sizeBytes: SIZE });
  const page = await open();
  await signIn(page, ada);
  await page.getByLabel('Choose the same file to go on: elsewhere.mp4').setInputFiles(other.path);
  await item(page, 'other.mp4').getByRole('alert').filter({ hasText: 'Code FILE_DIFFERS' }).waitFor();
  await item(page, 'elsewhere.mp4').waitFor();
  const nothing = '0'.repeat(32);
  await ada.createSession({
    ...{ channelId, fileName: 'same size.mp4', sizeBytes: SIZE },
    fingerprint: [SIZE, nothing, nothing].join('-'),
  });
  await page.reload();
  await page.getByLabel('Choose the same file to go on: same size.mp4').setInputFiles(path);
  await item(page, 'waits.mp4').getByRole('alert').filter({ hasText: 'This is another file' }).waitFor();
  await button(page, 'Remove from the list', 'waits.mp4').click();
  await item(page, 'same size.mp4').waitFor();

  link.bytesPerSecond = MiB;
  await choose(page).setInputFiles(path);
  await shown(page, 'waits.mp4', 0.1);
  link.stop();
  await item(page, 'waits.mp4').getByText('Waiting for the network').waitFor();
  link.bytesPerSecond = Number.POSITIVE_INFINITY;
  await link.start();
  await page.getByRole('link', { name: 'Watch waits.mp4' }).waitFor();

  await choose(page).setInputFiles(join(folder, 'diary.mp4'));
  await item(page, 'diary.mp4').getByRole('alert').filter({ hasText: 'Code NOT_VIDEO' }).waitFor();
  await button(page, 'Remove from the list', 'diary.mp4').click();
  await item(page, 'diary.mp4').waitFor({ state: 'detached' });
});
