import type { Browser, Page } from 'playwright-core';
import {
  channelOf,
  type Link,
  type Person,
  person,
  published,
  startApp,
  startLink,
  type TestApp,
  until,
} from '../support/index.js';
import { launchBrowser } from './playback-page.js';
import { serveUploadPages, type UploadPages } from './upload-pages.js';

/** The examples of docs/discovery.md as they stand there, on pages of another origin, over a link that is cut. */

let app: TestApp;
let browser: Browser;
let pages: UploadPages;
let link: Link;
let ada: Person;
let channel: string;

beforeAll(async () => {
  link = await startLink(() => app.url);
  [app, browser, pages] = await Promise.all([startApp({ publicUrl: link.url }), launchBrowser(), serveUploadPages()]);
  ada = await person(app);
  channel = await channelOf(app, ada);
  pages.values = { 'https://video.example': link.url };
});
afterAll(async () => {
  await browser.close();
  pages.close();
  link.stop();
  await app.stop();
});

async function open(name: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${pages.url}/documented-${name}`);
  return page;
}

const publish = (title: string) => published(app, channel, ada, { title });

const itemsOf = (page: Page) => page.getByRole('listitem').allInnerTexts();

it('a feed: what comes meanwhile is offered, also over a break', async () => {
  for (let n = 1; n <= 21; n++) await publish(`Film ${n}`);
  const page = await open('feed');
  await page.getByText('Film 21,').waitFor();
  expect((await itemsOf(page))[0]).toBe('Film 21, Ada films, 0 views');
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByText('Film 1,').waitFor();
  expect(await itemsOf(page)).toHaveLength(21);
  await publish('Film 22');
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.getByRole('button', { name: '1 new' }).waitFor();
  expect(await itemsOf(page)).toHaveLength(21);
  await page.getByRole('button', { name: '1 new' }).click();
  await page.getByText('Film 22,').waitFor();
  expect(await itemsOf(page)).toHaveLength(20);
  link.stop();
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('button', { name: 'Try again' }).click();
  await link.start();
  await page.getByText('Film 1,').waitFor();
  expect(await itemsOf(page)).toHaveLength(22);
  expect(await page.getByRole('alert').count()).toBe(0);
});

it('a search: suggested, marked, in spite of a typo, and over a break', async () => {
  await publish('The locks of <Delft>');
  const page = await open('search');
  const field = page.getByRole('combobox', { name: 'Search' });
  const results = page.getByRole('list', { name: 'Results' });
  // It is found within two seconds of its being published.
  await until(
    async () => {
      await field.fill('');
      await field.fill('locks');
      await page.locator('ul[aria-busy=false]').waitFor();
      await page.getByText('Nothing found').or(results.getByRole('listitem')).first().waitFor();
      return results.getByRole('listitem').count();
    },
    (count) => count === 1,
    50,
  );
  expect(await results.innerHTML()).toContain('The <mark>locks</mark> of &lt;Delft&gt;');
  await until(
    () => page.locator('#suggestions option').count(),
    (count) => count > 0,
    50,
  );
  link.stop();
  await field.fill('lokcs');
  await page.getByRole('button', { name: 'Try again' }).click();
  expect(await results.getByRole('listitem').count()).toBe(0);
  await link.start();
  await page.getByText('Results for locks').waitFor();
  await results.getByText('Delft').waitFor();
  await field.fill('');
  await results.getByRole('listitem').waitFor({ state: 'detached' });
});
