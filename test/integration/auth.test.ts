import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import WebSocket from 'ws';
import { LoginThrottle } from '../../src/modules/auth/login-throttle.js';
import { Passwords } from '../../src/modules/auth/passwords.js';
import { startApp, type TestApp, until } from '../support/index.js';

const PASSWORD = 'correct horse battery';
const SESSION = 'session { accessToken accessTokenExpiresAt refreshToken viewer { id email } }';
const ERRORS = 'userErrors { __typename code message field }';

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.stop());

interface Session {
  accessToken: string;
  accessTokenExpiresAt: string;
  refreshToken: string | null;
  viewer: { id: string; email: string };
}
interface Auth {
  session: Session | null;
  userErrors: { __typename: string; code: string; message: string; field: string[] | null }[];
}

async function call(mutation: string, input: object | null, token?: string): Promise<Auth> {
  const type = `${mutation[0]?.toUpperCase()}${mutation.slice(1)}Input`;
  const answer = await app.graphql<Record<string, Auth>>(
    `mutation ($input: ${type}${mutation === 'refreshSession' ? '' : '!'}) { ${mutation}(input: $input) { ${SESSION} ${ERRORS} } }`,
    { input },
    token,
  );
  if (answer.errors) throw Object.assign(new Error(answer.errors[0]?.message), answer.errors[0]?.extensions);
  return answer.data[mutation] as Auth;
}

const newEmail = () => `${randomUUID()}@example.org`;

async function signUp(email = newEmail()): Promise<Session & { refreshToken: string }> {
  const { session } = await call('register', { email, password: PASSWORD, displayName: 'Ada' });
  return session as Session & { refreshToken: string };
}

async function viewer(token: string): Promise<{ id: string } | null | string> {
  const { data, errors } = await app.graphql<{ viewer: { id: string } | null }>('{ viewer { id } }', {}, token);
  return errors?.[0]?.extensions.code ?? data.viewer;
}

const refresh = (refreshToken: string) => call('refreshSession', { refreshToken });
const codes = (auth: Auth) => auth.userErrors.map((error) => error.code);

describe('register', () => {
  it('makes an account and signs in; the session works at once', async () => {
    const email = newEmail();
    const { session, userErrors } = await call('register', { email, password: PASSWORD, displayName: ' Ada ' });
    expect(userErrors).toEqual([]);
    expect(session?.viewer).toEqual({ id: expect.any(String), email });
    const minutes = (Date.parse(session?.accessTokenExpiresAt as string) - Date.now()) / 60_000;
    expect(minutes).toBeGreaterThan(9.5);
    expect(minutes).toBeLessThanOrEqual(10.1);
    expect(await viewer(session?.accessToken as string)).toEqual({ id: session?.viewer.id });
  });

  it('takes an address once, whatever its case, also when several ask at once', async () => {
    const email = newEmail();
    const attempts = [...Array(5).keys()].map((n) =>
      call('register', { email: n % 2 ? email : email.toUpperCase(), password: PASSWORD, displayName: 'Ada' }),
    );
    const answers = await Promise.all(attempts);
    expect(answers.filter((answer) => answer.session)).toHaveLength(1);
    const refused = answers.filter((answer) => !answer.session);
    for (const { userErrors } of refused) {
      expect(userErrors).toEqual([
        { __typename: 'InvalidInput', code: 'EMAIL_TAKEN', message: expect.any(String), field: ['email'] },
      ]);
    }
  });

  it.each([
    ['email', { email: 'nobody' }],
    ['email', { email: 'a\u0000@example.org' }],
    ['email', { email: `${'a'.repeat(10_000)}@example.org` }],
    ['password', { password: 'too short' }],
    ['password', { password: 'x'.repeat(201) }],
    ['displayName', { displayName: ' ' }],
    ['displayName', { displayName: 'a\u0000b' }],
    ['displayName', { displayName: '\u202eadA' }],
    ['displayName', { displayName: 'x'.repeat(10_000) }],
  ])('names %s when that is wrong', async (field, wrong) => {
    const answer = await call('register', { email: newEmail(), password: PASSWORD, displayName: 'Ada', ...wrong });
    expect(answer).toEqual({
      session: null,
      userErrors: [{ __typename: 'InvalidInput', code: 'INVALID_INPUT', message: expect.any(String), field: [field] }],
    });
  });

  it('keeps no password and no token that could be used', async () => {
    const { refreshToken } = await signUp();
    const rows = await app.database.query(
      `SELECT u.password_hash, encode(t.hash, 'base64') AS hash FROM app_user u
       JOIN login_session s ON s.user_id = u.id JOIN refresh_token t ON t.session_id = s.id`,
    );
    for (const { password_hash } of rows)
      expect(password_hash).toMatch(/^\$argon2id\$v=19\$m=65536,p=1,t=3\$|^\$argon2id\$v=19\$m=65536,t=3,p=1\$/);
    expect(JSON.stringify(rows)).not.toContain(refreshToken);
    expect(JSON.stringify(rows)).not.toContain(Buffer.from(refreshToken, 'base64url').toString('base64'));
  });

  it('is refused where registration is closed', async () => {
    const closed = await startApp({ registration: 'closed' });
    const { data } = await closed.graphql<{ register: Auth }>(
      `mutation ($input: RegisterInput!) { register(input: $input) { ${SESSION} ${ERRORS} } }`,
      { input: { email: newEmail(), password: PASSWORD, displayName: 'Ada' } },
    );
    await closed.stop();
    expect(data.register).toMatchObject({ session: null, userErrors: [{ code: 'REGISTRATION_CLOSED' }] });
  });
});

describe('in the rest of the operation', () => {
  it('who signed in acts, and who signed out does not', async () => {
    const { data, errors } = await app.graphql(
      `mutation ($input: RegisterInput!, $handle: String!) {
         register(input: $input) { session { viewer { channels { totalCount } } } }
         createChannel(input: { handle: $handle, name: "Ada" }) { channel { viewerCanManage } }
         logout { userErrors { code } }
         late: createChannel(input: { handle: "late", name: "Ada" }) { channel { id } }
       }`,
      { input: { email: newEmail(), password: PASSWORD, displayName: 'Ada' }, handle: `c${randomUUID().slice(0, 8)}` },
    );
    expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' }, path: ['late'] }]);
    expect(data).toBeNull();
  });
});

describe('login', () => {
  const login = (email: string, password = PASSWORD) => call('login', { email, password });
  /** Each attempt of a test comes from this machine: what they count must not add up across tests. */
  const forget = async () => {
    const redis = new Redis(app.config.redisUrl);
    const keys = await redis.keys(`${app.config.redisPrefix}login:*`);
    if (keys.length > 0) await redis.del(keys);
    redis.disconnect();
  };
  beforeEach(forget);

  it('signs in, whatever the case of the address', async () => {
    const email = newEmail();
    const before = await signUp(email);
    const { session } = await login(email.toUpperCase());
    expect(session?.viewer).toEqual(before.viewer);
    expect(session?.refreshToken).toEqual(expect.any(String));
  });

  it('answers a wrong password and an unknown address alike', async () => {
    const email = newEmail();
    await signUp(email);
    const wrong = await login(email, 'wrong horse battery');
    const unknown = await login(newEmail());
    expect(wrong).toEqual(unknown);
    expect(codes(wrong)).toEqual(['INVALID_CREDENTIALS']);
  });

  it('counts attempts, not requests: aliases are no way around it', async () => {
    const email = newEmail();
    await signUp(email);
    const attempt = (n: number) =>
      `a${n}: login(input: { email: "${email}", password: "wrong horse battery" }) { userErrors { code } }`;
    const five = () => app.graphql(`mutation { ${[1, 2, 3, 4, 5].map(attempt).join(' ')} }`);
    const free = await five();
    expect(free.errors).toBeUndefined();
    const refused = await five();
    expect(refused.errors?.[0]?.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    // Also with the right password, which is not even looked at.
    await expect(login(email)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  });

  it('lets no more than the free attempts through when thirty come at once', async () => {
    const email = newEmail();
    const attempts = await Promise.allSettled([...Array(30).keys()].map(() => login(email, 'wrong horse battery')));
    expect(attempts.filter((attempt) => attempt.status === 'fulfilled')).toHaveLength(5);
  });

  it('waits longer after each further attempt, and starts anew after the right password', async () => {
    const email = newEmail();
    await signUp(email);
    const redis = new Redis(app.config.redisUrl);
    const waitAfter = async () => {
      const error = await login(email).catch((refusal: { retryAfterMs: number }) => refusal);
      return 'retryAfterMs' in error ? Math.round(error.retryAfterMs / 1000) : 0;
    };
    const openAgain = async () => {
      for (const key of await redis.keys(`${app.config.redisPrefix}login:*`)) await redis.hdel(key, 'closed_until');
    };
    for (let n = 0; n < 5; n++) await login(email, 'wrong horse battery');
    const waits: number[] = [];
    for (let n = 0; n < 4; n++) {
      waits.push(await waitAfter());
      await openAgain();
      await login(email, 'wrong horse battery');
    }
    expect(waits[0]).toBeGreaterThanOrEqual(55);
    for (let n = 1; n < 4; n++) expect((waits[n] as number) / (waits[n - 1] as number)).toBeCloseTo(2, 0);
    await openAgain();
    expect((await login(email)).session).not.toBeNull();
    for (let n = 0; n < 5; n++)
      expect(codes(await login(email, 'wrong horse battery'))).toEqual(['INVALID_CREDENTIALS']);
    redis.disconnect();
  });

  it('slows down one address that tries many accounts, but not for those whose password is right', async () => {
    const email = newEmail();
    await signUp(email);
    for (let n = 0; n < 19; n++) await login(newEmail(), 'wrong horse battery');
    for (let n = 0; n < 3; n++) expect((await login(email)).session).not.toBeNull();
    await login(newEmail(), 'wrong horse battery');
    await expect(login(email)).rejects.toMatchObject({ code: 'RATE_LIMITED' });
  });

  it('takes thirty right passwords of an account in its window, and compares none that comes then', async () => {
    const email = newEmail();
    await signUp(email);
    const throttle = app.get(LoginThrottle);
    for (let n = 0; n < 29; n++) await throttle.countingRight(email, async () => n);
    const failing = async () => {
      throw new Error('wrong');
    };
    for (let n = 0; n < 40; n++) await expect(throttle.countingRight(email, failing)).rejects.toThrow('wrong');
    await until(
      async () => (await login(email)).session,
      (session) => session !== null,
    );
    const compared = jest.spyOn(app.get(Passwords), 'matches');
    await expect(login(email)).rejects.toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    expect(compared).not.toHaveBeenCalled();
    compared.mockRestore();
  });

  it('lets nobody in while Redis is away, and everything else goes on', async () => {
    const away = await startApp({ redisUrl: 'redis://127.0.0.1:1' });
    const email = newEmail();
    const registered = await away.graphql<{ register: Auth }>(
      `mutation ($input: RegisterInput!) { register(input: $input) { ${SESSION} } }`,
      { input: { email, password: PASSWORD, displayName: 'Ada' } },
    );
    const { session } = registered.data.register;
    const { errors } = await away.graphql(`mutation ($input: LoginInput!) { login(input: $input) { ${SESSION} } }`, {
      input: { email, password: PASSWORD },
    });
    const again = await away.graphql<{ refreshSession: Auth }>(
      `mutation ($input: RefreshSessionInput) { refreshSession(input: $input) { ${SESSION} } }`,
      { input: { refreshToken: session?.refreshToken } },
    );
    await away.stop();
    expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
    expect(again.data.refreshSession.session).not.toBeNull();
  });
});

describe('refreshSession', () => {
  it('rotates: every token is used once, every access token works', async () => {
    const first = await signUp();
    const second = await refresh(first.refreshToken);
    const third = await refresh(second.session?.refreshToken as string);
    const tokens = [first.refreshToken, second.session?.refreshToken, third.session?.refreshToken];
    expect(new Set(tokens).size).toBe(3);
    expect(await viewer(third.session?.accessToken as string)).toEqual({ id: first.viewer.id });
  });

  it('gives twenty at once the same successor, and the session lives on', async () => {
    const { refreshToken } = await signUp();
    const answers = await Promise.all([...Array(20).keys()].map(() => refresh(refreshToken)));
    const successors = new Set(answers.map((answer) => answer.session?.refreshToken));
    expect(successors.size).toBe(1);
    const [successor] = successors;
    expect((await refresh(successor as string)).session).not.toBeNull();
    const [kept] = await app.database.query<{ unused: number }>(
      `SELECT count(*) FILTER (WHERE t.used_at IS NULL)::int AS unused FROM refresh_token t
       WHERE t.session_id = (SELECT id FROM login_session ORDER BY created_at DESC LIMIT 1)`,
    );
    expect(kept?.unused).toBe(1);
  });

  it('gives a client whose answer was lost the same successor for 60 s, and then ends the session', async () => {
    const { refreshToken, accessToken } = await signUp();
    const { session } = await refresh(refreshToken);
    await usedAgo(accessToken, 59);
    expect((await refresh(refreshToken)).session?.refreshToken).toBe(session?.refreshToken);
    await usedAgo(accessToken, 61);
    expect(codes(await refresh(refreshToken))).toEqual(['REFRESH_TOKEN_INVALID']);
    expect(codes(await refresh(session?.refreshToken as string))).toEqual(['REFRESH_TOKEN_INVALID']);
    expect(await viewer(accessToken)).toBe('UNAUTHENTICATED');
    expect(await revokeReason(accessToken)).toBe('REFRESH_TOKEN_REUSED');
  });

  it('ends the session at once when a token comes again whose successor was used', async () => {
    const { refreshToken, accessToken } = await signUp();
    const second = await refresh(refreshToken);
    const third = await refresh(second.session?.refreshToken as string);
    expect(codes(await refresh(refreshToken))).toEqual(['REFRESH_TOKEN_INVALID']);
    expect(codes(await refresh(third.session?.refreshToken as string))).toEqual(['REFRESH_TOKEN_INVALID']);
    expect(await viewer(accessToken)).toBe('UNAUTHENTICATED');
  });

  it('ends no other session of the same person', async () => {
    const email = newEmail();
    const stolen = await signUp(email);
    const other = (await call('login', { email, password: PASSWORD })).session as Session;
    const second = await refresh(stolen.refreshToken);
    await refresh(second.session?.refreshToken as string);
    await refresh(stolen.refreshToken);
    expect(await viewer(stolen.accessToken)).toBe('UNAUTHENTICATED');
    expect(await viewer(other.accessToken)).toEqual({ id: stolen.viewer.id });
  });

  it.each(['', 'x', 'a\u0000b', 'x'.repeat(10_000)])('refuses %j', async (refreshToken) => {
    expect(await refresh(refreshToken)).toMatchObject({
      session: null,
      userErrors: [{ code: 'REFRESH_TOKEN_INVALID' }],
    });
  });

  it('refuses when the session has expired, and reaches no further than 180 days', async () => {
    const { refreshToken, accessToken } = await signUp();
    await app.database.query(`UPDATE login_session SET created_at = now() - interval '179 days' WHERE id = $1`, [
      sessionOf(accessToken),
    ]);
    const { session } = await refresh(refreshToken);
    const [row] = await app.database.query<{ days: number }>(
      `SELECT extract(epoch FROM expires_at - now()) / 86400 AS days FROM login_session WHERE id = $1`,
      [sessionOf(accessToken)],
    );
    expect(Number(row?.days)).toBeLessThan(1.1);
    await app.database.query('UPDATE login_session SET expires_at = now() WHERE id = $1', [sessionOf(accessToken)]);
    expect(codes(await refresh(session?.refreshToken as string))).toEqual(['REFRESH_TOKEN_INVALID']);
    expect(await viewer(accessToken)).toBe('UNAUTHENTICATED');
  });

  async function usedAgo(accessToken: string, seconds: number): Promise<void> {
    await app.database.query(
      `UPDATE refresh_token SET used_at = now() - $2 * interval '1 s' WHERE session_id = $1 AND used_at IS NOT NULL`,
      [sessionOf(accessToken), seconds],
    );
  }

  async function revokeReason(accessToken: string): Promise<string | null | undefined> {
    const [row] = await app.database.query<{ revoke_reason: string | null }>(
      'SELECT revoke_reason FROM login_session WHERE id = $1',
      [sessionOf(accessToken)],
    );
    return row?.revoke_reason;
  }
});

describe('the access token', () => {
  it('is signed with HS256 and says for whom, from whom and until when', async () => {
    const { accessToken } = await signUp();
    expect(part(accessToken, 0)).toEqual({ alg: 'HS256', typ: 'JWT', kid: expect.stringMatching(/^[0-9a-f]{16}$/) });
    const claims = part(accessToken, 1) as { iat: number };
    expect(claims).toEqual({
      sub: expect.any(String),
      sid: expect.any(String),
      iss: app.config.publicUrl,
      aud: 'sluice-api',
      iat: expect.any(Number),
      exp: claims.iat + 600,
    });
  });

  it.each([
    ['no signature', { alg: 'none' }, {}, ''],
    ['another algorithm', { alg: 'HS512' }, {}, 'HS512'],
    ['another key', {}, {}, 'wrong'],
    ['another key id', { kid: '0'.repeat(16) }, {}, 'right'],
    ['another audience', {}, { aud: 'elsewhere' }, 'right'],
    ['another issuer', {}, { iss: 'https://elsewhere.example' }, 'right'],
    ['its time over', {}, { iat: 1_700_000_000, exp: 1_700_000_600 }, 'right'],
    ["another's session", {}, { sub: randomUUID() }, 'right'],
    ['no session', {}, { sid: randomUUID() }, 'right'],
  ])('is refused with %s', async (_, head, claims, key) => {
    const { accessToken } = await signUp();
    const forged = await forge(
      { ...(part(accessToken, 0) as object), ...head },
      { ...(part(accessToken, 1) as object), ...claims },
      key,
    );
    expect(await viewer(forged)).toBe('UNAUTHENTICATED');
  });

  it('is refused once its time is over, also where it was good a moment ago', async () => {
    const { accessToken, viewer: me } = await signUp();
    const claims = { ...(part(accessToken, 1) as object), exp: Math.floor(Date.now() / 1000) + 3 };
    const ending = await forge(part(accessToken, 0), claims, 'right');
    expect(await viewer(ending)).toEqual({ id: me.id });
    await until(
      () => viewer(ending),
      (answer) => answer === 'UNAUTHENTICATED',
    );
  });

  it.each([-2, 2])("goes by the database's clock: this machine's is %i h off", async (hours) => {
    const { accessToken, viewer: me } = await signUp();
    const here = Date.now;
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => here() + hours * 3_600_000);
    try {
      expect(await viewer(accessToken)).toEqual({ id: me.id });
      const over = { ...(part(accessToken, 1) as object), exp: Math.floor(here() / 1000) - 1 };
      expect(await viewer(await forge(part(accessToken, 0), over, 'right'))).toBe('UNAUTHENTICATED');
    } finally {
      clock.mockRestore();
    }
  });

  it('is forged well enough for these tests', async () => {
    const { accessToken, viewer: me } = await signUp();
    expect(await viewer(await forge(part(accessToken, 0), part(accessToken, 1), 'right'))).toEqual({ id: me.id });
  });

  async function forge(head: unknown, claims: unknown, key: string): Promise<string> {
    const { createHmac } = await import('node:crypto');
    const text = [head, claims].map((one) => Buffer.from(JSON.stringify(one)).toString('base64url')).join('.');
    if (key === '') return `${text}.`;
    const hash = key === 'HS512' ? 'sha512' : 'sha256';
    const secret = key === 'wrong' ? randomUUID() : app.config.tokenSecret;
    return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`;
  }
});

describe('logout', () => {
  it('ends the session everywhere at once, and once more changes nothing', async () => {
    const { accessToken, refreshToken } = await signUp();
    expect(await logout(accessToken)).toEqual([]);
    expect(await viewer(accessToken)).toBe('UNAUTHENTICATED');
    expect(codes(await refresh(refreshToken))).toEqual(['REFRESH_TOKEN_INVALID']);
    expect(await logout(accessToken)).toEqual([]);
  });

  it("closes the session's sockets within 2 s, and no other's", async () => {
    const leaving = await signUp();
    const staying = await signUp();
    const [leaver, stayer] = await Promise.all([connect(leaving.accessToken), connect(staying.accessToken)]);
    const closed = new Promise<number>((resolve) => leaver.once('close', resolve));
    const begun = performance.now();
    await logout(leaving.accessToken);
    expect(await closed).toBe(4401);
    expect(performance.now() - begun).toBeLessThan(2_000);
    expect(stayer.readyState).toBe(WebSocket.OPEN);
    stayer.terminate();
  });

  it('is effective in another process within 2 s, also when the hint is lost', async () => {
    const other = await startApp({
      databaseUrl: app.config.databaseUrl,
      tokenSecret: app.config.tokenSecret,
      publicUrl: app.config.publicUrl,
      redisPrefix: `${app.config.redisPrefix}elsewhere:`,
    });
    const { accessToken } = await signUp();
    const socket = await connect(accessToken, other.url);
    const closed = new Promise<number>((resolve) => socket.once('close', resolve));
    const begun = performance.now();
    await app.database.query('UPDATE login_session SET revoked_at = now() WHERE id = $1', [sessionOf(accessToken)]);
    const { errors } = await until(
      () => other.graphql('{ viewer { id } }', {}, accessToken),
      (answer) => answer.errors !== undefined,
      50,
    );
    expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
    expect(await closed).toBe(4401);
    expect(performance.now() - begun).toBeLessThan(2_000);
    await other.stop();
  });

  async function logout(token: string): Promise<unknown> {
    const { data } = await app.graphql<{ logout: Auth }>('mutation { logout { userErrors { code } } }', {}, token);
    return data.logout.userErrors;
  }

  async function connect(token: string, url = app.url): Promise<WebSocket> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    const acknowledged = new Promise<string>((resolve, reject) => {
      socket.once('message', (data) => resolve(String(data)));
      socket.once('close', (code, reason) => reject(new Error(`closed: ${code} ${reason}`)));
    });
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
    expect(await acknowledged).toContain('connection_ack');
    return socket;
  }
});

describe('by cookie', () => {
  it('keeps the refresh token from scripts: signs in, refreshes and signs out', async () => {
    const email = newEmail();
    await signUp(email);
    const signedIn = await browser(
      `mutation { login(input: { email: "${email}", password: "${PASSWORD}", cookie: true }) { ${SESSION} } }`,
    );
    expect(signedIn.data.login?.session).toMatchObject({ refreshToken: null, viewer: { email } });
    expect(signedIn.setCookie).toMatch(
      /^sluice_refresh=[\w-]{43}; Max-Age=2592000; Path=\/graphql; HttpOnly; SameSite=Strict$/,
    );
    const refreshed = await browser(`mutation { refreshSession { ${SESSION} ${ERRORS} } }`, signedIn.cookie);
    expect(refreshed.data.refreshSession).toMatchObject({ session: { refreshToken: null }, userErrors: [] });
    expect(refreshed.cookie).not.toBe(signedIn.cookie);
    const signedOut = await browser('mutation { logout { userErrors { code } } }', refreshed.cookie);
    expect(signedOut.setCookie).toMatch(/^sluice_refresh=; Max-Age=0; Path=\/graphql/);
    expect(await viewer(refreshed.data.refreshSession?.session?.accessToken as string)).toBe('UNAUTHENTICATED');
    const late = await browser(`mutation { refreshSession { ${SESSION} ${ERRORS} } }`, refreshed.cookie);
    expect(late.data.refreshSession?.userErrors).toMatchObject([{ code: 'REFRESH_TOKEN_INVALID' }]);
  });

  it('has no session without one', async () => {
    const { data, setCookie } = await browser(`mutation { refreshSession { ${SESSION} ${ERRORS} } }`);
    expect(data.refreshSession?.userErrors).toMatchObject([{ code: 'REFRESH_TOKEN_INVALID' }]);
    expect(setCookie).toBeNull();
  });

  it('is for https alone where PUBLIC_URL is', async () => {
    const secure = await startApp({ publicUrl: 'https://video.example.org' });
    const { refreshToken: _, viewer: __ } = await signUp();
    await secure.graphql(`mutation ($input: RegisterInput!) { register(input: $input) { ${SESSION} } }`, {
      input: { email: 'ada@example.org', password: PASSWORD, displayName: 'Ada' },
    });
    const { setCookie } = await browser(
      `mutation { login(input: { email: "ada@example.org", password: "${PASSWORD}", cookie: true }) { ${SESSION} } }`,
      undefined,
      secure.url,
    );
    await secure.stop();
    expect(setCookie).toMatch(/; Secure$/);
  });

  async function browser(query: string, cookie = '', url = app.url) {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', cookie },
      body: JSON.stringify({ query }),
    });
    const { data } = (await response.json()) as { data: Record<string, Auth | undefined> };
    const setCookie = response.headers.get('set-cookie');
    return { data, setCookie, cookie: setCookie?.split(';')[0] };
  }
});

const part = (token: string, index: number): unknown =>
  JSON.parse(Buffer.from(token.split('.')[index] as string, 'base64url').toString());
const sessionOf = (accessToken: string) => (part(accessToken, 1) as { sid: string }).sid;
