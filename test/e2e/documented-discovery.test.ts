import type { Browser, Page } from 'playwright-core';
import {
  channelOf,
  globalId,
  type Link,
  type Person,
  person,
  startApp,
  startLink,
  type TestApp,
  videoIn,
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

async function publish(title: string): Promise<void> {
  const videoId = globalId('Video', await videoIn(app, channel, ada, { visibility: 'PRIVATE' }));
  expect(await ada.does('updateVideo', { videoId, title, visibility: 'PUBLIC' })).toEqual({ userErrors: [] });
}

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
