import { rm } from 'node:fs/promises';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { Database } from '../../src/common/database/index.js';
import { TrendingService } from '../../src/modules/feeds/trending.service.js';
import { ObjectStorage } from '../../src/modules/storage/index.js';
import { type Clip, insertSegments, insertStills, insertVideo, makeClip } from '../integration/streaming-clip.js';
import { until } from '../support/client.js';
import { startApp, type TestApp, temporaryFolder } from '../support/index.js';
import { globalId, type Person, person } from '../support/people.js';
import { launchBrowser } from './playback-page.js';

const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const HOSTILE = '<img src="/nowhere" onerror="window.broken = 1"> canal</mark><script>window.broken = 1</script>';
/** More than a page of the newest. */
const WALKS = 24;
const EVE = { email: 'eve@example.org', password: 'correct horse battery', displayName: 'Eve' };

let folder: string;
let clip: Clip;
let app: TestApp;
let browser: Browser;
let ada: Person;
let channelId: string;
/** Its pictures are a storyboard too; its description and tags are all that it has. */
let hostile: string;
/** What no page may do: ask another host, throw, complain. */
const misdeeds: string[] = [];

beforeAll(async () => {
  folder = await temporaryFolder();
  [clip, app, browser] = await Promise.all([makeClip(folder, 8), startApp({ rateLimitFactor: 0 }), launchBrowser()]);
  ada = await person(app);
  const { channel } = await ada.does('createChannel', { handle: 'ada', name: 'Ada films' }, 'channel { id }');
  channelId = channel.id;
  for (let n = 1; n <= WALKS; n++) await film(`Walk number ${n} along the harbour`);
  hostile = await film(HOSTILE, { description: 'Locks & weirs <b>of the north</b>', tags: ['locks', 'boats'] });
  await film('A secret of the canal', {}, 'PRIVATE');
  await app.graphql('mutation ($input: RegisterInput!) { register(input: $input) { userErrors { code } } }', {
    input: EVE,
  });
  await until(
    () => app.graphql<{ found: { nodes: object[] } }>('{ found: searchVideos(query: "canal") { nodes { id } } }'),
    ({ data }) => data?.found.nodes.length === 1,
  );
  // All that is published, as the minute's ranking will have it.
  await until(
    () => app.database.query<{ count: number }>('SELECT count(*)::int AS count FROM video_popularity'),
    ([row]) => (row?.count ?? 0) >= WALKS + 1,
  );
  await app.get(TrendingService).rank();
}, 180_000);
afterAll(async () => {
  await browser?.close();
  await app?.stop();
  await rm(folder, { recursive: true });
});
afterEach(() => expect(misdeeds.splice(0)).toEqual([]));

/** In Ada's channel; plays. @returns its id */
async function film(title: string, more: object = {}, visibility = 'PUBLIC'): Promise<string> {
  const db = app.get(Database);
  const { videoId } = await insertVideo(db, clip, { state: 'READY', visibility: 'PRIVATE' });
  for (const track of ['240p', '360p', 'audio']) await insertSegments(db, app.get(ObjectStorage), clip, videoId, track);
  await insertStills(db, app.get(ObjectStorage), clip, videoId);
  await db.query(
    `UPDATE video SET channel_id = (SELECT id FROM channel WHERE handle = 'ada'), owner_id = $2, published_at = now()
     WHERE id = $1`,
    [videoId, ada.userId],
  );
  const id = globalId('Video', videoId);
  const { userErrors } = await ada.does('updateVideo', { videoId: id, title, visibility, ...more });
  expect(userErrors).toEqual([]);
  return id;
}

async function open(path: string, options: BrowserContextOptions = {}, script = ''): Promise<Page> {
  const page = await (await browser.newContext(options)).newPage();
  page.setDefaultTimeout(20_000);
  page.on('pageerror', (error) => misdeeds.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') misdeeds.push(message.text());
  });
  page.on('request', (request) => {
    if (/^(https?|wss?):/.test(request.url()) && !request.url().startsWith(app.url)) misdeeds.push(request.url());
  });
  if (script) await page.addInitScript(script);
  await page.goto(app.url + path);
  return page;
}
const watchPath = (id: string) => `/watch/${encodeURIComponent(id)}`;
const field = (page: Page) => page.getByRole('combobox', { name: 'Search videos' });
const cards = (page: Page, list: string) => page.getByRole('list', { name: list }).getByRole('heading', { level: 3 });
const fitsInWidth = (page: Page) =>
  page.evaluate<boolean>('document.documentElement.scrollWidth <= document.documentElement.clientWidth');
/** What has the focus, in words. */
const focused = (page: Page) => page.evaluate<string>('document.activeElement.textContent');
/** Presses play until it does. */
const plays = (page: Page) =>
  until(
    () =>
      page.evaluate<boolean>(`(() => { const video = document.querySelector('video'); if (!video) return false;
        video.muted = true; if (video.paused && video.readyState > 2) void video.play(); return video.currentTime > 0.5; })()`),
    Boolean,
    100,
  );
async function signIn(page: Page): Promise<void> {
  const form = page.getByRole('form', { name: 'Sign in' });
  await form.getByLabel('E-mail').fill(EVE.email);
  await form.getByLabel('Password').fill(EVE.password);
  await page.keyboard.press('Enter');
}

test('by keyboard alone: a suggestion is taken, and what is found is marked, as text', async () => {
  const page = await open('/');
  await page.getByRole('heading', { name: 'Newest' }).waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('harb');
  const options = page.getByRole('listbox', { name: 'Suggestions' }).getByRole('option');
  await options.first().waitFor();
  expect(await field(page).getAttribute('aria-expanded')).toBe('true');
  const [suggestion] = await options.allTextContents();
  expect(suggestion).toContain('harbour');
  await page.keyboard.press('ArrowDown');
  expect(await field(page).inputValue()).toBe(suggestion);
  const active = await field(page).getAttribute('aria-activedescendant');
  expect(await page.locator(`[id="${active}"]`).getAttribute('aria-selected')).toBe('true');
  // Back to the field, and around the other end.
  await page.keyboard.press('ArrowUp');
  expect(await field(page).inputValue()).toBe('harb');
  await page.keyboard.press('ArrowUp');
  expect(await field(page).inputValue()).toBe((await options.allTextContents()).at(-1));
  await page.keyboard.press('Escape');
  expect(await field(page).inputValue()).toBe('harb');
  expect(await field(page).getAttribute('aria-expanded')).toBe('false');
  await page.keyboard.press('ArrowDown');
  await options.first().waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.pathname === '/search' && url.searchParams.get('q') === suggestion);
  await cards(page, 'Results').first().waitFor();
  expect(await cards(page, 'Results').first().locator('mark').count()).toBeGreaterThan(0);

  await field(page).fill('canal locks');
  await page.keyboard.press('Enter');
  const title = page.getByRole('link', { name: HOSTILE });
  await title.waitFor();
  expect(await title.locator('mark').allTextContents()).toEqual(['canal']);
  expect(await title.locator('img, script').count()).toBe(0);
  expect(await page.evaluate('window.broken')).toBeUndefined();
  await title.focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(app.url + watchPath(hostile));
  await page.context().close();
}, 60_000);

test('a typo is mended and said, filters are in the address, and nothing found is no dead end', async () => {
  const page = await open('/search?q=harbuor');
  await page.getByText('Showing results for').filter({ hasText: 'harbour' }).waitFor();
  await cards(page, 'Results').first().waitFor();
  await page.getByRole('link', { name: 'harbuor' }).click();
  await page.getByText('No videos found.').waitFor();

  await page.goto(`${app.url}/search?q=harbour`);
  await cards(page, 'Results').first().waitFor();
  await page.getByLabel('Length').focus();
  await page.getByLabel('Length').selectOption('Over 20 minutes');
  await page.getByText('No videos found.').waitFor();
  expect(new URL(page.url()).search).toBe('?q=harbour&length=long');
  const inFilters = () => page.evaluate('document.activeElement.tagName');
  expect(await inFilters()).toBe('SELECT');
  await page.getByRole('button', { name: 'Take the filters away' }).focus();
  await page.keyboard.press('Enter');
  expect(await inFilters()).toBe('SELECT');
  await cards(page, 'Results').first().waitFor();
  expect(new URL(page.url()).search).toBe('?q=harbour');
  await page.getByRole('heading', { name: 'Videos', level: 2 }).waitFor({ state: 'attached' });
  // Filters go along with another query, and are no steps on the way back.
  await page.getByLabel('Order').selectOption('Newest first');
  await field(page).fill('walk number');
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.search === '?q=walk+number&order=newest');
  await cards(page, 'Results').first().waitFor();
  expect(await page.getByLabel('Order').inputValue()).toBe('newest');
  await field(page).fill('something else');
  // As a browser says it that had kept the page.
  await page.evaluate(`window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))`);
  await until(
    () => field(page).inputValue(),
    (text) => text === 'walk number',
    50,
  );
  await page.goBack();
  await page.waitForURL((url) => url.search === '?q=harbour&order=newest');
  expect(await field(page).inputValue()).toBe('harbour');
  await page.goBack();
  await page.waitForURL((url) => url.searchParams.get('q') !== 'harbour');

  await page.goto(`${app.url}/search?q=ada`);
  await page.getByRole('region', { name: 'Channels' }).getByRole('link', { name: 'Ada films' }).click();
  await page.getByRole('heading', { name: 'Ada films', level: 1 }).waitFor();
  await page.context().close();
}, 60_000);

test('the newest go on by scrolling, and by the button alone where the page is told to', async () => {
  const page = await open('/', { viewport: { width: 1280, height: 800 } });
  await until(
    async () => {
      await page.mouse.wheel(0, 2_000);
      return cards(page, 'Newest').count();
    },
    (count) => count === WALKS + 1,
  );
  expect(await page.getByText('A secret of the canal').count()).toBe(0);
  expect(await page.getByRole('button', { name: 'Show more of Newest' }).count()).toBe(0);
  const titles = await cards(page, 'Newest').allTextContents();
  expect(new Set(titles).size).toBe(WALKS + 1);
  expect(titles[0]).toBe(HOSTILE);

  // Trending does not stand in the way of what is below it; the focus goes on with what came.
  expect(await cards(page, 'Trending').count()).toBe(8);
  await page.getByRole('button', { name: 'Show more of Trending' }).focus();
  await page.keyboard.press('Enter');
  await cards(page, 'Trending').nth(8).waitFor();
  const ninth = await cards(page, 'Trending').nth(8).textContent();
  await until(
    () => focused(page),
    (text) => text === ninth,
    50,
  );
  await page.context().close();
}, 60_000);

test('the field shows what is chosen also when other suggestions come, and sends it', async () => {
  const page = await open('/');
  await cards(page, 'Newest').first().waitFor();
  let suggestions = ['walk one', 'walk two', 'walk three'];
  let isHeld = false;
  let letGo = () => {};
  await page.route('**/graphql', async (route) => {
    if (!route.request().postData()?.includes('searchSuggestions')) return route.continue();
    if (isHeld)
      await new Promise<void>((resolve) => {
        letGo = resolve;
      });
    return route.fulfill({ json: { data: { searchSuggestions: suggestions } } });
  });
  const options = page.getByRole('listbox', { name: 'Suggestions' }).getByRole('option');
  await field(page).fill('walk');
  await options.nth(2).waitFor();
  isHeld = true;
  suggestions = ['walk four', 'walk one', 'walk five'];
  const next = page.waitForRequest((request) => !!request.postData()?.includes('searchSuggestions'));
  await field(page).pressSequentially(' ');
  await next;
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  expect(await field(page).inputValue()).toBe('walk two');
  letGo();
  await options.filter({ hasText: 'walk four' }).waitFor();
  expect(await field(page).inputValue()).toBe('walk two');
  expect(await field(page).getAttribute('aria-activedescendant')).toBeNull();
  expect(await page.locator('[aria-selected=true]').count()).toBe(0);
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.searchParams.get('q') === 'walk two');
  await page.context().close();
}, 60_000);

test('what the field shows is searched for also by its button', async () => {
  const page = await open('/');
  await field(page).fill('harb');
  const options = page.getByRole('listbox', { name: 'Suggestions' }).getByRole('option');
  await options.first().waitFor();
  await page.keyboard.press('ArrowDown');
  const chosen = await field(page).inputValue();
  expect(chosen).not.toBe('harb');
  await page.keyboard.press('Tab');
  expect(await field(page).inputValue()).toBe(chosen);
  await page.keyboard.press('Enter');
  await page.waitForURL((url) => url.searchParams.get('q') === chosen);
  await page.context().close();
}, 60_000);

test('a card shows its storyboard to the keyboard and the mouse, and to nobody who wants things to stand still', async () => {
  const asked: string[] = [];
  const page = await open(`/channel/ada`);
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  const first = cards(page, 'Videos').first();
  const preview = page.locator('canvas.preview:not([hidden])');
  await first.waitFor();
  expect(asked.filter((path) => path.includes('storyboard'))).toEqual([]);
  const box = await first.boundingBox();
  await page.getByRole('button', { name: 'Follow Ada films' }).focus();
  await page.keyboard.press('Tab');
  expect(await focused(page)).toBe(HOSTILE);
  await preview.waitFor();
  expect(await preview.evaluate((canvas: { width: number }) => canvas.width)).toBe(80);
  expect(await first.boundingBox()).toEqual(box);
  await page.keyboard.press('Tab');
  await page.locator('.tile').nth(2).hover();
  await page.locator('.tile').nth(2).locator('canvas.preview:not([hidden])').waitFor();
  await page.mouse.move(0, 0);
  await page.context().close();

  const still = await open('/channel/ada', { reducedMotion: 'reduce' });
  await cards(still, 'Videos').first().getByRole('link').focus();
  await still.locator('.tile').first().hover();
  expect(await still.locator('canvas').count()).toBe(0);
  await still.context().close();
}, 60_000);

test('a channel is followed from its page; its feed then stands at home; editors see what others do not', async () => {
  const page = await open('/channel/ADA', PHONE);
  await page.getByRole('button', { name: 'Follow Ada films' }).click();
  await signIn(page);
  await until(
    () => page.evaluate<string>('document.activeElement.ariaLabel'),
    (label) => label === 'Follow Ada films',
    50,
  );
  await page.keyboard.press('Enter');
  await page.getByText('1 follower').waitFor();
  await page.getByLabel('Tell me of').selectOption('NONE');
  expect(await page.getByText('A secret of the canal').count()).toBe(0);
  expect(await fitsInWidth(page)).toBe(true);
  await film('After Eve had come');
  // Who is signed in does not draw on what strangers behind the same address share.
  const trending = page.waitForRequest((request) => !!request.postData()?.includes('TrendingVideos'));
  await page.goto(app.url);
  expect((await trending).headers().authorization).toMatch(/^Bearer /);
  await until(
    async () => {
      await page.reload();
      await cards(page, 'Newest').first().waitFor();
      return cards(page, 'Subscriptions').allTextContents();
    },
    ([title]) => title === 'After Eve had come',
    500,
  );
  expect(await fitsInWidth(page)).toBe(true);

  const { data } = await app.graphql<{ channel: { id: string } }>('{ channel(handle: "ada") { id } }');
  expect(data?.channel.id).toBe(channelId);
  const eve =
    await page.evaluate<string>(`fetch('/graphql', { method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: 'mutation { login(input: { email: "${EVE.email}", password: "${EVE.password}" }) { session { viewer { id } } } }' }) })
    .then((answer) => answer.json()).then(({ data }) => data.login.session.viewer.id)`);
  await app.database.query(
    `INSERT INTO channel_member (channel_id, user_id, role) SELECT id, $1, 'EDITOR' FROM channel WHERE handle = 'ada'`,
    [Buffer.from(eve, 'base64url').toString().split(':')[1]],
  );
  await page.goto(`${app.url}/channel/ada`);
  await page.locator('.tile', { hasText: 'A secret of the canal' }).getByText('Private').waitFor();
  await page.context().close();

  const nobody = await open('/channel/nobody');
  await nobody.getByRole('heading', { name: 'Not found', level: 1 }).waitFor();
  await nobody.context().close();
}, 90_000);

test('what was published meanwhile is offered to who comes back, and the focus goes to where it is', async () => {
  const page = await (await browser.newContext()).newPage();
  const asked: string[] = [];
  page.on('request', (request) => asked.push(/\w+Videos\b/.exec(request.postData() ?? '')?.[0] ?? ''));
  const looks = (name: string) => asked.filter((operation) => operation === name).length;
  const comeBack = () => page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
  await page.clock.install();
  await page.goto(app.url);
  await cards(page, 'Newest').first().waitFor();
  await cards(page, 'Trending').first().waitFor();
  const before = looks('NewestVideos');
  await film('While somebody was away');
  await comeBack();
  const offer = page.getByRole('button', { name: 'Show 1 new video' });
  await until(
    async () => {
      await page.clock.fastForward(61_000);
      await comeBack();
      await comeBack();
      return offer.isVisible();
    },
    Boolean,
    500,
  );
  const after = looks('NewestVideos');
  expect(after).toBeGreaterThan(before);
  await comeBack();
  await offer.focus();
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'While somebody was away' }).waitFor();
  expect(await focused(page)).toBe('Newest');
  expect([looks('NewestVideos'), looks('TrendingVideos')]).toEqual([after, 1]);
  await page.context().close();
}, 60_000);

test('beside a video stands what is like it, and the video plays also where that fails', async () => {
  const page = await open(watchPath(hostile), { viewport: { width: 1280, height: 800 } });
  const related = page.getByRole('complementary', { name: 'Related videos' });
  await cards(page, 'Related videos').first().waitFor();
  expect(await related.getByText('A secret of the canal').count()).toBe(0);
  await page.getByRole('list', { name: 'Tags' }).getByRole('link', { name: 'locks' }).waitFor();
  expect(await page.getByRole('link', { name: 'Ada films' }).first().getAttribute('href')).toBe('/channel/ada');
  await page.getByText('0 views').first().waitFor();
  const counted = page.waitForResponse((response) => new URL(response.url()).pathname.startsWith('/views/'));
  await plays(page);
  expect((await counted).status()).toBe(204);
  await page.context().close();

  const alone = await (await browser.newContext()).newPage();
  await alone.route('**/graphql', (route) =>
    route.request().postData()?.includes('RelatedVideos') ? route.abort() : route.continue(),
  );
  await alone.goto(app.url + watchPath(hostile));
  await alone.getByRole('complementary').getByRole('button', { name: 'Try again' }).waitFor();
  await plays(alone);
  await alone.unroute('**/graphql');
  await alone.getByRole('complementary').getByRole('button', { name: 'Try again' }).click();
  await cards(alone, 'Related videos').first().waitFor();
  // The button is gone: what it brought has the focus.
  const first = await cards(alone, 'Related videos').first().textContent();
  await until(
    () => focused(alone),
    (text) => text === first,
    50,
  );
  await alone.context().close();
}, 90_000);

const PAGES = [
  ['/', 'Newest'],
  ['/search?q=harbour', 'Results for harbour'],
  ['/search', 'Search'],
  ['/channel/ada', 'Ada films'],
  ['/channel/nobody', 'Not found'],
  ['/account', 'Your account'],
  ['/upload', 'Sign in'],
] as const;

test.each(PAGES)('%s fits a phone, and has one heading, one main part and a way to it', async (path, heading) => {
  const page = await open(path, PHONE);
  await page.getByRole('heading', { name: heading }).first().waitFor();
  expect(await fitsInWidth(page)).toBe(true);
  expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1);
  for (const role of ['banner', 'main', 'navigation', 'search'] as const) {
    expect(await page.getByRole(role).count()).toBe(1);
  }
  await page.keyboard.press('Tab');
  expect(await focused(page)).toBe('Skip to the content');
  await page.keyboard.press('Enter');
  expect(await page.evaluate('document.activeElement.id')).toBe('content');
  await page.context().close();
});

test('pages come also where the browser keeps nothing', async () => {
  const blocked = `Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('blocked', 'SecurityError'); } });`;
  for (const [path, heading] of [...PAGES, [watchPath(hostile), 'canal'] as const]) {
    const page = await open(path, {}, blocked);
    await page.getByRole('heading', { name: heading }).first().waitFor();
    await page.context().close();
  }
  const page = await open('/account', {}, blocked);
  await signIn(page);
  await page.getByText('Signed in as Eve').waitFor();
  await page.context().close();
}, 60_000);
