import type { ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { Database } from '../../src/common/database/index.js';
import { PushEndpointRefused } from '../../src/modules/notifications/notifications.errors.js';
import { PushServices } from '../../src/modules/notifications/push-services.js';
import { PushSubscriptionsService } from '../../src/modules/notifications/push-subscriptions.service.js';
import {
  type Browser,
  channelOf,
  globalId,
  type NameServer,
  type Person,
  type Pushed,
  type PushService,
  person,
  startApp,
  startNameServer,
  startPushService,
  type TestApp,
  until,
  videoIn,
} from '../support/index.js';

let service: PushService;
let app: TestApp;
let db: Database;
let ada: Person;
let publicKey: string;
beforeAll(async () => {
  service = await startPushService();
  app = await startApp({ rateLimitFactor: 0, pushHosts: [service.host] });
  app.get(PushServices).agent.options.ca = service.ca;
  db = app.get(Database);
  ada = await person(app);
  publicKey = (await ada.ask('{ pushPublicKey }')).pushPublicKey;
});
afterAll(async () => {
  await app.stop();
  await service.stop();
});
beforeEach(async () => {
  await db.query(`DELETE FROM job WHERE name = 'SendPushes' AND state = 'QUEUED'`);
  service.pushed.length = 0;
  service.answer = () => 201;
});
afterEach(() => {
  expect(service.wrong).toEqual([]);
});

const register = (by: Person, input: object) => by.does('registerPushSubscription', input);
async function browserOf(by: Person): Promise<Browser> {
  const browser = service.browser();
  expect(await register(by, browser.input)).toEqual({ userErrors: [] });
  return browser;
}
const follow = (by: Person, channel: string, notify = 'ALL') =>
  by.does('subscribeToChannel', { channelId: globalId('Channel', channel), notify });
const publish = async (channel: string) => {
  const video = await videoIn(app, channel, ada, { visibility: 'PRIVATE' });
  await ada.does('updateVideo', { videoId: globalId('Video', video), visibility: 'PUBLIC' });
  return video;
};
/** Everything that was asked for has happened, but for what waits for a later time. */
const settled = () =>
  until(
    () => db.query(`SELECT name FROM job WHERE state <> 'DONE' AND run_at <= now() + interval '1 s'`),
    (jobs) => jobs.length === 0,
    50,
  );
const came = (count: number) =>
  until(
    async () => service.pushed,
    (pushed) => pushed.length >= count,
    50,
  );
const endpointsOf = async (by: Person) =>
  (
    await db.query<{ endpoint: string }>(
      'SELECT endpoint FROM push_subscription WHERE user_id = $1 ORDER BY registered_at',
      [by.userId],
    )
  ).map(({ endpoint }) => endpoint);
const metric = async (outcome: string) => {
  const text = await (await fetch(`${app.url}/metrics`)).text();
  return Number(new RegExp(`^sluice_pushes_total\\{outcome="${outcome}"\\} (\\d+)`, 'm').exec(text)?.[1]);
};
const later = () =>
  db.query<{ payload: { attempt: number; subscriptionIds: string[] }; seconds: number }>(
    `SELECT payload, extract(epoch FROM run_at - now())::float8 AS seconds FROM job WHERE name = 'SendPushes' AND state = 'QUEUED'`,
  );
const now = () => db.query(`UPDATE job SET run_at = now() WHERE name = 'SendPushes' AND state = 'QUEUED'`);

describe('a browser', () => {
  it('is registered once, up to twenty of a person, for who signed in there last', async () => {
    const [eve, bob] = await Promise.all([person(app), person(app)]);
    const browser = await browserOf(eve);
    const { endpoint } = browser.input;
    await register(eve, browser.input);
    expect(await endpointsOf(eve)).toEqual([endpoint]);
    await register(bob, browser.input);
    expect([await endpointsOf(eve), await endpointsOf(bob)]).toEqual([[], [endpoint]]);
    expect(await eve.does('removePushSubscription', { endpoint })).toEqual({ userErrors: [] });
    expect(await endpointsOf(bob)).toEqual([endpoint]);
    expect(await bob.does('removePushSubscription', { endpoint })).toEqual({ userErrors: [] });
    expect(await endpointsOf(bob)).toEqual([]);

    const browsers = Array.from({ length: 22 }, () => service.browser());
    for (const { input } of browsers) await register(eve, input);
    expect(await endpointsOf(eve)).toEqual(browsers.slice(2).map(({ input }) => input.endpoint));
  });

  it.each([
    ...[
      'http://localhost/',
      'https://127.0.0.1/',
      'https://[::1]/',
      'https://push.example.org:22/',
      'https://169.254.169.254/',
    ],
    'https://nobody.invalid/x',
  ])('at %s is refused', async (endpoint) => {
    const { input } = service.browser();
    expect(await register(ada, { ...input, endpoint })).toEqual({
      userErrors: [{ code: 'PUSH_ENDPOINT_REFUSED', field: ['endpoint'] }],
    });
    expect(await endpointsOf(ada)).toEqual([]);
  });

  it('without right keys is refused', async () => {
    const { input } = service.browser();
    for (const field of ['p256dh', 'auth']) {
      expect(await register(ada, { ...input, [field]: 'AAAA' })).toEqual({
        userErrors: [{ code: 'INVALID_INPUT', field: [field] }],
      });
    }
  });

  describe('whose name leads', () => {
    let names: NameServer;
    beforeAll(async () => {
      names = await startNameServer();
      app.get(PushServices).resolver.setServers([names.address]);
    });
    afterAll(() => names.stop());

    it('into a private network is refused, also by each connection', async () => {
      const services = app.get(PushServices);
      const { input } = service.browser();
      const endpoint = 'https://push.example.org/x';
      const isRefused = async () => (await register(ada, { ...input, endpoint })).userErrors.length === 1;
      const lookUp = promisify(services.lookup);
      for (const address of ['127.0.0.1', '10.0.0.1', '169.254.169.254', '0.0.0.0']) {
        names.addresses = [address];
        expect([address, await isRefused()]).toEqual([address, true]);
        await expect(lookUp('push.example.org', { all: true })).rejects.toThrow(PushEndpointRefused);
      }
      names.addresses = [];
      expect(await isRefused()).toBe(true);
      // Only where everybody may go, whatever else it says.
      names.addresses = ['127.0.0.1', '8.8.8.8'];
      expect(await lookUp('push.example.org', { all: true })).toEqual([{ address: '8.8.8.8', family: 4 }]);
      expect(await isRefused()).toBe(false);

      // It says something else by the time of the sending.
      names.addresses = ['127.0.0.1'];
      const { privateKey } = await app.get(PushSubscriptionsService).keys();
      const options = {
        keys: { publicKey, privateKey },
        topic: 'x',
        seconds: 60,
        signal: new AbortController().signal,
      };
      await expect(services.send({ ...input, endpoint }, 'x', options)).rejects.toThrow(PushEndpointRefused);
      await ada.does('removePushSubscription', { endpoint });
    });
  });
});

describe('what a person is told', () => {
  it('is pushed to each of their browsers, sealed for it and signed', async () => {
    const owner = await person(app);
    const channel = await channelOf(app, owner);
    const browsers = [await browserOf(owner), await browserOf(owner)];
    const sent = await metric('sent');
    const eve = await person(app, 'MEMBER', 'Eve');
    await follow(eve, channel);
    await came(2);
    await settled();
    expect(new Set(service.pushed.map(({ browser }) => browser))).toEqual(new Set(browsers));
    const [{ id }] = (await owner.ask('{ viewer { notifications(first: 1) { nodes { id } } } }')).viewer.notifications
      .nodes;
    for (const { headers, message, claims, key } of service.pushed) {
      expect(message).toEqual({
        ...{ tag: expect.any(String), id, kind: 'NEW_FOLLOWER', url: `${app.url}/` },
        ...{ channel: 'Ada films', actor: 'Eve' },
      });
      expect(headers).toMatchObject({
        urgency: 'normal',
        topic: message.tag.replaceAll('-', ''),
        'content-encoding': 'aes128gcm',
      });
      expect(Number(headers.ttl)).toBeGreaterThan(86_000);
      expect(key).toBe(publicKey);
      expect(claims).toEqual({ aud: service.origin, exp: expect.any(Number), sub: 'mailto:postmaster@127.0.0.1' });
      expect(claims.exp - Date.now() / 1_000).toBeLessThan(86_400);
    }
    expect(await metric('sent')).toBe(sent + 2);
    // Told once: nothing more is pushed of the same.
    await eve.does('unsubscribeFromChannel', { channelId: globalId('Channel', channel) });
    await follow(eve, channel);
    await settled();
    expect(service.pushed).toHaveLength(2);
  });

  it('is pushed as they prefer, and while they are signed in there', async () => {
    const [owner, other] = await Promise.all([person(app), person(app)]);
    const [channel, elsewhere] = [await channelOf(app, owner), await channelOf(app, other)];
    await Promise.all([browserOf(owner), browserOf(other)]);
    await owner.does('updateNotificationPreference', { kind: 'NEW_FOLLOWER', push: false });
    await other.does('updateNotificationPreference', { kind: 'NEW_FOLLOWER', inbox: false, live: false });
    for (const each of [channel, elsewhere]) await follow(ada, each);
    await settled();
    expect(service.pushed).toHaveLength(1);
    expect(await endpointsOf(other)).toEqual([service.pushed[0]?.browser.input.endpoint]);

    await other.ask('mutation { logout { userErrors { code } } }');
    await follow(await person(app), elsewhere);
    await settled();
    expect(service.pushed).toHaveLength(1);
  });

  it('says nothing of a video that they may not see', async () => {
    const [owner, bob] = await Promise.all([person(app), person(app)]);
    const channel = await channelOf(app, owner);
    const video = await videoIn(app, channel, owner);
    const say = async (by: Person, text: string, parentId?: string) =>
      (await by.does('addComment', { videoId: globalId('Video', video), text, parentId }, 'comment { id }')).comment.id;
    await browserOf(bob);
    const first = await say(bob, 'Hello');
    await say(owner, 'To Bob', first);
    await came(1);
    expect(service.pushed[0]?.message).toMatchObject({ kind: 'REPLY', title: 'A film', text: 'To Bob', actor: 'Ada' });
    expect(service.pushed[0]?.message.url).toBe(`${app.url}/watch/${encodeURIComponent(globalId('Video', video))}`);

    service.answer = () => 503;
    await say(owner, 'Between us', first);
    await came(2);
    await settled();
    await owner.does('updateVideo', { videoId: globalId('Video', video), visibility: 'PRIVATE' });
    service.answer = () => 201;
    await now();
    await came(3);
    const { message } = service.pushed[2] as Pushed;
    expect(message).toEqual({
      tag: service.pushed[1]?.message.tag,
      id: expect.any(String),
      kind: 'REPLY',
      url: `${app.url}/`,
    });
  });
});

describe('a push service that', () => {
  it.each([404, 410])('says %i is asked no more', async (status) => {
    const owner = await person(app);
    const channel = await channelOf(app, owner);
    const [gone, alive] = [await browserOf(owner), await browserOf(owner)];
    const before = await metric('gone');
    service.answer = ({ browser }) => (browser === gone ? status : 201);
    await follow(ada, channel);
    await settled();
    expect(await endpointsOf(owner)).toEqual([alive.input.endpoint]);
    expect(await metric('gone')).toBe(before + 1);
    expect(await later()).toEqual([]);
  });

  it('is busy, breaks or breaks off is asked again, later each time, with the same tag, and it alone', async () => {
    const owner = await person(app);
    const channel = await channelOf(app, owner);
    const [busy, fine] = [await browserOf(owner), await browserOf(owner)];
    const ways: ((response: ServerResponse) => number | undefined)[] = [
      () => 500,
      (response) => {
        response.destroy();
        return undefined;
      },
      (response) => {
        response.setHeader('retry-after', '600');
        return 429;
      },
      () => 201,
    ];
    service.answer = ({ browser }, response) => (browser === busy ? ways.shift()?.(response) : 201);
    await follow(ada, channel);
    for (let attempt = 2; attempt <= 4; attempt++) {
      await settled();
      const waiting = await later();
      expect(waiting).toMatchObject([{ payload: { attempt, subscriptionIds: [expect.any(String)] } }]);
      expect(waiting[0]?.seconds).toBeGreaterThan(attempt === 4 ? 590 : 10);
      expect(waiting[0]?.seconds).toBeLessThan(attempt === 4 ? 601 : 61);
      const [row] = await db.query('SELECT failing_since FROM push_subscription WHERE endpoint = $1', [
        busy.input.endpoint,
      ]);
      expect(row).toEqual({ failing_since: expect.any(Date) });
      await now();
    }
    await settled();
    expect(await later()).toEqual([]);
    expect(service.pushed.filter(({ browser }) => browser === fine)).toHaveLength(1);
    const pushed = service.pushed.filter(({ browser }) => browser === busy);
    expect(pushed).toHaveLength(4);
    expect(new Set(service.pushed.map(({ message }) => message.tag)).size).toBe(1);
    const [row] = await db.query('SELECT failing_since FROM push_subscription WHERE endpoint = $1', [
      busy.input.endpoint,
    ]);
    expect(row).toEqual({ failing_since: null });
  });

  it('does nothing but fail for weeks is asked no more, and what is a day old is not pushed', async () => {
    const owner = await person(app);
    const channel = await channelOf(app, owner);
    await browserOf(owner);
    service.answer = () => 503;
    await follow(ada, channel);
    await settled();
    await db.query(`UPDATE job SET payload = payload || jsonb_build_object('at', now() - interval '25 hours')
      WHERE name = 'SendPushes' AND state = 'QUEUED'`);
    await now();
    await settled();
    expect(service.pushed).toHaveLength(1);
    await db.query(`UPDATE push_subscription SET failing_since = now() - interval '15 days'`);
    await follow(await person(app), channel);
    await settled();
    expect(await endpointsOf(owner)).toEqual([]);
  });

  it('never answers holds up nobody for longer than ten seconds', async () => {
    const owner = await person(app);
    const channel = await channelOf(app, owner);
    const [silent, fine] = [await browserOf(owner), await browserOf(owner)];
    service.answer = ({ browser }) => (browser === silent ? undefined : 201);
    await follow(ada, channel);
    await until(later, ([again]) => again?.payload.attempt === 2, 50);
    expect(new Set(service.pushed.map(({ browser }) => browser))).toEqual(new Set([silent, fine]));
  });
});

describe('a new video', () => {
  it.each([
    0, 10_001,
  ])('is pushed to followers as it is told, beside %i others, without rows of its own', async (others) => {
    const channel = await channelOf(app, ada);
    const [eve, bob, cy] = await Promise.all([person(app), person(app), person(app)]);
    await Promise.all([follow(eve, channel), follow(bob, channel, 'NONE'), follow(cy, channel)]);
    if (others > 0) {
      await db.query(
        `WITH u AS (INSERT INTO app_user (email, email_key, display_name, password_hash, role)
           SELECT e, e, 'Many', 'no hash', 'MEMBER' FROM (SELECT gen_random_uuid() || '@example.org' AS e FROM generate_series(1, $2)) x RETURNING id),
         s AS (INSERT INTO channel_subscription (channel_id, user_id, notify) SELECT $1, id, 'ALL' FROM u RETURNING 1)
         UPDATE subscriber_count SET subscribers = subscribers + (SELECT count(*) FROM s) WHERE channel_id = $1`,
        [channel, others],
      );
    }
    const [hers] = [await browserOf(eve), await browserOf(bob), await browserOf(cy)];
    await cy.does('updateNotificationPreference', { kind: 'NEW_VIDEO', push: false });
    const video = await publish(channel);
    await settled();
    expect(service.pushed.map(({ browser }) => browser)).toEqual([hers]);
    expect(service.pushed[0]?.message).toEqual({
      ...{ tag: video, id: globalId('Notification', video), kind: 'NEW_VIDEO', title: 'A film', channel: 'Ada films' },
      url: `${app.url}/watch/${encodeURIComponent(globalId('Video', video))}`,
    });
    const [{ count }] = (await db.query('SELECT count(*)::int AS count FROM notification WHERE cause = $1', [
      video,
    ])) as [{ count: number }];
    expect(count).toBe(others > 0 ? 0 : 2);
    const finds = await db.query(`SELECT FROM job WHERE name = 'FindPushes' AND payload->>'videoId' = $1`, [video]);
    expect(finds).toHaveLength(Math.floor((others + 3) / 1_000) + 1);
  });

  it('is not pushed any more once it is private again', async () => {
    const channel = await channelOf(app, ada);
    const eve = await person(app);
    await follow(eve, channel);
    await browserOf(eve);
    service.answer = () => 503;
    const video = await publish(channel);
    await settled();
    await ada.does('updateVideo', { videoId: globalId('Video', video), visibility: 'PRIVATE' });
    await now();
    await settled();
    expect(service.pushed).toHaveLength(1);
    expect(await later()).toEqual([]);
  });

  it('is pushed in batches of a hundred', async () => {
    const channel = await channelOf(app, ada);
    const eve = await person(app);
    await follow(eve, channel);
    const { input } = service.browser();
    // Of a service that knows none of them.
    await db.query(
      `INSERT INTO push_subscription (user_id, session_id, endpoint, p256dh, auth)
       SELECT s.user_id, s.id, $2 || n, $3, $4 FROM login_session s, generate_series(1, 250) n WHERE s.user_id = $1`,
      [eve.userId, `${service.origin}/gone/`, input.p256dh, input.auth],
    );
    const video = await publish(channel);
    await settled();
    const sizes = await db.query<{ size: number }>(
      `SELECT jsonb_array_length(payload->'subscriptionIds') AS size FROM job
       WHERE name = 'SendPushes' AND payload->'subject'->>'cause' = $1 ORDER BY 1`,
      [video],
    );
    expect(sizes.map(({ size }) => size)).toEqual([50, 100, 100]);
    expect(await endpointsOf(eve)).toEqual([]);
  });
});
