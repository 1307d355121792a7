import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { type Config, readSettings } from '../../src/common/config/index.js';
import { examineAll, type Finding, findingsOf } from '../../src/doctor/index.js';
import { type EmbeddedServer, startRedis } from '../../src/embedded/index.js';
import {
  freePort,
  spawnServer,
  type TestDatabase,
  type TestServer,
  temporaryFolder,
  testDatabase,
  testRedis,
} from '../support/index.js';
import { type Nginx, startNginx } from '../support/nginx.js';
import { operate } from '../support/operate.js';

/**
 * Faults that are made for real, one at a time, in what is healthy without them: each is named, and nothing else is.
 * Those of S3 stores are in test/slow.
 */

const MIGRATIONS = join(import.meta.dirname, '../../migrations');

let folder: string;
let server: TestServer;
let redis: EmbeddedServer;
let nginx: Nginx;
let database: TestDatabase;
let env: Record<string, string>;

/** What a proxy before Sluice wants. */
const PROXY =
  'proxy_http_version 1.1; proxy_set_header Host $http_host; client_max_body_size 0; proxy_request_buffering off;';
const FORWARDED = 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;';
const UPGRADE = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;';
const pass = () => `location / { proxy_pass ${server.url}; }`;
const good = () =>
  `set $connection_upgrade ""; if ($http_upgrade) { set $connection_upgrade upgrade; } ${PROXY} ${FORWARDED} ${UPGRADE} ${pass()}`;

beforeAll(async () => {
  folder = await temporaryFolder();
  redis = await startRedis({ dir: join(folder, 'redis'), durable: true });
  const edge = await freePort();
  const options = {
    PUBLIC_URL: `http://127.0.0.1:${edge}`,
    TRUST_PROXY: '1',
    REDIS_URL: redis.url,
    TOKEN_SECRET: randomUUID(),
    STORAGE_SECRET: randomUUID(),
    PLAYBACK_SECRET: randomUUID(),
  };
  server = await spawnServer({ env: options });
  database = server.database as TestDatabase;
  env = { ...options, DATABASE_URL: database.url, DATA_DIR: server.dataDir };
  nginx = await startNginx(edge, good());
});
afterAll(async () => {
  await nginx.stop();
  await server.remove();
  await redis.stop();
  await rm(folder, { recursive: true });
});

/** What the doctor finds with other options. */
async function examine(changes: Record<string, string> = {}): Promise<Finding[]> {
  return findingsOf(await examineAll(readSettings({ ...env, ...changes }) as Config, MIGRATIONS));
}

async function findsOnly(code: string, changes: Record<string, string> = {}): Promise<void> {
  const findings = await examine(changes);
  expect(findings).toEqual([
    {
      area: expect.any(String),
      severity: expect.any(String),
      code,
      what: expect.stringMatching(/\.$/),
      todo: expect.any(String),
    },
  ]);
}

describe('a healthy system', () => {
  test('on embedded parts', async () => {
    const embedded = await spawnServer({ embedded: true });
    try {
      const { DATA_DIR, PUBLIC_URL } = { DATA_DIR: embedded.dataDir, PUBLIC_URL: embedded.url };
      const port = new URL(PUBLIC_URL).port;
      const { code, stdout } = await operate('doctor', [], { DATA_DIR, PUBLIC_URL, PORT: port });
      expect(stdout).toMatch(/Nothing is wrong\.\n$/);
      expect(stdout).not.toContain('✖');
      expect(code).toBe(0);
    } finally {
      await embedded.remove();
    }
  });

  test('behind a proxy; and what it wrote is gone', async () => {
    expect(await examine()).toEqual([]);
    const rows = await database.query('SELECT DISTINCT state FROM stored_object');
    expect(rows).toEqual([{ state: 'DELETING' }]);
    const { storageOf } = await import('../support/invariants.js');
    expect(await storageOf(server.dataDir).list('', { limit: 10 })).toEqual([]);
  });
});

describe('the command', () => {
  test('says what is wrong and what to do, by lines or by JSON; what is known can be ignored', async () => {
    const changes = { ...env, PLAYBACK_SECRET: env.STORAGE_SECRET as string };
    const [lines, json, ignored] = [
      await operate('doctor', [], changes),
      await operate('doctor', ['--json'], changes),
      await operate('doctor', ['--ignore', 'SECRETS_EQUAL'], changes),
    ];
    expect(lines).toMatchObject({ code: 1, stderr: '' });
    expect(lines.stdout).toContain('✖ SECRETS_EQUAL: STORAGE_SECRET and PLAYBACK_SECRET are equal.\n    → Give each');
    expect(json).toMatchObject({ code: 1, stderr: '' });
    expect(JSON.parse(json.stdout)).toMatchObject({
      healthy: false,
      findings: [{ code: 'SECRETS_EQUAL', area: 'place' }],
    });
    expect(ignored).toMatchObject({ code: 0, stdout: expect.stringContaining('which is ignored') });
  });

  test('explains itself, and what it does not take', async () => {
    expect(await operate('doctor', ['--help'], {})).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('--ignore CODES'),
    });
    expect(await operate('doctor', ['--all'], {})).toMatchObject({ code: 2, stderr: expect.stringContaining('--all') });
    expect(await operate('doctor', [], { PORT: 'x' })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('PORT'),
    });
  });
});

describe('the database', () => {
  let own: TestDatabase;
  beforeEach(async () => {
    own = await testDatabase();
  });
  afterEach(() => own.drop());

  test('away', async () =>
    findsOnly('DATABASE_AWAY', { DATABASE_URL: `postgresql://x:y@127.0.0.1:${await freePort()}/z` }));

  test('with another password', async () => {
    const wrong = new URL(own.url);
    wrong.password = 'wrong';
    await findsOnly('DATABASE_AWAY', { DATABASE_URL: wrong.href });
  });

  test('that hangs', async () => {
    const deaf = await silent();
    await findsOnly('DATABASE_AWAY', { DATABASE_URL: `postgresql://x:y@127.0.0.1:${deaf.port}/z` });
    await deaf.stop();
  });

  test('two hours ahead', async () => {
    const name = new URL(own.url).pathname.slice(1);
    await own.query('CREATE SCHEMA shadow');
    for (const clock of ['now', 'clock_timestamp']) {
      await own.query(
        `CREATE FUNCTION shadow.${clock}() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.${clock}() + interval '2 hours' $$`,
      );
    }
    await own.query(`ALTER DATABASE ${name} SET search_path = shadow, pg_catalog, public`);
    const findings = await examine({ DATABASE_URL: own.url });
    expect(findings).toMatchObject([
      { code: 'DATABASE_CLOCK_SKEW', what: expect.stringMatching(/(?:2 h 0|1 h 59) min ahead/) },
    ]);
  });

  test('with fewer connections than the pools may open', async () => {
    const process = new pg.Client({ connectionString: own.url, application_name: 'sluice 1000 worker 1@elsewhere' });
    await process.connect();
    await findsOnly('DATABASE_CONNECTIONS', { DATABASE_URL: own.url });
    await process.end();
  });

  test('with a migration that was not run, or one that this build does not know', async () => {
    await own.query('DELETE FROM migration WHERE name = (SELECT max(name) FROM migration)');
    await findsOnly('SCHEMA_OTHER', { DATABASE_URL: own.url });
    await own.query(`INSERT INTO migration (name, sql_md5) VALUES ('29990101000000-later.sql', '')`);
    await findsOnly('SCHEMA_OTHER', { DATABASE_URL: own.url });
  });

  test('with jobs that nobody does', async () => {
    const add = (state: string, queue = 'encode') =>
      own.query(
        `INSERT INTO job (name, queue, payload, state, run_at, lease_until, finished_at)
         VALUES ('A', $2, '{}', $1, now() - interval '1 hour', now() + interval '1 minute', now())`,
        [state, queue],
      );
    await add('QUEUED', 'spare');
    await findsOnly('JOBS_OVERDUE', { DATABASE_URL: own.url });
    await add('QUEUED');
    await findsOnly('JOBS_OVERDUE', { DATABASE_URL: own.url });
    // A long queue that somebody works off is none, nor is what waits behind it.
    await add('RUNNING');
    expect(await examine({ DATABASE_URL: own.url })).toEqual([]);
  });
});

describe('Redis', () => {
  test('away', async () => findsOnly('REDIS_AWAY', { REDIS_URL: `redis://127.0.0.1:${await freePort()}` }));

  test('that hangs', async () => {
    const deaf = await silent();
    await findsOnly('REDIS_AWAY', { REDIS_URL: `redis://127.0.0.1:${deaf.port}` });
    await deaf.stop();
  });

  test('with another password', async () =>
    findsOnly('REDIS_AWAY', { REDIS_URL: redis.url.replace(/:[0-9a-f]+@/, ':wrong@') }));

  test('that drops keys when it is full', async () => {
    const client = new Redis(redis.url);
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await findsOnly('REDIS_EVICTS');
    await client.config('SET', 'maxmemory-policy', 'noeviction');
    client.disconnect();
  });

  test('that forgets', async () => {
    const forgetful = await testRedis();
    await findsOnly('REDIS_NOT_PERSISTENT', { REDIS_URL: forgetful.url });
    await forgetful.stop();
  });
});

describe('the proxy', () => {
  afterAll(() => nginx.configure(good()));

  test('without a server behind', async () => {
    await nginx.configure(`location / { proxy_pass http://127.0.0.1:${await freePort()}; }`);
    await findsOnly('PUBLIC_URL_AWAY');
  });

  test('of somebody else', async () => {
    await nginx.configure(`location / { return 200 '{}'; }`);
    await findsOnly('PUBLIC_URL_ELSEWHERE');
  });

  test('that caps bodies at 1 MiB', async () => {
    await nginx.configure(good().replace('client_max_body_size 0', 'client_max_body_size 1m'));
    await findsOnly('BODY_CAPPED');
  });

  test('that caps those of one lane alone', async () => {
    await nginx.configure(`${good()} location /tus/ { client_max_body_size 1m; proxy_pass ${server.url}; }`);
    expect(await examine()).toMatchObject([
      { code: 'BODY_CAPPED', what: expect.stringContaining('PATCH /tus/doctor') },
    ]);
  });

  test('that collects uploads before it passes them on', async () => {
    await nginx.configure(good().replace('proxy_request_buffering off', 'proxy_request_buffering on'));
    await findsOnly('UPLOADS_BUFFERED');
  });

  test('that holds events back', async () => {
    const buffering = 'proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering;';
    await nginx.configure(`${good()} location = /graphql/stream { ${buffering} proxy_pass ${server.url}; }`);
    await findsOnly('EVENTS_BUFFERED');
  });

  test('that does not pass upgrades', async () => {
    await nginx.configure(good().replace(UPGRADE, ''));
    await findsOnly('WEBSOCKET_BLOCKED');
  });

  test('that answers preflights itself', async () => {
    await nginx.configure(
      `${good()} location = /graphql { if ($request_method = OPTIONS) { return 403; } proxy_pass ${server.url}; }`,
    );
    await findsOnly('CORS_REFUSED');
  });

  test('that takes a header of CORS away from what was uploaded', async () => {
    await nginx.configure(
      `${good()} location /storage/ { proxy_hide_header Access-Control-Allow-Origin; proxy_pass ${server.url}; }`,
    );
    await findsOnly('STORE_CORS_REFUSED');
  });

  test('that drops what was signed', async () => {
    await nginx.configure(
      `${good()} location /storage/ { proxy_set_header If-None-Match ""; proxy_pass ${server.url}; }`,
    );
    await findsOnly('STORE_REFUSES_UPLOADS');
  });

  test('that is not there, though it is trusted', async () =>
    findsOnly('TRUST_PROXY_TOO_WIDE', { PUBLIC_URL: server.url }));

  test('that is one of two, though one is trusted', async () => {
    await nginx.configure(good().replace('$proxy_add_x_forwarded_for', '"$proxy_add_x_forwarded_for, 127.0.0.1"'));
    await findsOnly('TRUST_PROXY_TOO_NARROW');
  });
});

describe('this machine', () => {
  test('another installation’s secret', async () => findsOnly('PUBLIC_URL_ELSEWHERE', { TOKEN_SECRET: randomUUID() }));

  test('a secret that can be guessed', async () => findsOnly('SECRET_WEAK', { PLAYBACK_SECRET: 'changeme'.repeat(5) }));

  test('a DATA_DIR that the server does not have', async () => {
    await findsOnly('DISK_NOT_SHARED', { DATA_DIR: await other('data') });
  });

  test('no ffmpeg', async () => findsOnly('FFMPEG_MISSING', { FFMPEG_PATH: join(folder, 'none') }));

  test('an ffmpeg without an encoder, and one that is too old', async () => {
    const ffmpeg = join(folder, 'ffmpeg');
    await writeFile(ffmpeg, '#!/bin/sh\n/usr/bin/env ffmpeg "$@" | grep -v libx264\n');
    await chmod(ffmpeg, 0o755);
    const [finding, ...more] = await examine({ FFMPEG_PATH: ffmpeg });
    expect(more).toEqual([]);
    expect(finding).toMatchObject({ code: 'FFMPEG_LACKS', what: `${ffmpeg} lacks libx264 (encoders).` });
    await writeFile(
      ffmpeg,
      '#!/bin/sh\n/usr/bin/env ffmpeg "$@" | sed "s/^ffmpeg version .*/ffmpeg version 4.4.2-0ubuntu/"\n',
    );
    await findsOnly('FFMPEG_TOO_OLD', { FFMPEG_PATH: ffmpeg });
  });

  test('a mail server that refuses', async () => {
    const refusing = await silent((socket) => socket.end('554 no\r\n'));
    await findsOnly('MAIL_FAILS', {
      SMTP_URL: `smtp://ada:secret@127.0.0.1:${refusing.port}`,
      MAIL_FROM: 'video@example.org',
    });
    await refusing.stop();
  });

  /** The doctor in a mount namespace of its own, where `mount` has changed the machine. */
  async function inNamespace(mount: string): Promise<{ findings: Finding[] }> {
    const command = join(import.meta.dirname, '../../dist/commands/doctor.js');
    const rights = process.getuid?.() === 0 ? [] : ['--map-root-user'];
    const script = `${mount} && exec "${process.execPath}" "${command}" --json`;
    const child: ChildProcess = spawn('unshare', [...rights, '--mount', 'sh', '-c', script], {
      env: { PATH: process.env.PATH, ...env },
    });
    let [output, errors] = ['', ''];
    child.stdout?.on('data', (bytes) => (output += bytes));
    child.stderr?.on('data', (bytes) => (errors += bytes));
    await once(child, 'close');
    expect(errors).toBe('');
    return JSON.parse(output);
  }
  const onLinux = process.platform === 'linux' ? test : undefined;

  onLinux?.('a small disk for scratch', async () => {
    const scratch = join(server.dataDir, 'scratch');
    await mkdir(scratch, { recursive: true });
    const { findings } = await inNamespace(`mount -t tmpfs -o size=64m none "${scratch}"`);
    expect(findings).toMatchObject([{ code: 'DISK_SPACE_LOW', what: `${scratch} has 0.1 GiB free.` }]);
  });

  onLinux?.('no bubblewrap', async () => {
    const { findings } = await inNamespace('mount --bind /dev/null "$(command -v bwrap)"');
    expect(findings).toMatchObject([
      { code: 'SANDBOX_WEAK', severity: 'warning', what: expect.stringContaining('limits') },
    ]);
  });
});

async function other(name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { mode: 0o711 });
  return path;
}

/** A server that takes connections, and says nothing but what `greet` does. */
async function silent(
  greet: (socket: Socket) => void = () => undefined,
): Promise<{ port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const listener: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    greet(socket);
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: (listener.address() as { port: number }).port,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}
