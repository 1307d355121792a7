import { randomBytes, randomUUID } from 'node:crypto';
import http, { type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { Database, type Sql } from '../../src/common/database/index.js';
import { RateLimits } from '../../src/common/rate-limits/index.js';
import { UploadsService } from '../../src/modules/uploads/index.js';
import { UploadWriters } from '../../src/modules/uploads/upload-writers.service.js';
import { UsersService } from '../../src/modules/users/index.js';
import { type Answer, ApiClient, chunkOf, rowId, startApp, type TestApp, until } from '../support/index.js';
import { brokenInvariants } from '../support/invariants.js';

/** Bounds that hold against whoever tries, alone or many at once. */

const MB = 1_000_000;
const BYTES = 'application/offset+octet-stream';
const TUS = { 'tus-resumable': '1.0.0' };
const USER_MB = 100;
const INSTALLATION_MB = 170;

let app: TestApp;
let users: { client: ApiClient; channelId: string }[];
let ada: ApiClient;
let channelId: string;

beforeAll(async () => {
  app = await startApp({
    uploadQuotaBytes: USER_MB * MB,
    installationQuotaBytes: INSTALLATION_MB * MB,
    maxOpenUploads: 20,
  });
  users = [];
  for (let k = 0; k < 5; k++) {
    const client = await ApiClient.signUp(app.url);
    users.push({ client, channelId: await client.createChannel() });
  }
  ({ client: ada, channelId } = users[0] as (typeof users)[0]);
});
afterAll(() => app.stop());
afterEach(async () => {
  for (const { client } of users) {
    const { nodes } = (await client.query('{ viewer { uploadSessions(state: OPEN, first: 100) { nodes { id } } } }'))
      .viewer.uploadSessions;
    await Promise.all(nodes.map(({ id }: { id: string }) => client.move('cancel', id)));
  }
  expect(await app.database.query('SELECT sum(used_bytes)::int AS held FROM app_user')).toEqual([{ held: 0 }]);
  expect(await brokenInvariants(app.database)).toEqual({});
});

const begin = (sizeBytes: number, more: object = {}): Promise<Answer> =>
  ada.createSession({ channelId, sizeBytes, ...more });
const codes = (answer: Answer): string[] => answer.userErrors.map((error: Answer) => error.code);
const tusUrl = async (id: string): Promise<string> =>
  (await ada.query('query ($id: ID!) { uploadSession(id: $id) { tusUrl } }', { id })).uploadSession.tusUrl;
const tus = (method: string, url: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, { method, headers: { ...TUS, ...headers } });
const refusal = async (response: Response): Promise<[number, string]> => [
  response.status,
  ((await response.json()) as { code: string }).code,
];

describe('quota', () => {
  it('of the installation: of fifty at once, from five users, exactly as many as fit', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, k) => {
        const { client, channelId } = users[k % users.length] as (typeof users)[0];
        return client.createSession({ channelId, sizeBytes: 10 * MB });
      }),
    );
    const made = answers.filter(({ session }) => session);
    expect(made).toHaveLength(INSTALLATION_MB / 10);
    for (const { session, userErrors } of answers) {
      if (session) continue;
      expect(userErrors).toMatchObject([{ code: 'QUOTA_EXCEEDED', limitBytes: INSTALLATION_MB * MB }]);
    }
    const scope = await ada.query(
      `mutation ($input: CreateUploadSessionInput!) { createUploadSession(input: $input) { userErrors { ... on QuotaExceeded { scope usedBytes } } } }`,
      { input: { channelId, fileName: 'a', sizeBytes: MB, idempotencyKey: randomUUID() } },
    );
    expect(scope.createUploadSession.userErrors).toEqual([{ scope: 'INSTALLATION', usedBytes: INSTALLATION_MB * MB }]);
    // What one gives back another may have.
    const owner = users[answers.indexOf(made[0]) % users.length] as (typeof users)[0];
    await owner.client.move('cancel', made[0].session.id);
    const client = await ApiClient.signUp(app.url);
    const own = await client.createChannel();
    users.push({ client, channelId: own });
    const [{ userId }] = (await app.database.query(
      'SELECT id AS "userId" FROM app_user ORDER BY created_at DESC LIMIT 1',
    )) as [{ userId: string }];
    const told = (role: 'MEMBER' | 'ADMIN') =>
      app.get(UploadsService).create(
        { userId, sessionId: randomUUID(), role },
        {
          ...{ channelId: rowId(own), fileName: 'a', sizeBytes: 20 * MB },
          ...{ visibility: 'PRIVATE' as const, idempotencyKey: role },
        },
      );
    // How much all store is for administrators.
    await expect(told('MEMBER')).rejects.toMatchObject({ usedBytes: INSTALLATION_MB * MB });
    await expect(told('ADMIN')).rejects.toMatchObject({ usedBytes: (INSTALLATION_MB - 10) * MB });
    expect(codes(await begin(10 * MB))).toEqual([]);
    expect(codes(await begin(1))).toEqual(['QUOTA_EXCEEDED']);
  });

  it('of the installation: who asks for the sum sees whatever was reserved before, or waits for it', async () => {
    const service = app.get(UsersService);
    const [first, second] = (await app.database.query('SELECT id FROM app_user ORDER BY id LIMIT 2')) as {
      id: string;
    }[];
    const sums: number[] = [];
    let began = () => {};
    const begun = new Promise<void>((resolve) => {
      began = resolve;
    });
    const reserve = (id: string, whenHeld: () => Promise<void>) =>
      app.get(Database).tx(async (tx) => {
        await service.reserveBytes(tx, id, 10 * MB, USER_MB * MB);
        began();
        sums.push((await service.lockHeldBytes(tx)) / MB);
        await whenHeld();
      });
    const other = begun.then(() => reserve(second?.id as string, async () => {}));
    const waiting = () =>
      app.database.query(
        `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      );
    await reserve(first?.id as string, async () => {
      await until(waiting, (locks) => locks.length > 0 || sums.length > 1, 20);
    });
    await other;
    // Who comes first is chance: that one waited for the other is told by the sums.
    expect(sums).toEqual([10, 20]);
    for (const user of [first, second]) await service.releaseBytes(app.database as Sql, user?.id as string, 10 * MB);
  });

  it('of a user: of fifty at once exactly as many as fit, and it says whose quota it was', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => begin(30 * MB)));
    expect(answers.filter(({ session }) => session)).toHaveLength(Math.floor(USER_MB / 30));
    const { userErrors } = answers.find(({ session }) => !session);
    expect(userErrors).toMatchObject([{ code: 'QUOTA_EXCEEDED', limitBytes: USER_MB * MB }]);
  });

  it('is given back by whatever ends an upload', async () => {
    const held = async () =>
      (await app.database.query<{ held: number }>('SELECT sum(used_bytes)::int AS held FROM app_user'))[0]?.held;
    const [cancelled, expired, deleted] = [await begin(10), await begin(20), await begin(40)];
    expect(await held()).toBe(70);
    await ada.move('cancel', cancelled.session.id);
    expect(await held()).toBe(60);
    await app.database.query(
      `UPDATE upload_session SET expires_at = '2026-01-01', expiry_announced = '2026-01-01' WHERE id = $1`,
      [rowId(expired.session.id)],
    );
    await app.get(UploadsService).expire();
    expect(await held()).toBe(40);
    await ada.query('mutation ($id: ID!) { deleteVideo(input: { videoId: $id }) { userErrors { code } } }', {
      id: deleted.session.video.id,
    });
    await until(held, (bytes) => bytes === 0);
  });
});

it('unfinished uploads of one user: of fifty at once exactly as many as allowed', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => begin(1)));
  const made = answers.filter(({ session }) => session);
  expect(made).toHaveLength(20);
  expect(codes(answers.find(({ session }) => !session))).toEqual(['TOO_MANY_OPEN_UPLOADS']);
  const refused = await tus('POST', `${app.url}/tus`, {
    'upload-length': '1',
    authorization: `Bearer ${ada.token}`,
  });
  expect(await refusal(refused)).toEqual([403, 'TOO_MANY_OPEN_UPLOADS']);
  await ada.move('cancel', made[0].session.id);
  expect(codes(await begin(1))).toEqual([]);
});

describe('what can be no video', () => {
  it.each([
    ['notes.txt', 'text/plain', 'contentType'],
    ['photo.jpg', undefined, 'fileName'],
    ['film.mp4', 'application/vnd.apple.mpegurl', 'contentType'],
  ])('%s of type %s is refused before a byte is sent, in both lanes', async (fileName, contentType, field) => {
    const answer = await begin(1000, { fileName, contentType });
    expect(answer.userErrors).toMatchObject([{ code: 'UNSUPPORTED_TYPE', field: [field] }]);
    const metadata = [`filename ${Buffer.from(fileName).toString('base64')}`];
    if (contentType) metadata.push(`filetype ${Buffer.from(contentType).toString('base64')}`);
    const response = await tus('POST', `${app.url}/tus`, {
      'upload-length': '1000',
      'upload-metadata': metadata.join(','),
      authorization: `Bearer ${ada.token}`,
    });
    expect(await refusal(response)).toEqual([415, 'UNSUPPORTED_TYPE']);
  });

  it('is only what surely is none', async () => {
    for (const [fileName, contentType] of [
      ['film', 'application/octet-stream'],
      ['film.xyz', null],
      ['film.ts', 'text/vnd.trolltech.linguist'],
    ]) {
      expect(codes(await begin(1, { fileName, contentType }))).toEqual([]);
    }
  });
});

it('an append address opens its own session, and only while it lives', async () => {
  const [mine, other] = [(await begin(100)).session.id, (await begin(100)).session.id];
  const [url, otherUrl] = [await tusUrl(mine), await tusUrl(other)];
  const [id, mac] = url.split('/').at(-1)?.split('.') as [string, string];
  const base = `${app.url}/tus/`;
  const guesses = {
    'no mac': id,
    'a mac cut short': `${id}.${mac.slice(0, -1)}`,
    'a mac of another session': `${id}.${otherUrl.split('.').at(-1)}`,
    'another mac': `${id}.${mac.startsWith('A') ? 'B' : 'A'}${mac.slice(1)}`,
    'the id of the API': mine,
    'the id of the database': rowId(mine),
  };
  for (const [what, guess] of Object.entries(guesses)) {
    const statuses = await Promise.all([
      tus('HEAD', base + guess),
      tus('PATCH', base + guess, { 'content-type': BYTES, 'upload-offset': '0' }),
      tus('DELETE', base + guess),
    ]);
    expect([what, ...statuses.map(({ status }) => status)]).toEqual([what, 404, 404, 404]);
  }
  expect((await tus('HEAD', url)).status).toBe(200);
  // What may be guessed at all: 122 bits of chance in each id, and no order among them.
  expect(rowId(mine)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/);
  await ada.move('cancel', mine);
  for (const method of ['HEAD', 'PATCH', 'DELETE']) expect((await tus(method, url)).status).toBe(410);
  expect((await tus('HEAD', otherUrl)).status).toBe(200);
});

describe('what comes too often', () => {
  const spend = (name: string, key: string, points: number, all: number) =>
    app.get(RateLimits).spend({ name, points: all, seconds: 60 }, key, points);

  it('is refused with when to come again, at the append lane', async () => {
    const url = await tusUrl((await begin(100)).session.id);
    const first = await tus('HEAD', url);
    expect(first.headers.get('ratelimit-policy')).toBe('"tus";q=6000;w=60');
    const [, left] = /^"tus";r=(\d+);t=\d+$/.exec(first.headers.get('ratelimit') ?? '') ?? [];
    await spend('tus', '127.0.0.1', Number(left) - 1, 6000);
    expect((await tus('HEAD', url)).status).toBe(200);
    const refused = await tus('POST', `${app.url}/tus`);
    // 429 would be final to stock clients, and of a HEAD everything but 423 would have them begin the file anew.
    expect(await refusal(refused)).toEqual([503, 'RATE_LIMITED']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(1);
    const asked = await tus('HEAD', url);
    expect([asked.status, Number(asked.headers.get('retry-after')) > 1]).toEqual([423, true]);
    expect((await tus('GET', `${url}/ranges`)).status).toBe(429);
    // Questions of browsers are answered: a page could not read why it was refused otherwise.
    expect((await tus('OPTIONS', `${app.url}/tus`)).status).toBe(204);
    app.get(RateLimits).giveBack({ name: 'tus', points: 6000, seconds: 60 }, '127.0.0.1', 6000);
  });

  it('is refused with when to come again, when it makes accounts', async () => {
    await app.get(RateLimits).spend({ name: 'register', points: 600, seconds: 3_600 }, '127.0.0.1', 600 - users.length);
    const { errors } = await new ApiClient(app.url).post(
      'mutation ($input: RegisterInput!) { register(input: $input) { userErrors { code } } }',
      { input: { email: 'eve@example.org', password: 'correct horse battery', displayName: 'Eve' } },
    );
    expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) } }]);
    app.get(RateLimits).giveBack({ name: 'register', points: 600, seconds: 3_600 }, '127.0.0.1', 600);
  });

  it('is refused with when to come again, over GraphQL, for this user alone', async () => {
    const zoe = await ApiClient.signUp(app.url);
    const own = await zoe.createChannel();
    users.push({ client: zoe, channelId: own });
    const { session } = await zoe.createSession({ channelId: own, sizeBytes: 100 });
    const [{ userId }] = (await app.database.query('SELECT owner_id AS "userId" FROM upload_session WHERE id = $1', [
      rowId(session.id),
    ])) as [{ userId: string }];
    for (const [name, all] of [
      ['createUploadSession', 600],
      ['commitChunks', 6000],
    ] as const) {
      await spend(name, userId, all - 11, all);
      const input =
        name === 'commitChunks'
          ? { sessionId: session.id }
          : { channelId: own, fileName: 'a', sizeBytes: 1, idempotencyKey: 'one' };
      const type = `${name.charAt(0).toUpperCase()}${name.slice(1)}Input`;
      const aliases = Array.from({ length: 5 }, (_, k) => `m${k}: ${name}(input: $input) { session { id } }`).join(' ');
      const answers: Answer[] = [];
      for (let k = 0; k < 3; k++) answers.push(await zoe.post(`mutation ($input: ${type}!) { ${aliases} }`, { input }));
      const errors = answers.flatMap((answer) => answer.errors ?? []);
      expect(answers.slice(0, 2).flatMap((answer) => answer.errors ?? [])).toEqual([]);
      expect(errors[0].extensions).toEqual({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    }
    const begun = await tus('POST', `${app.url}/tus`, { 'upload-length': '1', authorization: `Bearer ${zoe.token}` });
    expect(await refusal(begun)).toEqual([503, 'RATE_LIMITED']);
    expect(codes(await begin(1))).toEqual([]);
  });
});

describe('a body that is too large', () => {
  /** How much of an endless body the server takes before it has answered and closed. */
  async function sendAll(head: string): Promise<{ sent: number; answer: string }> {
    const socket: Socket = connect(app.config.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (bytes) => {
      answer += bytes;
    });
    const closed = new Promise((resolve) => socket.on('error', () => undefined).once('close', resolve));
    socket.write(head);
    const chunk = randomBytes(64 * 1024);
    for (; !socket.destroyed && socket.bytesWritten < 500 * MB; ) {
      if (socket.write(chunk)) await new Promise((resolve) => setImmediate(resolve));
      else await Promise.race([closed, new Promise((resolve) => socket.once('drain', resolve))]);
    }
    await closed;
    return { sent: socket.bytesRead > 0 ? socket.bytesWritten : -1, answer };
  }

  it.each([
    [
      'GraphQL, told',
      () =>
        `POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${500 * MB}\r\n\r\n`,
      413,
    ],
    [
      'GraphQL, not told',
      () =>
        'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1DCD6500\r\n',
      413,
    ],
    [
      'the append lane',
      async () => {
        const url = new URL(await tusUrl((await begin(100)).session.id));
        return `PATCH ${url.pathname} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Type: ${BYTES}\r\nContent-Length: ${500 * MB}\r\n\r\n`;
      },
      413,
    ],
    [
      'the store',
      async () => {
        const { targets } = await begin(100, { next: [chunkOf(randomBytes(100), 0, 100)] });
        const url = new URL(targets[0].url);
        const headers = targets[0].headers.map(
          ({ name, value }: { name: string; value: string }) => `${name}: ${value}\r\n`,
        );
        return `PUT ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\n${headers.join('')}Content-Length: ${500 * MB}\r\n\r\n`;
      },
      403,
    ],
  ])('ends early: %s', async (_, head, status) => {
    const { sent, answer } = await sendAll(await head());
    if (answer !== '') expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(sent).toBeLessThan(20 * MB);
  });
});

it('nobody has all of a process by sending next to nothing', async () => {
  const writers = app.get(UploadWriters);
  const before = { atOnce: writers.atOnce, judgedAfterMs: writers.judgedAfterMs };
  const url = await tusUrl((await begin(1600)).session.id);
  const statuses: (number | undefined)[] = [];
  const requests = [0, 1].map((k) => {
    const headers = { ...TUS, 'content-type': BYTES, 'content-length': 100 };
    const request = http.request(`${url}/ranges/${100 * k}`, { method: 'PATCH', headers, agent: false });
    request.on('error', () => undefined).on('response', (response) => statuses.push(response.resume().statusCode));
    request.write('x'.repeat(1 + 10 * k));
    return request;
  });
  await until(
    () => app.database.query('SELECT id FROM upload_writer'),
    (rows) => rows.length === 2,
    20,
  );
  const append = (body: string) =>
    fetch(`${url}/ranges/1000`, { method: 'PATCH', headers: { ...TUS, 'content-type': BYTES }, body });
  writers.atOnce = 2;
  expect((await append('abcd')).status).toBe(503);
  writers.judgedAfterMs = 0;
  expect((await append('abcd')).status).toBe(204);
  Object.assign(writers, before);
  await until(
    async () => statuses,
    (answered) => answered.length === 1,
    20,
  );
  // The slower one, and what it had is kept.
  expect(statuses).toEqual([423]);
  const { covered } = (await (await fetch(`${url}/ranges`)).json()) as { covered: [number, number][] };
  expect(covered).toEqual([
    [0, 1],
    [1000, 1004],
  ]);
  for (const request of requests) request.destroy();
  await until(
    () => app.database.query('SELECT id FROM upload_writer'),
    (rows) => rows.length === 0,
  );
});

it('one user cannot have all of a process to append', async () => {
  const requests: http.ClientRequest[] = [];
  const busy: IncomingMessage[] = [];
  for (let session = 0; session < 5; session++) {
    const url = await tusUrl((await begin(1600)).session.id);
    for (let k = 0; k < 16; k++) {
      const headers = { ...TUS, 'content-type': BYTES, 'content-length': 100 };
      const request = http.request(`${url}/ranges/${100 * k}`, { method: 'PATCH', headers, agent: false });
      request.on('error', () => undefined).on('response', (response) => busy.push(response.resume()));
      request.write('x');
      requests.push(request);
    }
  }
  await until(
    async () => busy.length,
    (count) => count === 16,
    20,
  );
  expect(busy.map(({ statusCode, headers }) => [statusCode, headers['retry-after']])).toEqual(
    Array(16).fill([503, '1']),
  );
  // Those of one upload come in one after the other.
  await until(
    () => app.database.query('SELECT id FROM upload_writer'),
    (writers) => writers.length === 64,
    20,
  );
  for (const request of requests) request.destroy();
  await until(
    () => app.database.query('SELECT id FROM upload_writer'),
    (writers) => writers.length === 0,
  );
});
