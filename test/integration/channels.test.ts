import { randomUUID } from 'node:crypto';
import { Database } from '../../src/common/database/index.js';
import { AccessTokens } from '../../src/modules/auth/access-tokens.js';
import { SessionsService } from '../../src/modules/auth/sessions.service.js';
import { ChannelsService } from '../../src/modules/channels/index.js';
import { UsersService } from '../../src/modules/users/index.js';
import { startApp, type TestApp } from '../support/index.js';

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.stop());

interface Person {
  userId: string;
  token: string;
}
interface Created {
  channel: { id: string; handle: string; name: string; description: string | null; viewerCanManage: boolean } | null;
  userErrors: { code: string; field: string[] | null }[];
}

/** Somebody signed in, without the cost of a password. */
async function person(role: 'MEMBER' | 'ADMIN' = 'MEMBER'): Promise<Person> {
  const database = app.get(Database);
  const said = { email: `${randomUUID()}@example.org`, displayName: 'Ada' };
  const userId = await app.get(UsersService).create(database, said, 'no hash', role);
  const { sessionId, issuedAt } = await app.get(SessionsService).open(database, userId);
  return { userId, token: (await app.get(AccessTokens).sign({ sub: userId, sid: sessionId }, issuedAt)).token };
}

const newHandle = () => `c${randomUUID().slice(0, 8)}`;

async function create(by: Person, input: object = {}): Promise<Created> {
  const { data } = await app.graphql<{ createChannel: Created }>(
    `mutation ($input: CreateChannelInput!) { createChannel(input: $input) {
       channel { id handle name description viewerCanManage } userErrors { code field } } }`,
    { input: { handle: newHandle(), name: 'Ada films', ...input } },
    by.token,
  );
  return data.createChannel;
}

async function idsOf(
  by: Person,
  args = '',
): Promise<{ ids: string[]; hasNextPage: boolean; endCursor: string | null }> {
  const { data, errors } = await app.graphql<{
    viewer: { channels: { nodes: { id: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } } };
  }>(`{ viewer { channels${args} { nodes { id } pageInfo { hasNextPage endCursor } } } }`, {}, by.token);
  if (errors) throw new Error(errors[0]?.message);
  const { nodes, pageInfo } = data.viewer.channels;
  return { ids: nodes.map((node) => node.id), ...pageInfo };
}

describe('createChannel', () => {
  it('makes a channel that its maker owns', async () => {
    const ada = await person();
    const handle = `Ada.${newHandle()}`;
    const { channel, userErrors } = await create(ada, { handle, name: ' Ada films ', description: 'One.\r\nTwo.' });
    expect(userErrors).toEqual([]);
    expect(channel).toEqual({
      id: expect.any(String),
      handle,
      name: 'Ada films',
      description: 'One.\nTwo.',
      viewerCanManage: true,
    });
    const uuid = Buffer.from(channel?.id as string, 'base64url')
      .toString()
      .split(':')[1] as string;
    expect(await app.get(ChannelsService).roleOf(ada.userId, uuid)).toBe('OWNER');
    expect(await app.get(ChannelsService).roleOf((await person()).userId, uuid)).toBeNull();
  });

  it('gives a handle to one of twenty who ask at once, whatever the case; no half of a channel is left', async () => {
    const people = await Promise.all([...Array(20).keys()].map(() => person()));
    const handle = newHandle();
    const answers = await Promise.all(
      people.map((one, n) => create(one, { handle: n % 2 ? handle : handle.toUpperCase() })),
    );
    expect(answers.filter((answer) => answer.channel)).toHaveLength(1);
    for (const { channel, userErrors } of answers) {
      if (!channel) expect(userErrors).toEqual([{ code: 'HANDLE_TAKEN', field: ['handle'] }]);
    }
    const [row] = await app.database.query(
      `SELECT count(DISTINCT c.id)::int AS channels, count(m.*)::int AS owners
       FROM channel c LEFT JOIN channel_member m ON m.channel_id = c.id AND m.role = 'OWNER' WHERE c.handle_key = $1`,
      [handle.toLowerCase()],
    );
    expect(row).toEqual({ channels: 1, owners: 1 });
  });

  it.each([
    ['handle', 'INVALID_INPUT', { handle: 'a' }],
    ['handle', 'INVALID_INPUT', { handle: '../../etc' }],
    ['handle', 'INVALID_INPUT', { handle: 'ada\u0000' }],
    ['handle', 'HANDLE_RESERVED', { handle: 'GraphQL' }],
    ['name', 'INVALID_INPUT', { name: '' }],
    ['name', 'INVALID_INPUT', { name: '\u202egnp.exe' }],
    ['description', 'INVALID_INPUT', { description: 'x'.repeat(10_000) }],
    ['description', 'INVALID_INPUT', { description: 'a\u0000' }],
  ])('names %s with %s when that is wrong', async (field, code, wrong) => {
    expect(await create(await person(), wrong)).toEqual({ channel: null, userErrors: [{ code, field: [field] }] });
  });

  it('is for people who are signed in', async () => {
    const { errors } = await app.graphql(
      'mutation { createChannel(input: { handle: "nobody", name: "Nobody" }) { channel { id } } }',
    );
    expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  });
});

describe('channel', () => {
  const FIELDS = '{ id handle viewerCanManage }';
  const byId = (id: string, token?: string) =>
    app.graphql(`query ($id: ID!) { channel(id: $id) ${FIELDS} node(id: $id) { id } }`, { id }, token);
  const byHandle = (handle: string) =>
    app.graphql(`query ($handle: String!) { channel(handle: $handle) ${FIELDS} }`, { handle });

  it('is there for everybody, by id and by handle, but managed by its people alone', async () => {
    const [ada, editor, viewer, eve, root] = await Promise.all([
      person(),
      person(),
      person(),
      person(),
      person('ADMIN'),
    ]);
    const { channel } = await create(ada);
    const id = channel?.id as string;
    const uuid = Buffer.from(id, 'base64url').toString().split(':')[1];
    for (const [member, role] of [
      [editor, 'EDITOR'],
      [viewer, 'VIEWER'],
    ] as const) {
      await app.database.query('INSERT INTO channel_member (channel_id, user_id, role) VALUES ($1, $2, $3)', [
        uuid,
        member.userId,
        role,
      ]);
    }
    const seen = (viewerCanManage: boolean) => ({
      data: { channel: { id, handle: channel?.handle, viewerCanManage }, node: { id } },
    });
    expect(await byId(id, ada.token)).toEqual(seen(true));
    expect(await byId(id, editor.token)).toEqual(seen(true));
    expect(await byId(id, viewer.token)).toEqual(seen(false));
    expect(await byId(id, eve.token)).toEqual(seen(false));
    expect(await byId(id, root.token)).toEqual(seen(true));
    expect(await byId(id)).toEqual(seen(false));
    expect((await byHandle((channel?.handle as string).toUpperCase())).data).toEqual({
      channel: { id, handle: channel?.handle, viewerCanManage: false },
    });
  });

  it.each([
    Buffer.from(`Channel:${randomUUID()}`).toString('base64url'),
    Buffer.from(`Video:${randomUUID()}`).toString('base64url'),
    '',
    "x' OR 1=1",
    'x'.repeat(10_000),
  ])('is null for an id of nothing: %#', async (id) => {
    expect(await byId(id)).toEqual({ data: { channel: null, node: null } });
  });

  it.each([
    'nobody-here',
    '',
    'a\u0000b',
    'x'.repeat(10_000),
  ])('is null for a handle of nothing: %#', async (handle) => {
    expect(await byHandle(handle)).toEqual({ data: { channel: null } });
  });

  it.each(['', '(id: "x", handle: "y")'])('wants either id or handle: channel%s', async (args) => {
    const { errors } = await app.graphql(`{ channel${args} { id } }`);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  });
});

describe("a person's channels", () => {
  it('come newest first, page by page, each once, also when made in the same instant', async () => {
    const ada = await person();
    const made: string[] = [];
    for (let n = 0; n < 5; n++) made.push((await create(ada)).channel?.id as string);
    await app.database.query(
      `UPDATE channel_member SET created_at = '2026-01-01 10:00:00.123456+00' WHERE user_id = $1`,
      [ada.userId],
    );
    const latest = (await create(ada)).channel?.id as string;
    const all = await idsOf(ada);
    expect(all).toMatchObject({ hasNextPage: false });
    expect(all.ids[0]).toBe(latest);
    expect([...all.ids].sort()).toEqual([...made, latest].sort());

    const paged: string[] = [];
    for (let after = ''; ; ) {
      const page = await idsOf(ada, `(first: 2${after})`);
      paged.push(...page.ids);
      if (!page.hasNextPage) break;
      after = `, after: "${page.endCursor}"`;
    }
    expect(paged).toEqual(all.ids);
  });

  it('are counted, and are not shown to others', async () => {
    const [ada, eve] = await Promise.all([person(), person()]);
    await create(ada);
    const query =
      'query ($id: ID!) { node(id: $id) { ... on User { channels { totalCount nodes { viewerCanManage } } } } }';
    const id = Buffer.from(`User:${ada.userId}`).toString('base64url');
    expect((await app.graphql(query, { id }, ada.token)).data).toEqual({
      node: { channels: { totalCount: 1, nodes: [{ viewerCanManage: true }] } },
    });
    expect((await app.graphql(query, { id }, eve.token)).data).toEqual({ node: null });
    expect((await idsOf(eve)).ids).toEqual([]);
  });

  it('take null for the default length', async () => {
    const ada = await person();
    const { channel } = await create(ada);
    expect(channel).toMatchObject({ description: '' });
    expect((await idsOf(ada, '(first: null)')).ids).toEqual([channel?.id]);
  });

  it.each(['(first: 0)', '(first: 101)', '(after: "bm9uc2Vuc2U")'])('refuse %s', async (args) => {
    await expect(idsOf(await person(), args)).rejects.toThrow();
  });
});
