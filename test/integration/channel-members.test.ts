import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { Database } from '../../src/common/database/index.js';
import { channelOf, globalId, type Person, person, startApp, type TestApp, until, videoIn } from '../support/index.js';
import { brokenInvariants } from '../support/invariants.js';

let app: TestApp;
let ada: Person;
let eve: Person;
beforeAll(async () => {
  app = await startApp();
  [ada, eve] = await Promise.all([person(app), person(app)]);
});
afterAll(() => app.stop());
afterEach(async () => {
  expect(await brokenInvariants(app.database)).toEqual({});
});

const gid = (channel: string) => globalId('Channel', channel);
const set = (by: Person, channel: string, who: Person, role: string) =>
  by.does('addChannelMember', { channelId: gid(channel), userId: who.id, role }, 'member { role user { id email } }');
const accept = (who: Person, channel: string) =>
  who.does('acceptChannelMembership', { channelId: gid(channel) }, 'member { role acceptedAt }');
/** Asks, and is not refused. */
async function join(by: Person, channel: string, who: Person, role: string): Promise<void> {
  expect(await set(by, channel, who, role)).toMatchObject({ userErrors: [] });
  expect(await accept(who, channel)).toMatchObject({ member: { role }, userErrors: [] });
}
const take = (by: Person, channel: string, who: Person) =>
  by.does('removeChannelMember', { channelId: gid(channel), userId: who.id }, 'channel { viewerCanManage }');
const rolesOf = async (channel: string) =>
  Object.fromEntries(
    (
      await app.database.query<{ id: string; role: string }>(
        'SELECT user_id AS id, role FROM channel_member WHERE channel_id = $1',
        [channel],
      )
    ).map(({ id, role }) => [id, role]),
  );

describe('members', () => {
  it('are made, changed and removed by owners; everybody may leave', async () => {
    const channel = await channelOf(app, ada);
    expect(await set(ada, channel, eve, 'VIEWER')).toEqual({
      member: { role: 'VIEWER', user: { id: eve.id, email: null } },
      userErrors: [],
    });
    expect(await accept(eve, channel)).toMatchObject({ member: { acceptedAt: expect.any(String) } });
    expect(await set(eve, channel, eve, 'OWNER')).toMatchObject({
      member: null,
      userErrors: [{ code: 'NOT_AN_OWNER' }],
    });
    expect(await set(ada, channel, eve, 'EDITOR')).toMatchObject({ member: { role: 'EDITOR' } });
    expect(await take(eve, channel, ada)).toMatchObject({ userErrors: [{ code: 'NOT_AN_OWNER' }] });
    expect(await take(eve, channel, eve)).toEqual({ channel: { viewerCanManage: false }, userErrors: [] });
    expect(await take(ada, channel, eve)).toEqual({ channel: { viewerCanManage: true }, userErrors: [] });
    expect(await rolesOf(channel)).toEqual({ [ada.userId]: 'OWNER' });
  });

  it('are asked, and are none until they say so', async () => {
    const channel = await channelOf(app, ada);
    const own = `channels { nodes { id } totalCount }
      channelInvitations { nodes { id viewerInvitation { role } } totalCount }`;
    const see = async () => (await eve.ask(`query { viewer { ${own} } }`)).viewer;
    const before = await see();
    await set(ada, channel, eve, 'OWNER');
    expect(await see()).toEqual({
      channels: before.channels,
      channelInvitations: { nodes: [{ id: gid(channel), viewerInvitation: { role: 'OWNER' } }], totalCount: 1 },
    });
    // An owner who has not answered is no owner, and does nothing.
    expect(await take(ada, channel, ada)).toMatchObject({ userErrors: [{ code: 'LAST_OWNER' }] });
    expect(await set(eve, channel, eve, 'OWNER')).toMatchObject({ userErrors: [{ code: 'NOT_AN_OWNER' }] });
    const upload = { channelId: gid(channel), fileName: 'a.mp4', sizeBytes: 10, idempotencyKey: randomUUID() };
    expect(await eve.does('createUploadSession', upload)).toMatchObject({ userErrors: [{ code: 'NOT_FOUND' }] });
    // Nobody else takes it up.
    const other = await person(app);
    expect(await accept(other, channel)).toEqual({
      member: null,
      userErrors: [{ code: 'NOT_FOUND', field: ['channelId'] }],
    });
    expect(await take(eve, channel, eve)).toMatchObject({ userErrors: [] });
    expect(await accept(eve, channel)).toMatchObject({ userErrors: [{ code: 'NOT_FOUND' }] });
    await join(ada, channel, eve, 'EDITOR');
    expect(await see()).toMatchObject({ channelInvitations: { nodes: [], totalCount: 0 } });
    expect((await see()).channels.totalCount).toBe(before.channels.totalCount + 1);
    await take(eve, channel, eve);
  });

  it('are added to many channels at once, each with one connection', async () => {
    const driver = app.get(Database).dataSource.driver as unknown as { master: { options: { max: number } } };
    const { max } = driver.master.options;
    const channels = await Promise.all([...Array(2 * max).keys()].map(() => channelOf(app, ada)));
    // All connections are in transactions before one of these goes on.
    const holder = new pg.Client(app.database.url);
    await holder.connect();
    try {
      await holder.query('BEGIN');
      await holder.query('SELECT id FROM channel WHERE id = ANY($1::uuid[]) FOR UPDATE', [channels]);
      const waiting = `SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%channel%FOR NO KEY UPDATE'`;
      const letGo = async () => {
        await until(
          () => app.database.query(waiting),
          (found) => found.length === max,
          20,
        );
        await holder.query('COMMIT');
      };
      const adding = channels.map((channel) => set(ada, channel, eve, 'VIEWER'));
      const [answers] = await Promise.all([Promise.all(adding), letGo()]);
      expect(answers.flatMap(({ userErrors }) => userErrors)).toEqual([]);
    } finally {
      await holder.end();
    }
    for (const channel of channels) await take(eve, channel, eve);
  });

  it('who may upload no more finish nothing that they began', async () => {
    for (const leave of [
      (channel: string) => take(ada, channel, eve),
      (channel: string) => take(eve, channel, eve),
      (channel: string) => set(ada, channel, eve, 'VIEWER'),
    ]) {
      const [channel, own] = [await channelOf(app, ada), await channelOf(app, eve)];
      await join(ada, channel, eve, 'EDITOR');
      const begin = async (where: string) => {
        const input = { channelId: gid(where), fileName: 'a.mp4', sizeBytes: 10, idempotencyKey: randomUUID() };
        return (await eve.does('createUploadSession', { ...input, visibility: 'PUBLIC' }, 'session { id }')).session.id;
      };
      const [theirs, hers] = [await begin(channel), await begin(own)];
      await leave(channel);
      const state = async (id: string) =>
        (await eve.ask('query ($id: ID!) { uploadSession(id: $id) { state } }', { id })).uploadSession?.state;
      await until(
        () => state(theirs),
        (found) => found === 'CANCELLED',
      );
      expect(await state(hers)).toBe('OPEN');
    }
  });

  it('are people who are there', async () => {
    const channel = await channelOf(app, ada);
    const nobody = { ...eve, id: globalId('User', randomUUID()) };
    expect(await set(ada, channel, nobody, 'EDITOR')).toMatchObject({
      userErrors: [{ code: 'NOT_FOUND', field: ['userId'] }],
    });
    expect(await set(ada, randomUUID(), eve, 'EDITOR')).toMatchObject({
      userErrors: [{ code: 'NOT_FOUND', field: ['channelId'] }],
    });
  });

  it('always have an owner among them, also when two take it from each other at once', async () => {
    const channel = await channelOf(app, ada);
    for (const deed of [() => take(ada, channel, ada), () => set(ada, channel, ada, 'EDITOR')]) {
      expect(await deed()).toMatchObject({ userErrors: [{ code: 'LAST_OWNER', field: null }] });
    }
    for (let round = 0; round < 10; round++) {
      await join(ada, channel, eve, 'OWNER');
      const answers = await Promise.all([take(ada, channel, eve), take(eve, channel, ada)]);
      const codes = answers.map(({ userErrors }) => userErrors[0]?.code ?? 'ok').sort();
      expect(codes).toEqual(['NOT_AN_OWNER', 'ok']);
      expect(Object.values(await rolesOf(channel))).toEqual(['OWNER']);
      const both = await Promise.all([take(ada, channel, ada), take(eve, channel, eve)]);
      expect(both.filter(({ userErrors }) => userErrors[0]?.code === 'LAST_OWNER')).toHaveLength(1);
      await app.database.query(
        `INSERT INTO channel_member VALUES ($1, $2, 'OWNER') ON CONFLICT (channel_id, user_id) DO UPDATE SET role = 'OWNER'`,
        [channel, ada.userId],
      );
      await take(ada, channel, eve);
    }
  });

  it('are listed for members, each once, in the order of their joining', async () => {
    const channel = await channelOf(app, ada);
    const others = await Promise.all([...Array(4).keys()].map(() => person(app)));
    for (const other of others) await join(ada, channel, other, 'VIEWER');
    await app.database.query(
      `UPDATE channel_member SET created_at = '2026-01-01 10:00:00.123456+00' WHERE channel_id = $1 AND role = 'VIEWER'`,
      [channel],
    );
    const query = `query ($id: ID!, $after: Cursor) { channel(id: $id) { members(first: 2, after: $after) {
      totalCount nodes { role user { id } } pageInfo { hasNextPage endCursor } } } }`;
    const found: string[] = [];
    for (let after: string | null = null; ; ) {
      const { channel: seen } = await (others[0] as Person).ask(query, { id: gid(channel), after });
      expect(seen.members.totalCount).toBe(5);
      found.push(...seen.members.nodes.map(({ user }: { user: { id: string } }) => user.id));
      if (!seen.members.pageInfo.hasNextPage) break;
      after = seen.members.pageInfo.endCursor;
    }
    expect(found.at(-1)).toBe(ada.id);
    expect(found.toSorted()).toEqual([ada, ...others].map(({ id }) => id).sort());
    expect((await eve.ask(query, { id: gid(channel) })).channel.members).toBeNull();
  });

  it('have an end', async () => {
    const channel = await channelOf(app, ada);
    await app.database.query(
      `WITH u AS (INSERT INTO app_user (email, email_key, display_name, password_hash)
                  SELECT a, a, 'Eve', '' FROM (SELECT 'many' || n || '@example.org' AS a FROM generate_series(1, 99) n) x RETURNING id)
       INSERT INTO channel_member SELECT $1, id, 'VIEWER' FROM u`,
      [channel],
    );
    expect(await set(ada, channel, eve, 'VIEWER')).toMatchObject({ userErrors: [{ code: 'TOO_MANY_MEMBERS' }] });
    expect(Object.keys(await rolesOf(channel))).toHaveLength(100);
  });
});

describe('a channel', () => {
  it('is changed by owners and editors', async () => {
    const channel = await channelOf(app, ada);
    await join(ada, channel, eve, 'EDITOR');
    const change = (by: Person, input: object) =>
      by.does('updateChannel', { channelId: gid(channel), ...input }, 'channel { name description }');
    expect(await change(eve, { name: ' Eve films ', description: 'a\r\nb' })).toEqual({
      channel: { name: 'Eve films', description: 'a\nb' },
      userErrors: [],
    });
    expect(await change(ada, { description: '' })).toMatchObject({ channel: { name: 'Eve films', description: '' } });
    for (const [input, field] of [
      [{ name: '' }, 'name'],
      [{ name: '\u202egnp' }, 'name'],
      [{ description: 'x'.repeat(5_001) }, 'description'],
    ] as const) {
      expect(await change(ada, input)).toEqual({
        channel: null,
        userErrors: [{ code: 'INVALID_INPUT', field: [field] }],
      });
    }
  });

  it('counts the videos that others see', async () => {
    const channel = await channelOf(app, ada);
    await Promise.all(
      ['PUBLIC', 'PUBLIC', 'UNLISTED', 'PRIVATE'].map((visibility) => videoIn(app, channel, ada, { visibility })),
    );
    const gone = await videoIn(app, channel, ada);
    await ada.does('deleteVideo', { videoId: globalId('Video', gone) });
    const query = 'query ($id: ID!) { channel(id: $id) { videoCount } }';
    expect(await eve.ask(query, { id: gid(channel) })).toEqual({ channel: { videoCount: 2 } });
  });

  it('that looks like another is not made, nor with the handle of a deleted one', async () => {
    const handle = `films${randomUUID().slice(0, 6)}`;
    const make = (by: Person, name: string) =>
      by.does('createChannel', { handle: name, name: 'Films' }, 'channel { id }');
    const { channel } = await make(ada, handle);
    const taken = { channel: null, userErrors: [{ code: 'HANDLE_TAKEN', field: ['handle'] }] };
    for (const like of [
      handle.replace('i', '1'),
      handle.replace('l', 'I'),
      handle.replace('m', 'rn'),
      handle.toUpperCase(),
    ]) {
      expect(await make(eve, like)).toEqual(taken);
    }
    expect(await ada.does('deleteChannel', { channelId: channel.id }, 'deletedChannelId')).toEqual({
      deletedChannelId: channel.id,
      userErrors: [],
    });
    expect(await make(eve, handle)).toEqual(taken);
  });

  it('goes with all that it has', async () => {
    const channel = await channelOf(app, ada);
    await join(ada, channel, eve, 'EDITOR');
    await eve.does('subscribeToChannel', { channelId: gid(channel) });
    const film = await videoIn(app, channel, ada);
    for (let n = 0; n < 60; n++) await videoIn(app, channel, ada, { visibility: 'PRIVATE' });
    expect(await eve.does('deleteChannel', { channelId: gid(channel) })).toEqual({
      userErrors: [{ code: 'NOT_AN_OWNER', field: null }],
    });
    expect(await ada.does('deleteChannel', { channelId: gid(channel) })).toEqual({ userErrors: [] });
    const gone = { userErrors: [{ code: 'NOT_FOUND', field: ['channelId'] }] };
    for (const by of [ada, eve]) {
      expect(await by.does('deleteChannel', { channelId: gid(channel) })).toEqual(gone);
      expect(await by.does('updateChannel', { channelId: gid(channel), name: 'Back' })).toEqual(gone);
      expect(await by.does('subscribeToChannel', { channelId: gid(channel) })).toEqual(gone);
      expect(await set(by, channel, ada, 'OWNER')).toMatchObject(gone);
      const upload = { channelId: gid(channel), fileName: 'a.mp4', sizeBytes: 10, idempotencyKey: randomUUID() };
      expect(await by.does('createUploadSession', upload)).toEqual(gone);
      const seen = await by.ask(
        'query ($id: ID!) { channel(id: $id) { id } node(id: $id) { id } viewer { channels(first: 100) { nodes { id } } subscriptions(first: 100) { nodes { channel { id } } } } }',
        { id: gid(channel) },
      );
      expect(seen).toMatchObject({ channel: null, node: null });
      expect(JSON.stringify(seen.viewer)).not.toContain(gid(channel));
    }
    await until(
      () => app.database.query('SELECT id FROM video WHERE channel_id = $1 AND deleted_at IS NULL', [channel]),
      (left) => left.length === 0,
    );
    expect(await eve.ask('query ($id: ID!) { video(id: $id) { id } }', { id: globalId('Video', film) })).toEqual({
      video: null,
    });
    // Who followed it is forgotten once nobody can be about to.
    const job = () =>
      app.database.query(
        `SELECT id, run_at > now() + interval '1 minute' AS later FROM job WHERE name = 'ChannelDeleted>SubscriptionsService.deleteSubscriptions' AND payload->>'channelId' = $1`,
        [channel],
      );
    const [forgetting] = await until(job, (found) => found.length === 1);
    expect(forgetting?.later).toBe(true);
    await app.database.query('UPDATE job SET run_at = now() WHERE id = $1', [forgetting?.id]);
    await until(
      () => app.database.query('SELECT 1 FROM channel_subscription WHERE channel_id = $1', [channel]),
      (left) => left.length === 0,
    );
  });

  it('is either deleted, or has the video that is made meanwhile, and then not for long', async () => {
    for (let round = 0; round < 5; round++) {
      const channel = await channelOf(app, ada);
      const upload = { channelId: gid(channel), fileName: 'a.mp4', sizeBytes: 10, idempotencyKey: randomUUID() };
      await Promise.all([
        ada.does('createUploadSession', upload),
        ada.does('deleteChannel', { channelId: gid(channel) }),
      ]);
      await until(
        () => app.database.query('SELECT id FROM video WHERE channel_id = $1 AND deleted_at IS NULL', [channel]),
        (left) => left.length === 0,
      );
    }
  });
});
