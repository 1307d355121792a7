import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { Database } from '../../src/common/database/index.js';
import { encodeId } from '../../src/common/graphql/index.js';
import { PushServices } from '../../src/modules/notifications/push-services.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { make, words } from '../integration/media-clips.js';
import { type Clip, insertSegments, insertVideo, makeClip } from '../integration/streaming-clip.js';
import { type Answer, rowId, until } from '../support/client.js';
import {
  type Link,
  type PushService,
  startApp,
  startLink,
  startPushService,
  type TestApp,
  temporaryFolder,
} from '../support/index.js';
import { launchBrowser } from './playback-page.js';

const PASSWORD = 'correct horse battery';
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/** In a page: who is asked for the permission says no. */
const DENIES = `window.asked = 0; Notification.requestPermission = async () => { asked++; return 'denied'; };
  Object.defineProperty(Notification, 'permission', { get: () => asked > 0 ? 'denied' : 'default' });`;

let folder: string;
let clip: Clip;
let link: Link;
let pushes: PushService;
let app: TestApp;
let browser: Browser;
let ada: Somebody;
let channelId: string;
/** What no page may do: ask another host, throw, or say that its content security policy was broken. */
const misdeeds: string[] = [];

interface Somebody {
  readonly email: string;
  readonly id: string;
  ask(query: string, variables?: object): Promise<Answer>;
}

beforeAll(async () => {
  folder = await temporaryFolder();
  link = await startLink(() => app.url);
  pushes = await startPushService();
  [clip, app, browser] = await Promise.all([
    makeClip(folder, 8),
    startApp({ publicUrl: link.url, rateLimitFactor: 0, pushHosts: [pushes.host] }),
    launchBrowser(),
  ]);
  app.get(PushServices).agent.options.ca = pushes.ca;
  ada = await somebody('Ada');
  const { createChannel } = await ada.ask(
    'mutation { createChannel(input: { handle: "ada", name: "Ada films" }) { channel { id } } }',
  );
  channelId = createChannel.channel.id;
}, 60_000);
afterAll(async () => {
  await browser?.close();
  link?.stop();
  await app?.stop();
  await pushes?.stop();
  await rm(folder, { recursive: true });
});
afterEach(() => expect(misdeeds.splice(0)).toEqual([]));

async function somebody(displayName: string): Promise<Somebody> {
  const email = `${displayName.toLowerCase()}@example.org`;
  const input = { email, password: PASSWORD, displayName };
  const { data } = await app.graphql<Answer>(
    'mutation ($input: RegisterInput!) { register(input: $input) { session { accessToken viewer { id } } } }',
    { input },
  );
  const { accessToken, viewer } = data.register.session;
  const ask = async (query: string, variables: object = {}) => {
    const { data, errors } = await app.graphql<Answer>(query, { ...variables }, accessToken);
    if (errors) throw new Error(JSON.stringify(errors));
    return data;
  };
  return { email, id: viewer.id, ask };
}

/** In Ada's channel; plays from the start. @returns its id */
async function film(visibility = 'UNLISTED'): Promise<string> {
  const db = app.get(Database);
  const { videoId } = await insertVideo(db, clip, { state: 'READY', visibility });
  for (const track of ['240p', '360p', 'audio']) {
    await insertSegments(db, app.get(ObjectStorage), clip, videoId, track);
  }
  await db.query('UPDATE video SET channel_id = $2, owner_id = $3, published_at = now() WHERE id = $1', [
    ...[videoId, rowId(channelId), rowId(ada.id)],
  ]);
  return encodeId('Video', videoId);
}
const publish = async () => {
  const videoId = await film('PRIVATE');
  await ada.ask('mutation ($input: UpdateVideoInput!) { updateVideo(input: $input) { userErrors { code } } }', {
    input: { videoId, visibility: 'PUBLIC' },
  });
};

async function open(path: string, options: BrowserContextOptions = {}): Promise<Page> {
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => misdeeds.push(String(error)));
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) misdeeds.push(message.text());
  });
  page.on('request', (request) => {
    if (/^(https?|wss?):/.test(request.url()) && !request.url().startsWith(link.url)) misdeeds.push(request.url());
  });
  if (!options.permissions) await page.addInitScript(DENIES);
  await page.goto(link.url + path);
  return page;
}
async function watch(videoId: string, who: Somebody | null, options?: BrowserContextOptions): Promise<Page> {
  const page = await open(`/watch/${encodeURIComponent(videoId)}`, options);
  if (who) {
    await page.getByRole('button', { name: 'Sign in to comment' }).click();
    await signIn(page, who);
  }
  return page;
}
/** The account page, on a phone. */
async function start({ email }: Somebody): Promise<Page> {
  const page = await open('/account', PHONE);
  const form = page.getByRole('form', { name: 'Sign in' });
  await form.getByLabel('E-mail').fill(email);
  await form.getByLabel('Password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  return page;
}
async function signIn(page: Page, { email }: Somebody): Promise<void> {
  const form = page.getByRole('form', { name: 'Sign in' });
  // It was asked for by a button: the keyboard is there already.
  await until(
    () => page.evaluate<string>('document.activeElement.name'),
    (name) => name === 'email',
    50,
  );
  await page.keyboard.type(email);
  await form.getByLabel('Password').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: /^Notifications/ }).waitFor();
}
/** Comes to the element of this text once the server has answered. */
const focus = (page: Page, words: string | RegExp) =>
  until(
    () => page.evaluate<string>(`document.activeElement.ariaLabel ?? document.activeElement.textContent`),
    (found) => (typeof words === 'string' ? found === words : words.test(found)),
    50,
  );
const fitsInWidth = (page: Page) =>
  page.evaluate<boolean>('document.documentElement.scrollWidth <= document.documentElement.clientWidth');
const comment = (page: Page, by: string, text: string) =>
  page.getByRole('article', { name: `Comment by ${by}` }).filter({ hasText: text });

test('following and liking: asked to sign in, then counted, also after a reload', async () => {
  const eve = await somebody('Eve');
  const page = await open(`/watch/${encodeURIComponent(await film())}`, PHONE);
  await page.getByText('0 followers').waitFor();
  await page.getByRole('button', { name: 'Follow Ada films' }).click();
  await signIn(page, eve);
  await focus(page, 'Follow Ada films');
  const follow = page.getByRole('button', { name: 'Follow Ada films' });
  await follow.click();
  await page.getByText('1 follower').waitFor();
  expect(await follow.getAttribute('aria-pressed')).toBe('true');
  await page.getByLabel('Tell me of').selectOption('NONE');
  await page.getByRole('button', { name: 'Like this video: 0 likes' }).click();
  await page.getByRole('button', { name: 'Like this video: 1 like' }).waitFor();

  await page.reload();
  await page.getByText('1 follower').waitFor();
  await until(
    () => page.getByLabel('Tell me of').inputValue(),
    (level) => level === 'NONE',
  );
  const liked = page.getByRole('button', { name: 'Like this video: 1 like' });
  expect(await liked.getAttribute('aria-pressed')).toBe('true');
  await liked.click();
  await page.getByRole('button', { name: 'Like this video: 0 likes' }).waitFor();
  await follow.click();
  await page.getByText('0 followers').waitFor();
  expect(await fitsInWidth(page)).toBe(true);
  await page.context().close();
}, 60_000);

test('two who watch see what the other says at once, and what was said while the socket was cut', async () => {
  const [bob, cy, videoId] = await Promise.all([somebody('Bob'), somebody('Cy'), film()]);
  const [his, hers] = await Promise.all([watch(videoId, bob), watch(videoId, cy, PHONE)]);
  await his.getByText('Nobody has said anything yet.').waitFor();
  await focus(his, 'Add a comment');
  await his.getByRole('textbox', { name: 'Add a comment' }).fill('See https://example.org/a?b <b>now</b>');
  await his.getByRole('button', { name: 'Comment', exact: true }).click();

  const seen = comment(hers, 'Bob', 'See');
  await seen.waitFor();
  expect(await seen.locator('b').count()).toBe(0);
  const anchor = seen.getByRole('link', { name: 'https://example.org/a?b' });
  expect(await anchor.getAttribute('rel')).toBe('nofollow ugc noopener noreferrer');
  await hers.locator('[aria-live=polite]').filter({ hasText: 'New comment by Bob' }).waitFor({ state: 'attached' });
  await hers.getByRole('heading', { name: '1 comment' }).waitFor();

  // By keyboard alone: opened, written, sent; the focus comes back.
  await seen.getByRole('button', { name: 'Reply' }).focus();
  await hers.keyboard.press('Enter');
  await hers.keyboard.type('Thank you');
  await hers.keyboard.press('Control+Enter');
  await comment(hers, 'Cy', 'Thank you').waitFor();
  await focus(hers, 'Reply');
  await comment(his, 'Cy', 'Thank you').waitFor();
  const late = await watch(videoId, null);
  await late.getByRole('button', { name: 'Show 1 reply' }).click();
  await comment(late, 'Cy', 'Thank you').waitFor();
  await late.context().close();
  await comment(hers, 'Bob', 'See').getByRole('button', { name: 'Like the comment by Bob: 0 likes' }).click();
  await hers.getByRole('button', { name: 'Like the comment by Bob: 1 like' }).waitFor();

  await comment(his, 'Bob', 'See').getByRole('button', { name: 'Edit' }).click();
  await his.getByRole('textbox', { name: 'Change your comment' }).fill('Nothing to see');
  await his.getByRole('button', { name: 'Save' }).click();
  await comment(hers, 'Bob', 'Nothing to see').getByText('edited').waitFor();

  link.cut();
  await ada.ask('mutation ($input: AddCommentInput!) { addComment(input: $input) { userErrors { code } } }', {
    input: { videoId, text: 'Said in the tunnel', idempotencyKey: 'tunnel' },
  });
  await Promise.all([his, hers].map((page) => comment(page, 'Ada', 'Said in the tunnel').waitFor({ timeout: 40_000 })));

  // A place is left where a comment with replies was.
  await comment(his, 'Bob', 'Nothing').getByRole('button', { name: 'Delete', exact: true }).click();
  await focus(his, 'Delete for good');
  await his.getByRole('button', { name: 'Keep' }).click();
  await focus(his, 'Delete');
  await his.keyboard.press('Enter');
  await his.getByRole('button', { name: 'Delete for good' }).click();
  await focus(his, /comments?$/);
  await hers.getByText('This comment was deleted.').waitFor();
  expect(await comment(hers, 'Bob', 'Nothing').count()).toBe(0);
  expect(await fitsInWidth(hers)).toBe(true);
  await Promise.all([his, hers].map((page) => page.context().close()));
}, 120_000);

test('comments come a page at a time, and what the channel pins stands above', async () => {
  const [dan, videoId] = await Promise.all([somebody('Dan'), film()]);
  for (let n = 1; n <= 25; n++) {
    await dan.ask('mutation ($input: AddCommentInput!) { addComment(input: $input) { userErrors { code } } }', {
      input: { videoId, text: `Number ${n}.`, idempotencyKey: `n${n}` },
    });
  }
  const page = await watch(videoId, ada);
  await comment(page, 'Dan', 'Number 25.').waitFor();
  expect(await page.getByRole('article').count()).toBe(20);
  await page.getByRole('button', { name: 'More comments' }).click();
  await comment(page, 'Dan', 'Number 1.').waitFor();
  expect(await page.getByRole('article').count()).toBe(25);
  const stranger = await watch(videoId, null);
  await comment(stranger, 'Dan', 'Number 25.').waitFor();
  expect(await stranger.getByRole('button', { name: 'Pin' }).count()).toBe(0);
  await comment(page, 'Dan', 'Number 3.').getByRole('button', { name: 'Pin' }).click();
  for (const one of [page, stranger]) {
    await until(
      () => one.getByRole('article').first().textContent(),
      (text) => text?.includes('Number 3.') ?? false,
    );
  }
  await Promise.all([page, stranger].map((one) => one.context().close()));
}, 90_000);

test('the bell rises with a new video of a followed channel, on all devices in step, also after the socket was cut', async () => {
  const [fay, videoId] = await Promise.all([somebody('Fay'), film()]);
  await fay.ask(
    'mutation ($input: SubscribeToChannelInput!) { subscribeToChannel(input: $input) { userErrors { code } } }',
    {
      input: { channelId, notify: 'ALL' },
    },
  );
  const [desk, phone] = await Promise.all([watch(videoId, fay), watch(videoId, fay, PHONE)]);
  const bell = (page: Page, unread: number) => page.getByRole('button', { name: `Notifications, ${unread} unread` });
  await Promise.all([desk, phone].map((page) => bell(page, 0).waitFor()));
  await publish();
  await Promise.all([desk, phone].map((page) => bell(page, 1).waitFor()));

  await bell(phone, 1).click();
  const list = phone.getByRole('region', { name: 'Notifications' });
  await list.getByRole('link', { name: 'Ada films published “A clip”' }).waitFor();
  expect(await fitsInWidth(phone)).toBe(true);
  await list.getByRole('button', { name: /^Mark as read/ }).click();
  await focus(phone, /^Ada films published/);
  await Promise.all([desk, phone].map((page) => bell(page, 0).waitFor()));
  // The permission to push is asked for by a click alone.
  const push = list.getByRole('button', { name: 'Tell me on this device, too' });
  await push.waitFor();
  expect(await phone.evaluate('asked')).toBe(0);
  await push.click();
  await list.getByText('Your browser blocks messages of this site.').waitFor();
  expect(await phone.evaluate('asked')).toBe(1);
  await phone.keyboard.press('Escape');
  expect(await list.count()).toBe(0);
  expect(await phone.evaluate('document.activeElement.className')).toBe('bell');

  link.cut();
  await publish();
  await Promise.all([desk, phone].map((page) => bell(page, 1).waitFor({ timeout: 40_000 })));
  await bell(desk, 1).click();
  await desk.getByRole('button', { name: 'Mark all as read' }).click();
  await focus(desk, 'Notifications');
  // Back over the bell and out: what the keyboard comes to is not covered.
  await desk.keyboard.press('Shift+Tab');
  await desk.keyboard.press('Shift+Tab');
  await focus(desk, 'Account');
  expect(await desk.getByRole('region', { name: 'Notifications' }).count()).toBe(0);
  await Promise.all([desk, phone].map((page) => bell(page, 0).waitFor()));
  await Promise.all([desk, phone].map((page) => page.context().close()));
}, 120_000);

test('a browser that asked for it by a click is pushed what is new, and shows it', async () => {
  const [hal, videoId] = await Promise.all([somebody('Hal'), film()]);
  await hal.ask(
    'mutation ($input: SubscribeToChannelInput!) { subscribeToChannel(input: $input) { userErrors { code } } }',
    { input: { channelId, notify: 'ALL' } },
  );
  const page = await watch(videoId, hal, { permissions: ['notifications'] });
  // Chromium's own push service is elsewhere; the one of this test knows this browser by its keys.
  const { endpoint, ...keys } = pushes.browser().input;
  await page.evaluate(
    `PushManager.prototype.subscribe = async () => ({ toJSON: () => (${JSON.stringify({ endpoint, keys })}) })`,
  );
  const bell = page.getByRole('button', { name: /^Notifications/ });
  await bell.click();
  await page.getByRole('button', { name: 'Tell me on this device, too' }).click();
  await page.getByText('This device is told, also while the page is closed.').waitFor();
  await publish();
  const [pushed] = await until(
    async () => pushes.pushed,
    ({ length }) => length > 0,
  );
  expect(pushes.wrong).toEqual([]);

  const devtools = await page.context().newCDPSession(page);
  const registered = new Promise<string>((done) => {
    devtools.on(
      'ServiceWorker.workerRegistrationUpdated',
      ({ registrations: [one] }) => one && done(one.registrationId),
    );
  });
  await devtools.send('ServiceWorker.enable');
  await devtools.send('ServiceWorker.deliverPushMessage', {
    origin: link.url,
    registrationId: await registered,
    data: JSON.stringify(pushed?.message),
  });
  const [shown] = await until(
    () =>
      page.evaluate<Answer[]>(
        `navigator.serviceWorker.ready.then((one) => one.getNotifications())
          .then((all) => all.map(({ title, tag, data }) => ({ title, tag, data })))`,
      ),
    ({ length }) => length > 0,
  );
  const { tag, url } = pushed?.message ?? {};
  expect(shown).toEqual({ title: 'Ada films published A clip', tag, data: { url } });
  await page.context().close();
}, 90_000);

test('an editor gives the channel its pictures, and takes them away again', async () => {
  const red = await make(join(folder, 'red.png'), ...words('-f lavfi -i color=red:s=800x300 -frames:v 1'));
  const page = await start(ada);
  await page.locator('summary').focus();
  await page.keyboard.press('Enter');
  const avatar = page.getByLabel('Choose an avatar');
  await avatar.setInputFiles({ name: 'me.png', mimeType: 'image/png', buffer: Buffer.from('<svg/>') });
  await page.getByRole('alert').filter({ hasText: 'This is no JPEG' }).waitFor();
  await avatar.setInputFiles(red);
  await page.getByRole('button', { name: 'Remove the avatar' }).waitFor();
  expect(await page.getByRole('alert').count()).toBe(0);
  await page.getByLabel('Choose a banner').setInputFiles(red);
  await page.getByRole('button', { name: 'Remove the banner' }).waitFor();
  expect(await fitsInWidth(page)).toBe(true);

  const watching = await watch(await film(), null, PHONE);
  for (const [kind, width] of [
    ['avatar', 400],
    ['banner', 1600],
  ]) {
    await until(
      () => watching.evaluate<number>(`document.querySelector('img.${kind}')?.naturalWidth ?? 0`),
      (natural) => natural === width,
    );
  }
  for (const kind of ['avatar', 'banner']) {
    const remove = page.getByRole('button', { name: `Remove the ${kind}` });
    await remove.click();
    await remove.waitFor({ state: 'detached' });
    expect(await page.evaluate('document.activeElement.type')).toBe('file');
  }
  await Promise.all([page, watching].map((one) => one.context().close()));
}, 90_000);

test('who is asked to be a member accepts or declines on the account page', async () => {
  const gil = await somebody('Gil');
  const invite = async (handle: string, role: string) => {
    const { createChannel } = await ada.ask(
      'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }',
      { input: { handle, name: `The ${handle}` } },
    );
    const { id } = createChannel.channel;
    await ada.ask('mutation ($input: AddChannelMemberInput!) { addChannelMember(input: $input) { member { role } } }', {
      input: { channelId: id, userId: gil.id, role },
    });
    return id as string;
  };
  await invite('locks', 'EDITOR');
  await invite('weirs', 'VIEWER');
  const withdrawn = await invite('mills', 'OWNER');
  const page = await start(gil);
  const invitation = (name: string) => page.getByRole('region', { name: `Invitation to ${name}` });
  await invitation('The locks').getByText('@locks asks you to be an editor.').waitFor();
  await page.getByText('No channel yet').waitFor();
  expect(await fitsInWidth(page)).toBe(true);

  const focused = () => page.evaluate<string>('document.activeElement.textContent');
  await page.getByRole('button', { name: 'Accept to be an editor of The locks' }).focus();
  await page.keyboard.press('Enter');
  // An editor sets its pictures.
  await page.getByRole('region', { name: 'The locks', exact: true }).locator('summary').waitFor();
  await until(focused, (text) => text === 'You are an editor of The locks now.', 50);
  await page.getByRole('button', { name: 'Decline to be a viewer of The weirs' }).click();
  await invitation('The weirs').waitFor({ state: 'detached' });
  await until(focused, (text) => text === 'You declined The weirs.', 50);

  await ada.ask(
    'mutation ($input: RemoveChannelMemberInput!) { removeChannelMember(input: $input) { channel { id } } }',
    {
      input: { channelId: withdrawn, userId: gil.id },
    },
  );
  await page.getByRole('button', { name: 'Accept to be an owner of The mills' }).click();
  const refused = await page.getByRole('alert').textContent();
  await until(focused, (text) => text === refused, 50);
  await invitation('The mills').waitFor({ state: 'detached' });

  const { viewer } = await gil.ask(
    '{ viewer { channels(first: 5) { nodes { handle } } channelInvitations(first: 5) { nodes { handle } } } }',
  );
  expect(viewer).toEqual({ channels: { nodes: [{ handle: 'locks' }] }, channelInvitations: { nodes: [] } });
  await page.context().close();
}, 60_000);
