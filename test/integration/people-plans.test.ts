import { CommentsService } from '../../src/modules/comments/index.js';
import { SubscriptionsService } from '../../src/modules/subscriptions/index.js';
import { VideosService } from '../../src/modules/videos/index.js';
import { channelOf, type Person, person, startApp, type TestApp, videoIn } from '../support/index.js';
import { costOf, type PageOf, pageCosts, settle } from '../support/plans.js';

const FEW = 3_000;
const TIMES = 10;
/** What one page may read more where there is ten times as much. */
const MORE = 1.2;
const FOLLOWS = 100;

let app: TestApp;
let ada: Person;
let channel: string;
let video: string;
beforeAll(async () => {
  app = await startApp({ role: 'api' });
  ada = await person(app);
  channel = await channelOf(app, ada);
  video = await videoIn(app, channel, ada);
  await seed(0, FEW);
}, 120_000);
afterAll(() => app.stop());

/** Followers, comments, replies and videos, those with numbers from `from` on. Ada follows a hundred channels. */
async function seed(from: number, to: number): Promise<void> {
  const run = (sql: string, values: unknown[] = []) => app.database.query(sql, [from, to - 1, ...values]);
  await run(
    `WITH u AS (INSERT INTO app_user (email, email_key, display_name, password_hash)
       SELECT a, a, 'Eve', '' FROM (SELECT n || '@example.org' AS a FROM generate_series($1::int, $2::int) n) x RETURNING id)
     INSERT INTO channel_subscription (channel_id, user_id, notify, created_at)
     SELECT $3, id, 'ALL', now() - random() * interval '300 days' FROM u`,
    [channel],
  );
  await run(
    `INSERT INTO comment (video_id, author_id, text, like_count, created_at)
     SELECT $3, $4, 'Number ' || n, (random() * 50)::int, now() - random() * interval '300 days' FROM generate_series($1::int, $2::int) n`,
    [video, ada.userId],
  );
  await run(
    `INSERT INTO comment (video_id, parent_id, author_id, text, created_at)
     SELECT $3, (SELECT id FROM comment WHERE video_id = $3 AND parent_id IS NULL ORDER BY created_at, id LIMIT 1), $4, 'Reply ' || n,
            now() - random() * interval '300 days' FROM generate_series($1::int, $2::int) n`,
    [video, ada.userId],
  );
  if (from === 0) {
    await app.database.query(
      `WITH c AS (INSERT INTO channel (handle, handle_key, name) SELECT h, h, h FROM (SELECT 'many' || n AS h FROM generate_series(1, ${FOLLOWS}) n) x RETURNING id)
       INSERT INTO channel_subscription (channel_id, user_id, notify) SELECT id, $1, 'ALL' FROM c`,
      [ada.userId],
    );
  }
  await run(
    `INSERT INTO video (channel_id, owner_id, title, visibility, state, verified_at, listed_at)
     SELECT c.id, $3, 'Number ' || n, 'PUBLIC', 'READY', now(), now() - random() * interval '300 days'
     FROM generate_series($1::int, $2::int) n JOIN
       (SELECT id, row_number() OVER (ORDER BY handle) - 1 AS place FROM channel WHERE handle LIKE 'many%') c ON c.place = n % ${FOLLOWS}`,
    [ada.userId],
  );
  await settle(app, ['app_user', 'channel_subscription', 'comment', 'video', 'channel']);
}

it(`reads no more for a page where there is ${TIMES} times as much, and finds it by an index`, async () => {
  const comments = app.get(CommentsService);
  const subscriptions = app.get(SubscriptionsService);
  const [oldest] = await app.database.query<{ id: string }>(
    'SELECT id FROM comment WHERE video_id = $1 AND parent_id IS NULL ORDER BY created_at, id LIMIT 1',
    [video],
  );
  await app.database.query('UPDATE comment SET reply_count = 1 WHERE id = $1', [oldest?.id]);
  const pages: Record<string, PageOf> = {
    'comments, newest': (after) => comments.ofVideo(video, 'NEWEST', 20, after),
    'comments, top': (after) => comments.ofVideo(video, 'TOP', 20, after),
    replies: (after) => comments.replies(oldest?.id as string, 20, after),
    followers: (after) => subscriptions.ofChannel(channel, 20, after),
    follows: (after) => subscriptions.ofUser(ada.userId, 20, after),
    feed: (after) => subscriptions.feed(ada.userId, 20, after),
  };
  const few = await pageCosts(app, pages);
  await seed(FEW, FEW * TIMES);
  const many = await pageCosts(app, pages);
  const rows = Object.entries(few).map(([name, { blocks }]) => ({ name, few: blocks, many: many[name]?.blocks ?? 0 }));
  process.stderr.write(`${rows.map((row) => `${row.name}: ${row.few} blocks, ${row.many}`).join('\n')}\n`);
  // The feed looks into each channel's part of one index, which has a level more by then: a block for each.
  const levels = (name: string) => (name.startsWith('feed') ? FOLLOWS : 0);
  expect(rows.filter((row) => row.many > row.few * MORE + levels(row.name))).toEqual([]);
  // A channel's row for each of a hundred follows may be found by reading the few channels that there are.
  const scanned = Object.entries(many).flatMap(([name, { scans }]) => scans.map((table) => `${name}: ${table}`));
  expect(scanned.filter((scan) => !scan.endsWith(': channel'))).toEqual([]);

  // What looks into thousands of videos reads the index of feeds, and no video that it does not show.
  const [full] = await app.database.query<{ id: string }>(`SELECT id FROM channel WHERE handle = 'many1'`);
  const { indexes } = await costOf(app, () => app.get(VideosService).listedCounts([full?.id as string]));
  expect([...indexes]).toEqual(['Index Only Scan: ix_video_feed']);
  expect([...(many['feed, first page']?.indexes ?? [])]).toContain('Index Only Scan: ix_video_feed');
}, 300_000);
