import { rm } from 'node:fs/promises';
import pg from 'pg';
import {
  type Answer,
  type Browser,
  channelOf,
  globalId,
  type Person,
  type PushService,
  person,
  spawnServer,
  startApp,
  startPushService,
  type TestApp,
  type TestDatabase,
  type TestRedis,
  type TestServer,
  testRedis,
  until,
  videoIn,
} from '../support/index.js';

/** First part of the names of the advisory locks that stand for marks. */
const LOCKS = 7_200;
const FOLLOWERS = 2_500;

let redis: TestRedis;
let service: PushService;
let app: TestApp;
let server: TestServer;
let ada: Person;
let channel: string;
let followers: Person[];
let browsers: Browser[];
/** A follower in the middle of the second batch. */
let inMiddle: string;
const query: TestDatabase['query'] = (sql, values) => app.database.query(sql, values);
/** Of the process that is killed. */
const ask = async (by: Person, text: string, variables = {}): Promise<Answer> => {
  const { data, errors } = await server.graphql<Answer>(text, variables, by.token);
  expect(errors).toBeUndefined();
  return data;
};

beforeAll(async () => {
  [redis, service] = await Promise.all([testRedis(), startPushService()]);
  app = await startApp({ role: 'api', rateLimitFactor: 0, redisUrl: redis.url, pushHosts: [service.host] });
  ada = await person(app);
  channel = await channelOf(app, ada);
  followers = await Promise.all(Array.from({ length: 4 }, () => person(app)));
  browsers = [];
  for (const each of followers) {
    await each.does('subscribeToChannel', { channelId: globalId('Channel', channel) });
    const browser = service.browser();
    await each.does('registerPushSubscription', browser.input);
    browsers.push(browser);
  }
  // Nobody but the one that is killed is to do its work.
  await app.nest.close();
  const { tokenSecret, storageSecret, playbackSecret, publicUrl } = app.config;
  server = await spawnServer({
    env: {
      ...{ DATABASE_URL: app.database.url, REDIS_URL: redis.url, REDIS_PREFIX: app.config.redisPrefix },
      // Who issued the tokens.
      PUBLIC_URL: publicUrl,
      ...{ TOKEN_SECRET: tokenSecret, STORAGE_SECRET: storageSecret, PLAYBACK_SECRET: playbackSecret },
      ...{ PUSH_HOSTS: service.host, NODE_EXTRA_CA_CERTS: service.caFile, RATE_LIMIT_FACTOR: '0' },
    },
  });
  await query(
    `WITH u AS (INSERT INTO app_user (email, email_key, display_name, password_hash, role)
       SELECT e, e, 'Many', 'no hash', 'MEMBER' FROM (SELECT gen_random_uuid() || '@example.org' AS e FROM generate_series(1, $2::int)) x RETURNING id),
     s AS (INSERT INTO channel_subscription (channel_id, user_id, notify) SELECT $1, id, 'ALL' FROM u RETURNING 1)
     UPDATE subscriber_count SET subscribers = subscribers + (SELECT count(*) FROM s) WHERE channel_id = $1`,
    [channel, FOLLOWERS - followers.length],
  );
  const [middle] = await query<{ id: string }>(
    'SELECT user_id AS id FROM channel_subscription WHERE channel_id = $1 ORDER BY user_id OFFSET 1500 LIMIT 1',
    [channel],
  );
  inMiddle = middle?.id as string;
  await query(`CREATE FUNCTION at_mark() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared(${LOCKS}, 1); RETURN NEW; END $$`);
});
afterAll(async () => {
  await server.remove();
  await app.database.drop();
  await rm(app.config.dataDir, { recursive: true });
  await service.stop();
  await redis.stop();
});

const publish = async () => {
  const video = await videoIn(app, channel, ada, { visibility: 'PRIVATE' });
  const input = { videoId: globalId('Video', video), visibility: 'PUBLIC' };
  await ask(ada, 'mutation ($input: UpdateVideoInput!) { updateVideo(input: $input) { userErrors { code } } }', {
    input,
  });
  return video;
};

/** Kills the server when it comes to a mark, before the mark's statement has had an effect, and flushes Redis. @returns what was published */
async function killedAt(table: string, when: string): Promise<string> {
  await query(`CREATE TRIGGER mark BEFORE INSERT ON ${table} FOR EACH ROW WHEN (${when}) EXECUTE FUNCTION at_mark()`);
  const holder = new pg.Client(app.database.url);
  await holder.connect();
  await holder.query('SELECT pg_advisory_lock($1, 1)', [LOCKS]);
  const video = await publish();
  const waiting = () =>
    query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND NOT granted`, [LOCKS]);
  await until(waiting, (found) => found.length > 0, 20);
  await server.kill();
  await redis.flush();
  await holder.end();
  // What the dead one had open ends with its connection.
  await until(
    () =>
      query(
        `SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $1
         UNION ALL SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
           AND xact_start IS NOT NULL AND pid <> pg_backend_pid()`,
        [LOCKS],
      ),
    (found) => found.length === 0,
    20,
  );
  await query(`DROP TRIGGER mark ON ${table}`);
  return video;
}

/** A new process takes up what the dead one had, without waiting for its leases. */
async function goOn(): Promise<void> {
  await query(`UPDATE job SET lease_until = now() WHERE state = 'RUNNING'`);
  await server.start();
  await until(
    () => query(`SELECT FROM job WHERE state <> 'DONE'`),
    (jobs) => jobs.length === 0,
    50,
  );
}

async function expectAllTold(video: string): Promise<void> {
  const [row] = await query('SELECT count(*)::int AS count FROM notification WHERE cause = $1', [video]);
  expect(row).toEqual({ count: FOLLOWERS });
  const batches = await query<{ body: { lo: string; hi: string } }>(
    `SELECT body FROM live_event WHERE topic = 'fan-out' AND body->>'cause' = $1`,
    [video],
  );
  expect(batches).toHaveLength(Math.ceil(FOLLOWERS / 1_000));
  const ofChannel = await query(`SELECT FROM live_event WHERE topic = 'channel:' || $1 AND body->>'videoId' = $2`, [
    channel,
    video,
  ]);
  expect(ofChannel).toHaveLength(1);
  const id = globalId('Notification', video);
  for (const each of followers) {
    // Above its lo and below its hi, of one batch.
    const within = batches.filter(({ body }) => body.lo <= each.userId && each.userId <= body.hi);
    expect(within).toHaveLength(1);
    const { nodes } = (await ask(each, '{ viewer { notifications(first: 50) { nodes { id } } } }')).viewer
      .notifications;
    expect(nodes.filter((node: { id: string }) => node.id === id)).toHaveLength(1);
  }
  const pushed = service.pushed.filter(({ message }) => message.tag === video);
  expect(new Set(pushed.map(({ browser }) => browser))).toEqual(new Set(browsers));
  expect(new Set(pushed.map(({ headers }) => headers.topic))).toEqual(new Set([video.replaceAll('-', '')]));
  expect(service.wrong).toEqual([]);
}

it.each([
  ['between the publication and its fan-out', 'channel_notification', (): string => 'true'],
  ['in the middle of a batch of rows', 'notification', (): string => `NEW.recipient_id = '${inMiddle}'`],
  ['where a batch of pushes is asked for', 'job', (): string => `NEW.name = 'SendPushes'`],
] as const)('killed %s, and Redis emptied: each inbox has it once, each browser at least once', async (_, table, when) => {
  const video = await killedAt(table, when());
  await goOn();
  await expectAllTold(video);
});

it('killed in the middle of a batch of pushes it pushes again, under the same tag', async () => {
  const first = new Promise<Browser>((resolve) => {
    service.answer = ({ browser }) => {
      resolve(browser);
      return undefined;
    };
  });
  const video = await publish();
  const cut = await first;
  await server.kill();
  await redis.flush();
  service.answer = () => 201;
  await goOn();
  await expectAllTold(video);
  const twice = service.pushed.filter(({ browser, message }) => browser === cut && message.tag === video);
  expect(twice.length).toBeGreaterThan(1);
});
