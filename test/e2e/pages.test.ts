import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { SetupService } from '../../src/modules/auth/index.js';
import { type Answer, ApiClient, until } from '../support/client.js';
import { makeClip } from '../support/clip.js';
import { startApp, type TestApp } from '../support/index.js';
import { launchBrowser } from './playback-page.js';

const PASSWORD = 'correct horse battery';
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

let app: TestApp;
let browser: Browser;
let client: ApiClient;
let channelId: string;
/** What no page may do: ask another host, break its content security policy, throw. A held segment's 503 is none of these. */
const misdeeds: string[] = [];

beforeAll(async () => {
  [app, browser] = await Promise.all([startApp(), launchBrowser()]);
  client = await ApiClient.signUp(app.url);
  channelId = await client.createChannel();
});
afterAll(async () => {
  await browser.close();
  await app.stop();
});
afterEach(() => expect(misdeeds.splice(0)).toEqual([]));

async function open(path: string, options: BrowserContextOptions = {}): Promise<Page> {
  const page = await (await browser.newContext(options)).newPage();
  page.on('pageerror', (error) => misdeeds.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().includes('503')) misdeeds.push(message.text());
  });
  page.on('request', (request) => {
    if (/^(https?|wss?):/.test(request.url()) && !request.url().startsWith(app.url)) misdeeds.push(request.url());
  });
  await page.goto(app.url + path);
  return page;
}

async function signIn(page: Page, password = PASSWORD): Promise<void> {
  const form = page.getByRole('form', { name: 'Sign in' });
  await form.getByLabel('E-mail').fill(client.email ?? '');
  await form.getByLabel('Password').fill(password);
  await form.getByRole('button', { name: 'Sign in' }).click();
}

const fitsInWidth = (page: Page) =>
  page.evaluate<boolean>('document.documentElement.scrollWidth <= document.documentElement.clientWidth');

async function upload(file: Buffer): Promise<Answer> {
  const { session } = await client.createSession({ channelId, sizeBytes: file.length, title: 'Canal walk' });
  return { session, send: () => client.send(session.id, file, [[0, file.length]]) };
}

test('the set-up link makes the administrator, who is then signed in; it leaves no token behind', async () => {
  const link = ((await app.get(SetupService).linkOnFirstStart()) ?? '').replace(app.url, '');
  const page = await open(link);
  expect(page.url()).toBe(`${app.url}/setup`);
  await page.getByLabel('Your name').fill('Grace');
  await page.getByLabel('E-mail').fill('grace@example.org');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('main').getByRole('button').click();
  await page.getByText('You are the administrator').waitFor();
  await page.goto(`${app.url}/account`);
  await page.getByText('Signed in as Grace').waitFor();

  const again = await open(link);
  await again.getByLabel('Your name').fill('Mallory');
  await again.getByLabel('E-mail').fill('mallory@example.org');
  await again.getByLabel('Password').fill(PASSWORD);
  await again.getByRole('main').getByRole('button').click();
  await again.getByRole('alert').filter({ hasText: 'set-up link is no good' }).waitFor();
});

test('the account page signs up, stays signed in over a reload, and signs out', async () => {
  const page = await open('/account', PHONE);
  const form = page.getByRole('form', { name: 'Create an account' });
  await form.getByLabel('Your name').fill('Ada');
  await form.getByLabel('E-mail').fill('new@example.org');
  await form.getByLabel('Password').fill(PASSWORD);
  await form.getByRole('button').click();
  await page.getByText('Signed in as Ada').waitFor();
  await page.reload();
  await page.getByText('Signed in as Ada').waitFor();
  expect(await fitsInWidth(page)).toBe(true);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('form', { name: 'Sign in' }).waitFor();
});

test('a tab shows who is signed in when another tab signs out, or somebody else in; a sign-out that fails says so', async () => {
  const page = await open('/account');
  const other = await page.context().newPage();
  const signUp = async (tab: Page, name: string) => {
    const form = tab.getByRole('form', { name: 'Create an account' });
    await form.getByLabel('Your name').fill(name);
    await form.getByLabel('E-mail').fill(`${name}@example.org`);
    await form.getByLabel('Password').fill(PASSWORD);
    await form.getByRole('button').click();
    await tab.getByText(`Signed in as ${name}`).waitFor();
  };
  const signOut = (tab: Page) => tab.getByRole('button', { name: 'Sign out' }).click();
  await signUp(page, 'Tessa');
  const home = await page.context().newPage();
  await home.goto(app.url);
  const bell = home.getByRole('button', { name: /^Notifications/ });
  await bell.waitFor();
  await other.goto(`${app.url}/account`);
  await other.getByText('Signed in as Tessa').waitFor();

  await other.route('**/graphql', (route) =>
    route.fulfill({ json: { errors: [{ message: 'Not at this moment.', extensions: { code: 'INTERNAL' } }] } }),
  );
  await signOut(other);
  await other.getByRole('alert').filter({ hasText: 'Not at this moment.' }).waitFor();
  await other.unroute('**/graphql');
  await signOut(other);
  await other.getByRole('form', { name: 'Sign in' }).waitFor();
  await page.getByRole('form', { name: 'Sign in' }).waitFor();
  await bell.waitFor({ state: 'detached' });
  await home.getByRole('link', { name: 'Sign in' }).waitFor();

  await signUp(other, 'Umar');
  await page.getByText('Signed in as Umar').waitFor();
  await bell.waitFor();
  await page.context().close();
}, 90_000);

test('the watch page lets the owner in, follows the upload and plays by itself to the end', async () => {
  const { session, send } = await upload(await makeClip({ seconds: 6, size: '426x240' }));
  const page = await open(`/watch/${encodeURIComponent(session.video.id)}`, PHONE);
  await page.getByText('This video is private, or does not exist').waitFor();
  await signIn(page, 'not the password');
  await page.getByRole('alert').filter({ hasText: 'wrong' }).waitFor();
  await signIn(page);
  await page.getByText('Uploading').first().waitFor();
  await send();
  await page.getByText('100 % of').waitFor();
  await client.complete(session.id);
  await until(() => page.evaluate<boolean>(`document.querySelector('video')?.ended ?? false`), Boolean);
  expect(await page.evaluate<number>(`document.querySelector('video').currentTime`)).toBeCloseTo(6, 1);
  expect(await fitsInWidth(page)).toBe(true);
});

test('a stranger who is signed in is told no more than a stranger who is not', async () => {
  const { session } = await upload(Buffer.alloc(1000, 1));
  const stranger = await open('/account');
  const form = stranger.getByRole('form', { name: 'Create an account' });
  await form.getByLabel('Your name').fill('Eve');
  await form.getByLabel('E-mail').fill('eve@example.org');
  await form.getByLabel('Password').fill(PASSWORD);
  await form.getByRole('button').click();
  await stranger.getByText('Signed in as Eve').waitFor();
  await stranger.goto(`${app.url}/watch/${encodeURIComponent(session.video.id)}`);
  await stranger.getByText('There is no such video, or it is not yours to watch.').waitFor();
});

test('what is no video is refused in words, with its code', async () => {
  const { session, send } = await upload(Buffer.from('Dear diary, '.repeat(1000)));
  await send();
  await client.complete(session.id);
  await until(
    () => client.video(session.video.id),
    ({ state }) => state === 'FAILED',
  );
  const page = await open(`/watch/${encodeURIComponent(session.video.id)}`);
  await signIn(page);
  await page.getByText('This video could not be processed').waitFor();
  await page.getByText('Code NOT_VIDEO').waitFor();
});

test('the reset page asks for an address, or takes the new password that the link is for', async () => {
  const forgot = await open('/account', PHONE);
  await forgot.getByRole('link', { name: 'Forgot the password?' }).click();
  await forgot.getByLabel('E-mail').fill('ada@example.org');
  await forgot.getByRole('main').getByRole('button').click();
  await forgot.getByRole('alert').filter({ hasText: 'sends no mail' }).waitFor();
  const page = await open('/reset#token=guessed', PHONE);
  expect(page.url()).toBe(`${app.url}/reset`);
  await page.getByRole('textbox', { name: 'New password' }).fill(PASSWORD);
  await page.getByRole('main').getByRole('button').click();
  await page.getByRole('alert').filter({ hasText: 'This link is no good any more' }).waitFor();
  expect(await fitsInWidth(page)).toBe(true);
});

test('GraphiQL has a tab for each example, knows the schema and runs what it shows', async () => {
  const page = await open('/graphql', { viewport: { width: 1280, height: 900 } });
  await page.locator('.graphiql-query-editor').filter({ hasText: 'Register' }).waitFor();
  await page.locator('.graphiql-editor-tool').filter({ hasText: 'ada@example.org' }).waitFor();
  await page.locator('.graphiql-execute-button').click();
  await page.locator('.graphiql-response').filter({ hasText: '"accessToken"' }).waitFor();
  for (const operation of ['CreateUploadSession', 'VideoProgress', 'Logout']) {
    expect(await page.getByRole('tab').filter({ hasText: operation }).count()).toBe(1);
  }
  await page.getByRole('button', { name: 'Show Documentation Explorer' }).click();
  await page.getByRole('link', { name: 'Subscription', exact: true }).waitFor();
});
