import { spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import {
  channelOf,
  globalId,
  type Link,
  type Person,
  person,
  published,
  startApp,
  startLink,
  type TestApp,
  temporaryFolder,
  until,
  videoIn,
} from '../support/index.js';
import { documentedExamples } from './documented-examples.js';
import { launchBrowser } from './playback-page.js';
import { serveUploadPages, type UploadPages } from './upload-pages.js';

/** The examples of docs/people.md as they stand there, on pages of another origin, over a link that is cut. */

let app: TestApp;
let browser: Browser;
let pages: UploadPages;
let link: Link;
let folder: string;
let ada: Person;
let eve: Person;
let channel: string;
let video: string;

beforeAll(async () => {
  link = await startLink(() => app.url);
  [app, browser, pages, folder] = await Promise.all([
    startApp({ publicUrl: link.url }),
    launchBrowser(),
    serveUploadPages(),
    temporaryFolder(),
  ]);
  [ada, eve] = await Promise.all([person(app, 'MEMBER', 'Ada'), person(app, 'MEMBER', 'Eve')]);
  channel = await channelOf(app, ada);
  video = await videoIn(app, channel, ada);
  const [row] = await app.database.query<{ handle: string }>('SELECT handle FROM channel WHERE id = $1', [channel]);
  pages.values = {
    'https://video.example': link.url,
    ACCESS_TOKEN: eve.token,
    CHANNEL_ID: globalId('Channel', channel),
    VIDEO_ID: globalId('Video', video),
    HANDLE: row?.handle ?? '',
  };
});
afterAll(async () => {
  await browser.close();
  pages.close();
  link.stop();
  await app.stop();
  await rm(folder, { recursive: true });
});

async function open(name: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${pages.url}/documented-${name}`);
  return page;
}

const publish = (title: string) => published(app, channel, ada, { title });

it('comments: said, heard from others, also over a break', async () => {
  const page = await open('comments');
  await page.getByRole('heading', { name: '0 comments' }).waitFor();
  await page.getByRole('textbox', { name: 'Your comment' }).fill('What a walk');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('listitem').filter({ hasText: 'Eve: What a walk' }).waitFor();
  link.cut();
  await ada.does('addComment', { videoId: globalId('Video', video), text: 'Thank you' });
  await page.getByRole('listitem').filter({ hasText: 'Ada: Thank you' }).waitFor();
  await page.getByRole('heading', { name: '2 comments' }).waitFor();
  expect(await page.getByRole('listitem').count()).toBe(2);
  await page.getByRole('button', { name: 'Like (0)' }).first().click();
  expect(await page.getByRole('button', { name: 'Like (1)' }).getAttribute('aria-pressed')).toBe('true');
});

it('a channel that is followed, and a bell that rings on another page', async () => {
  const follower = await open('follow');
  await follower.getByText('listening to').waitFor();
  const bell = await open('bell');
  await bell.getByText('0 unread').waitFor();
  link.cut();
  await publish('The locks of Delft');
  await follower.getByText('new: The locks of Delft').waitFor();
  await bell.getByText('1 unread').click();
  await bell.getByRole('listitem').filter({ hasText: 'NEW_VIDEO: The locks of Delft' }).waitFor();
  await bell.getByRole('button', { name: 'Mark all as read' }).click();
  await bell.getByText('0 unread').waitFor();
});

it('events without the SDK', async () => {
  const code = documentedExamples('people.md').get('listen.mjs') ?? '';
  const filled = Object.entries(pages.values).reduce((all, [name, value]) => all.replaceAll(name, value), code);
  await writeFile(join(folder, 'listen.mjs'), filled);
  const child = spawn(process.execPath, [join(folder, 'listen.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
  });
  const says = (text: string) =>
    until(
      async () => said,
      (all) => all === text,
      20,
    );
  try {
    await says('listening\n');
    await publish('First');
    await says('listening\nFirst\n');
    link.cut();
    await publish('Second');
    await says('listening\nFirst\nSecond\n');
  } finally {
    child.kill();
  }
});
