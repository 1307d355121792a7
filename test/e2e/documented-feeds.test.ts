import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  channelOf,
  type Person,
  person,
  published,
  startApp,
  type TestApp,
  temporaryFolder,
  until,
} from '../support/index.js';
import { documentedExamples } from './documented-examples.js';

/** The examples of docs/discovery.md that need no page, as they stand there. */

let app: TestApp;
let folder: string;
let ada: Person;
beforeAll(async () => {
  [app, folder] = await Promise.all([startApp(), temporaryFolder()]);
  ada = await person(app);
});
afterAll(async () => {
  await app.stop();
  await rm(folder, { recursive: true });
});

/** What an example says, with its values filled in. */
async function said(name: string, values: Record<string, string> = {}): Promise<string> {
  const code = documentedExamples('discovery.md').get(name) as string;
  const filled = Object.entries({ 'https://video.example': app.url, ...values });
  await writeFile(
    join(folder, name),
    filled.reduce((all, [known, value]) => all.replaceAll(known, value), code),
  );
  return (await promisify(execFile)(process.execPath, [join(folder, name)])).stdout;
}

it('feeds and views', async () => {
  const channel = await channelOf(app, ada);
  const videos: string[] = [];
  for (const title of ['Mills', 'Locks', 'Bridges'])
    videos.push(await published(app, channel, ada, { title, tags: ['canals'] }));
  // Once is enough, of however many.
  const view = () => said('view.mjs', { VIDEO_ID: videos[1] as string });
  expect(await view()).toBe('204\n');
  expect(await view()).toBe('204\n');
  const counted = () => ada.ask('query ($id: ID!) { video(id: $id) { viewCount } }', { id: videos[1] });
  await until(counted, ({ video }) => video.viewCount > 0);
  // The ranking that has it may be a minute away; it is made when it is due, so it is made due.
  await app.database.query(`UPDATE trending_generation SET looked_at = looked_at - interval '1 min'`);
  const found = await until(
    async () => (await ada.ask('{ trending { nodes { title } } }')).trending.nodes,
    (nodes) => nodes.length === 3 && nodes[0].title === 'Locks',
  );
  expect(found).toHaveLength(3);
  await app.database.query('DELETE FROM related_videos');
  const text = await said('feeds.mjs');
  expect(text.split('\n').slice(0, 3).toSorted()).toEqual(['Bridges: 0 views', 'Locks: 1 views', 'Mills: 0 views']);
  expect(text).toMatch(/^Locks: 1 views\n[\s\S]*with Locks goes (Mills, Bridges|Bridges, Mills)\n$/);
}, 120_000);

it('a search, with a typo', async () => {
  const channel = await channelOf(app, ada);
  await published(app, channel, ada, { title: 'The bridges of Leiden', tags: ['canals'] });
  const text = await until(
    () => said('search.mjs'),
    (all) => all.includes('Leiden'),
  );
  expect(text).toContain('results for bridges\n');
  expect(text).toContain('The <mark>bridges</mark> of Leiden\n');
}, 120_000);
