import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { makeClip, padded } from '../support/clip.js';
import {
  type Answer,
  ApiClient,
  type Link,
  rowId,
  sha256,
  spawnServer,
  startLink,
  type TestServer,
  temporaryFolder,
  until,
} from '../support/index.js';
import { digestOf, storageOf } from '../support/invariants.js';

/** `npx sluice` as a process, against a server as a process, over a link that counts. */

const BIN = join(import.meta.dirname, '../../client/bin/sluice.mjs');
const PASSWORD = 'correct horse battery';
const MiB = 2 ** 20;
const SIZE = 12 * MiB;

let link: Link;
let server: TestServer;
let folder: string;
let clip: Buffer;
let ada: ApiClient;
let handle: string;
/** Its ~/.config. */
let home: string;

beforeAll(async () => {
  link = await startLink(() => server.url);
  [server, folder, clip] = await Promise.all([
    spawnServer({ env: { PUBLIC_URL: link.url, UPLOAD_MAX_BYTES: String(32 * MiB) } }),
    temporaryFolder(),
    makeClip({ seconds: 1, size: '256x144' }),
  ]);
});
afterAll(async () => {
  link.stop();
  await server.remove();
  await rm(folder, { recursive: true });
});
beforeEach(async () => {
  link.bytesPerSecond = link.cutEveryBytes = Number.POSITIVE_INFINITY;
  ada = await ApiClient.signUp(server.url);
  const channelId = await ada.createChannel();
  const { node } = await ada.query('query ($id: ID!) { node(id: $id) { ... on Channel { handle } } }', {
    id: channelId,
  });
  handle = node.handle;
  home = join(folder, handle);
  await mkdir(home);
});

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}
function begin(...args: string[]): { child: ChildProcess; ended: Promise<Ended>; output: () => string } {
  const env = { PATH: process.env.PATH, HOME: home };
  const child = spawn(process.execPath, [BIN, ...args], { env });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes) => (stdout += bytes));
  child.stderr.on('data', (bytes) => (stderr += bytes));
  const ended = once(child, 'close').then(([code]) => ({ code, stdout, stderr }));
  return { child, ended, output: () => stdout + stderr };
}
function run(args: string[], input = ''): Promise<Ended> {
  const { child, ended } = begin(...args);
  child.stdin?.end(input);
  return ended;
}
const login = () => run(['login', '--endpoint', link.url, '--email', ada.email ?? ''], `${PASSWORD}\n`);
const loginsFile = () => join(home, '.config/sluice/logins.json');

async function makeFile(name: string): Promise<{ path: string; digest: string }> {
  const path = join(home, name);
  const bytes = padded(clip, SIZE);
  await writeFile(path, bytes);
  return { path, digest: sha256(bytes) };
}

async function sessions(): Promise<Answer[]> {
  const { viewer } = await ada.query(
    `{ viewer { uploadSessions(first: 10) { nodes { id state fileName committedBytes pausedAt video { id title visibility } } } } }`,
  );
  return viewer.uploadSessions.nodes;
}

async function storedDigest(sessionId: string): Promise<string> {
  await until(
    () => ada.session(sessionId),
    ({ state }) => state === 'COMPLETED',
  );
  const rows = await server.database?.query<{ key: string }>(
    'SELECT master_key AS key FROM upload_session WHERE id = $1',
    [rowId(sessionId)],
  );
  return digestOf(storageOf(server.dataDir), rows?.[0]?.key ?? '');
}

const halfSent = () => until(sessions, ([session]) => session?.committedBytes > SIZE / 3, 20);

describe('what it says of itself', () => {
  it.each([
    [['--help'], 0, 'login'],
    [[], 2, 'login'],
    [['upload', '--help'], 0, 'Exit codes'],
    [['login', '--help'], 0, 'Examples'],
    [['logout', '--help'], 0, '--endpoint'],
    [['status', '--help'], 0, '--json'],
  ])('sluice %j ends with %i', async (args, code, text) => {
    expect(await run(args)).toEqual({ code, stdout: expect.stringContaining(text), stderr: '' });
  });

  it.each([
    [['dance'], 'There is no command dance.'],
    [['upload'], 'Name at least one file'],
    [['upload', '--parallel', '9', 'a.mp4'], '--parallel is a number'],
    [['upload', '--visibility', 'secret', 'a.mp4'], '--visibility is'],
    [['upload', '--colour', 'a.mp4'], '--colour'],
    [['upload', 'missing.mp4'], 'missing.mp4: there is no such file.'],
    [['status', 'now'], 'Not understood: now'],
    [['login', '--endpoint', 'http://a b'], 'is no address'],
  ])('sluice %j is not understood', async (args, sentence) => {
    expect(await run(args)).toEqual({ code: 2, stdout: '', stderr: expect.stringContaining(sentence) });
  });
});

describe('signing in', () => {
  it('keeps what it needs, and no more, where nobody else reads it', async () => {
    expect(await login()).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`Signed in to ${link.url} as Ada.`),
    });
    const kept = await readFile(loginsFile(), 'utf8');
    expect(kept).not.toContain(PASSWORD);
    expect((await stat(loginsFile())).mode & 0o777).toBe(0o600);
    expect(await run(['status'])).toEqual({ code: 0, stdout: 'No unfinished uploads.\n', stderr: '' });
  });

  it('says who is not signed in what to do', async () => {
    const { path } = await makeFile('a.mp4');
    for (const command of [['status'], ['logout'], ['upload', path]]) {
      const { code, stderr } = await run([...command, '--endpoint', link.url]);
      expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('npx sluice login --endpoint') });
    }
    expect(await run(['login', '--endpoint', link.url, '--email', ada.email ?? ''], 'wrong\n')).toMatchObject({
      code: 3,
      stdout: '',
    });
    expect(await run(['login', '--endpoint', link.url, '--token', '-'], 'guessed')).toMatchObject({
      code: 3,
      stdout: '',
    });
  });

  it('takes a refresh token, and is signed out for good by logout', async () => {
    await login();
    const { logins } = JSON.parse(await readFile(loginsFile(), 'utf8'));
    const given = logins[link.url].refreshToken;
    expect(await run(['login', '--endpoint', link.url, '--token', '-'], given)).toMatchObject({ code: 0 });
    const renewed = JSON.parse(await readFile(loginsFile(), 'utf8')).logins[link.url].refreshToken;
    expect(renewed).not.toBe(given);
    expect(await run(['logout'])).toMatchObject({ code: 0, stdout: `Signed out of ${link.url}.\n` });
    expect(await readFile(loginsFile(), 'utf8')).not.toContain(renewed);
    expect(await run(['login', '--endpoint', link.url, '--token', '-'], renewed)).toMatchObject({ code: 3 });
  });

  it('renews an old token once, whoever asks at the same time', async () => {
    await login();
    const kept = JSON.parse(await readFile(loginsFile(), 'utf8'));
    const before = { ...kept.logins[link.url] };
    kept.logins[link.url].accessTokenExpiresAt = new Date(0).toISOString();
    await writeFile(loginsFile(), JSON.stringify(kept));
    const all = await Promise.all(Array.from({ length: 4 }, () => run(['status'])));
    expect(all.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const after = JSON.parse(await readFile(loginsFile(), 'utf8')).logins[link.url];
    expect(after.refreshToken).not.toBe(before.refreshToken);
    const rows = await server.database?.query<{ used: number }>(
      `SELECT count(*)::int AS used FROM refresh_token t JOIN login_session s ON s.id = t.session_id
       JOIN app_user u ON u.id = s.user_id WHERE u.email = $1 AND t.used_at IS NOT NULL`,
      [ada.email],
    );
    expect(rows).toEqual([{ used: 1 }]);
  });
});

describe('renewing over a bad link', () => {
  let proxy: Server;
  let endpoint: string;
  /** What becomes of the next answer to a renewal. */
  let next: 'lost' | 'late' | null;
  let renewals: number;

  beforeEach(async () => {
    next = null;
    renewals = 0;
    const pass = async (request: IncomingMessage): Promise<string | null> => {
      const body = await text(request);
      const answer = await fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(request.headers.authorization ? { authorization: request.headers.authorization } : {}),
        },
        body,
      });
      if (!body.includes('refreshSession')) return answer.text();
      renewals++;
      const fate = next;
      next = null;
      if (fate === 'late') await pause(1_000);
      return fate === 'lost' ? null : answer.text();
    };
    proxy = createServer(async (request, response) => {
      const answer = await pass(request);
      // A lost one: the connection stays, and nothing comes.
      if (answer !== null) response.setHeader('content-type', 'application/json').end(answer);
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    await run(['login', '--endpoint', endpoint, '--email', ada.email ?? ''], `${PASSWORD}\n`);
    const kept = JSON.parse(await readFile(loginsFile(), 'utf8'));
    kept.logins[endpoint].accessTokenExpiresAt = new Date(0).toISOString();
    await writeFile(loginsFile(), JSON.stringify(kept));
  });
  afterEach(() => {
    proxy.close();
    proxy.closeAllConnections();
  });

  const keptToken = async () => JSON.parse(await readFile(loginsFile(), 'utf8')).logins[endpoint].refreshToken;

  it('stays signed in where the answer was lost', async () => {
    next = 'lost';
    const begun = performance.now();
    expect(await run(['status'])).toMatchObject({ code: 0, stdout: 'No unfinished uploads.\n' });
    expect(renewals).toBe(2);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });

  it('keeps what it got when Ctrl-C comes before the answer', async () => {
    next = 'late';
    const before = await keptToken();
    const { child, ended } = begin('status');
    await until(async () => renewals, Boolean, 5);
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 130 });
    expect(await keptToken()).not.toBe(before);
    expect(await run(['status'])).toMatchObject({ code: 0 });
    expect(renewals).toBe(1);
  });

  it('takes the lock of one that is gone, also when the clock was set back since', async () => {
    const lock = `${loginsFile()}.lock`;
    await writeFile(lock, '');
    await utimes(lock, new Date(), new Date(Date.now() + 86_400_000));
    expect(await run(['status'])).toMatchObject({ code: 0 });
  });
});

describe('uploading', () => {
  beforeEach(async () => {
    await login();
  });

  it('uploads a file as it is told, and prints where to watch it', async () => {
    const { path, digest } = await makeFile('walk.mp4');
    const { code, stdout, stderr } = await run([
      'upload',
      path,
      '--channel',
      `@${handle}`,
      '--title',
      'A walk',
      '--visibility',
      'unlisted',
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('walk.mp4: 12.6 MB, begun') });
    const [session] = await sessions();
    expect(session.video).toMatchObject({ title: 'A walk', visibility: 'UNLISTED' });
    expect(stdout).toBe(`${link.url}/watch/${encodeURIComponent(session.video.id)}\n`);
    expect(await storedDigest(session.id)).toBe(digest);
  });

  it('takes the videos of a folder, and tells programs in lines of JSON', async () => {
    await mkdir(join(home, 'films/sea'), { recursive: true });
    for (const name of ['films/b.mp4', 'films/sea/a.MOV', 'films/.hidden.mp4']) await makeFile(name);
    await writeFile(join(home, 'films/notes.txt'), 'not a video');
    const { code, stdout, stderr } = await run(['upload', join(home, 'films'), '--json', '--parallel', '2']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const of = (event: string) => events.filter((one) => one.event === event);
    expect(
      of('begun')
        .map(({ file }) => file)
        .sort(),
    ).toEqual([join(home, 'films/b.mp4'), join(home, 'films/sea/a.MOV')]);
    expect(of('progress')[0]).toMatchObject({
      sizeBytes: SIZE,
      committedBytes: expect.any(Number),
      state: expect.any(String),
    });
    const done = {
      sessionId: expect.any(String),
      videoId: expect.any(String),
      watchUrl: expect.stringContaining('/watch/'),
    };
    expect(of('done')).toEqual([expect.objectContaining(done), expect.objectContaining(done)]);
    expect(events.at(-1)).toEqual({ event: 'summary', done: 2, failed: 0 });
  });

  it('leaves out what is no video in a folder, and goes on past what cannot be uploaded', async () => {
    await mkdir(join(home, 'films/node_modules'), { recursive: true });
    for (const name of ['films/good.mp4', 'films/node_modules/sample.mp4']) await makeFile(name);
    await writeFile(join(home, 'films/empty.mp4'), '');
    await writeFile(join(home, 'films/player.ts'), 'export const player = 1;\n'.repeat(20));
    const packets = Buffer.alloc(188 * 100);
    for (let at = 0; at < packets.length; at += 188) packets[at] = 0x47;
    await writeFile(join(home, 'films/stream.ts'), packets);
    const { code, stdout, stderr } = await run(['upload', join(home, 'films')]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringMatching(/^(\S+\/watch\/\S+\n){2}$/) });
    expect(stderr).toContain('empty.mp4: left out, EMPTY_FILE: this file is empty.');
    expect(stderr).toContain('stream.ts: done, ');
    expect(stderr).toContain('2 of 3 uploaded; run it again for the other 1.');
    expect(stderr).not.toMatch(/player|sample/);
  });

  it('passes nothing on that a terminal obeys', async () => {
    const { code, stderr } = await run(['upload', 'gone\u001b[2J\u001b]0;title\u0007.mp4']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: 'gone?[2J?]0;title?.mp4: there is no such file.\n' });
  });

  it('ends quietly when nobody reads it any more', async () => {
    const { path } = await makeFile('read.mp4');
    link.bytesPerSecond = 4 * MiB;
    const { child, ended, output } = begin('upload', path, '--json');
    await until(async () => output(), Boolean, 5);
    child.stdout?.destroy();
    expect(await ended).toMatchObject({ code: 141, stderr: '' });
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    expect(await run(['upload', path])).toMatchObject({ code: 0 });
    expect(await sessions()).toHaveLength(1);
  });

  it('does what can be done, and says what failed', async () => {
    await makeFile('good.mp4');
    await makeFile('large.mp4');
    await truncate(join(home, 'large.mp4'), 33 * MiB);
    const { code, stdout, stderr } = await run(['upload', join(home, 'large.mp4'), join(home, 'good.mp4')]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining('/watch/') });
    expect(stderr).toContain('large.mp4: failed, FILE_TOO_LARGE: ');
    expect(stderr).toContain('1 of 2 uploaded');
  });

  it('names your channels when that one is not there', async () => {
    const { path } = await makeFile('walk.mp4');
    expect(await run(['upload', path, '--channel', 'nobody'])).toEqual({
      code: 2,
      stdout: '',
      stderr: `There is no channel nobody. Yours: @${handle}.\n`,
    });
    expect(await sessions()).toEqual([]);
  });

  it('goes on where it was after kill -9', async () => {
    const { path, digest } = await makeFile('killed.mp4');
    link.bytesPerSecond = 4 * MiB;
    const first = begin('upload', path, '--visibility', 'public');
    await halfSent();
    first.child.kill('SIGKILL');
    await first.ended;
    const before = link.bytes;
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    expect(await run(['upload', path, '--visibility', 'private'])).toMatchObject({ code: 0 });
    expect(link.bytes - before).toBeLessThan((SIZE * 2) / 3 + MiB / 4);
    const all = await sessions();
    expect(all).toHaveLength(1);
    expect(all[0].video.visibility).toBe('PRIVATE');
    expect(await storedDigest(all[0].id)).toBe(digest);
  });

  it('finishes over a link that is cut again and again, and a server that is killed', async () => {
    const { path, digest } = await makeFile('cut.mp4');
    link.bytesPerSecond = 4 * MiB;
    link.cutEveryBytes = 3 * MiB;
    const before = link.cuts;
    const { ended } = begin('upload', path);
    await halfSent();
    await server.kill();
    await server.start();
    expect(await ended).toMatchObject({ code: 0 });
    expect(link.cuts - before).toBeGreaterThan(2);
    const [session] = await sessions();
    expect(await storedDigest(session.id)).toBe(digest);
  });

  it('pauses with Ctrl-C, says how to go on, and lists what is unfinished', async () => {
    const { path, digest } = await makeFile('paused.mp4');
    link.bytesPerSecond = 4 * MiB;
    const { child, ended } = begin('upload', path);
    await halfSent();
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 130, stderr: expect.stringContaining('Run the same command again') });
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    const { stdout } = await run(['status']);
    expect(stdout).toMatch(
      new RegExp(`^ *\\d+ % of 12.6 MB +paused.mp4 \\(@${handle}; (paused; )?expires in 7 days\\)\nTo go on`),
    );
    const [line] = (await run(['status', '--json'])).stdout.split('\n');
    const { sessionId, ...rest } = JSON.parse(line as string);
    expect(rest).toMatchObject({ fileName: 'paused.mp4', sizeBytes: SIZE, channel: handle });
    // Also where the process was gone before the server knew.
    await ada.query(
      'mutation ($input: UploadSessionInput!) { pauseUploadSession(input: $input) { userErrors { code } } }',
      {
        input: { sessionId },
      },
    );
    link.bytesPerSecond = 4 * MiB;
    const again = begin('upload', path);
    await until(sessions, ([session]) => session?.pausedAt === null, 20);
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    expect(await again.ended).toMatchObject({ code: 0 });
    const [session] = await sessions();
    expect(await storedDigest(session.id)).toBe(digest);
  });
});
