import { randomUUID } from 'node:crypto';
import { Database } from '../../src/common/database/index.js';
import { SessionsService } from '../../src/modules/auth/sessions.service.js';
import { UsersService } from '../../src/modules/users/index.js';
import { startApp, type TestApp } from '../support/index.js';

let app: TestApp;
let users: UsersService;
let database: Database;
beforeAll(async () => {
  app = await startApp();
  users = app.get(UsersService);
  database = app.get(Database);
});
afterAll(() => app.stop());

const newUser = (role: 'MEMBER' | 'ADMIN' = 'MEMBER') =>
  users.create(database, { email: `${randomUUID()}@example.org`, displayName: 'Ada' }, 'no hash', role);

/** An access token for the user, without the cost of a password. */
async function tokenOf(userId: string): Promise<string> {
  const { AccessTokens } = await import('../../src/modules/auth/access-tokens.js');
  const { sessionId, issuedAt } = await app.get(SessionsService).open(database, userId);
  return (await app.get(AccessTokens).sign({ sub: userId, sid: sessionId }, issuedAt)).token;
}

const idOf = (userId: string) => Buffer.from(`User:${userId}`).toString('base64url');

describe('quota', () => {
  it('takes what fits, all or nothing', async () => {
    const id = await newUser();
    expect(await users.reserveBytes(database, id, 60, 100)).toBe(true);
    expect(await users.reserveBytes(database, id, 41, 100)).toBe(false);
    expect(await users.reserveBytes(database, id, 40, 100)).toBe(true);
    await users.releaseBytes(database, id, 60);
    expect((await users.byId(id))?.usedBytes).toBe(40);
  });

  it('counts beyond 2^40', async () => {
    const id = await newUser();
    const most = Number.MAX_SAFE_INTEGER;
    expect(await users.reserveBytes(database, id, most - 1, most)).toBe(true);
    expect(await users.reserveBytes(database, id, 2, most)).toBe(false);
    expect((await users.byId(id))?.usedBytes).toBe(most - 1);
  });

  it('is kept when many reserve at once', async () => {
    const id = await newUser();
    const taken = await Promise.all([...Array(30).keys()].map(() => users.reserveBytes(database, id, 10, 100)));
    expect(taken.filter(Boolean)).toHaveLength(10);
    expect((await users.byId(id))?.usedBytes).toBe(100);
  });

  it('refuses to give back what nobody took', async () => {
    const id = await newUser();
    await expect(users.releaseBytes(database, id, 1)).rejects.toMatchObject({ driverError: { code: '23514' } });
  });

  it('is given back with the transaction that took it', async () => {
    const id = await newUser();
    const failed = database.tx(async (tx) => {
      await users.reserveBytes(tx, id, 10, 100);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect((await users.byId(id))?.usedBytes).toBe(0);
  });
});

describe('who sees an account', () => {
  const QUERY = 'query ($id: ID!) { node(id: $id) { id ... on User { displayName email } } }';

  it('that person and administrators; for all others it is as if it were not there', async () => {
    const [ada, eve, root] = [await newUser(), await newUser(), await newUser('ADMIN')];
    const seenBy = async (token?: string) => (await app.graphql(QUERY, { id: idOf(ada) }, token)).data;
    const seen = { node: { id: idOf(ada), displayName: 'Ada', email: (await users.byId(ada))?.email } };
    expect(await seenBy(await tokenOf(ada))).toEqual(seen);
    expect(await seenBy(await tokenOf(root))).toEqual(seen);

    const missing = (await app.graphql(QUERY, { id: idOf(randomUUID()) }, await tokenOf(root))).data;
    expect(missing).toEqual({ node: null });
    expect(await seenBy(await tokenOf(eve))).toEqual(missing);
    expect(await seenBy()).toEqual(missing);
  });

  it('has a viewer only when somebody is signed in', async () => {
    const ada = await newUser();
    expect((await app.graphql('{ viewer { id } }')).data).toEqual({ viewer: null });
    expect((await app.graphql('{ viewer { id } }', {}, await tokenOf(ada))).data).toEqual({
      viewer: { id: idOf(ada) },
    });
  });
});

describe('what is over', () => {
  it('is forgotten 7 days later, and nothing else is', async () => {
    const sessions = app.get(SessionsService);
    const id = await newUser();
    const ended = async (column: string, days: number) => {
      const { sessionId } = await sessions.open(database, id);
      await database.query(`UPDATE login_session SET ${column} = now() - $2 * interval '1 day' WHERE id = $1`, [
        sessionId,
        days,
      ]);
      return sessionId;
    };
    const [expired, revoked] = [await ended('expires_at', 8), await ended('revoked_at', 8)];
    const kept = [await ended('expires_at', 6), await ended('revoked_at', 6)];
    const first = await sessions.open(database, id);
    const second = await sessions.refresh(first.refreshToken);
    await sessions.refresh(second.refreshToken);
    await database.query(
      `UPDATE refresh_token SET used_at = now() - interval '8 days'
       WHERE hash = (SELECT hash FROM refresh_token WHERE session_id = $1 AND used_at IS NOT NULL ORDER BY created_at LIMIT 1)`,
      [first.sessionId],
    );

    expect(await sessions.sweep()).toBe(false);

    const left = await database.query<{ id: string; tokens: number }>(
      `SELECT s.id, count(t.*)::int AS tokens FROM login_session s LEFT JOIN refresh_token t ON t.session_id = s.id
       WHERE s.user_id = $1 GROUP BY s.id`,
      [id],
    );
    expect(new Map(left.map((row) => [row.id, row.tokens]))).toEqual(
      new Map([
        [kept[0], 1],
        [kept[1], 1],
        [first.sessionId, 2],
      ]),
    );
    expect(left.map((row) => row.id)).not.toEqual(expect.arrayContaining([expired, revoked]));
  });
});
