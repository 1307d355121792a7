// One pair of client and server for a link simulator that measures uploads: it runs the two in processes of their own, with a
// bad link in between, and kills either. It imports this file and calls, in the process of the
//   server: start({ host, port, dir, base }), again after a kill; result({ dir, id }), the stored original as a file
//   client: prepare({ stateDir, file }), not timed; upload({ file, base, dir }), again after a kill
// `dir` is the server's folder, and both see it. Sluice as it is shipped, `npm run build` before: ROLE=all, a PostgreSQL, a Redis
// and a MinIO of its own that outlive the server, every check on. Options: { lane: 'append' | 'direct' | 'auto', browser: true } —
// in headless Chromium instead of Node.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client as Minio } from 'minio';
import pg from 'pg';
import { ensureStore } from '../scripts/object-stores.mjs';

const root = fileURLToPath(new URL('../', import.meta.url));
const STORE_PORT = 9000;
const BUCKET = 'sluice';
const KEYS = { accessKey: 'benchmark', secretKey: 'benchmark of links' };
const READY_MS = 60_000;

const store = () => new Minio({ endPoint: '127.0.0.1', port: STORE_PORT, useSSL: false, region: 'us-east-1', ...KEYS });

async function until(look) {
  for (const end = performance.now() + READY_MS; performance.now() < end; await pause(50)) {
    const found = await look();
    if (found) return found;
  }
  throw new Error('It did not become ready within a minute.');
}

const json = async (file) => JSON.parse(await readFile(file, 'utf8'));

/** Whole or not at all: the other process looks whether it is there. */
async function write(file, value) {
  await writeFile(`${file}.new`, JSON.stringify(value));
  await rename(`${file}.new`, file);
}

async function ask(url, query, input, token) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables: { input } }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

/** What outlives the server: until its folder is gone. */
async function services(dir) {
  const { startPostgres, startRedis } = await import('../dist/embedded/index.js');
  const home = await mkdtemp(join(tmpdir(), 'sluice-links-'));
  await chmod(home, 0o711);
  const objects = join(home, 'objects');
  await mkdir(objects);
  const args = ['server', '--quiet', '--address', `:${STORE_PORT}`, objects];
  const env = { MINIO_ROOT_USER: KEYS.accessKey, MINIO_ROOT_PASSWORD: KEYS.secretKey, MINIO_BROWSER: 'off' };
  const minio = spawn(ensureStore('minio'), args, {
    env: { PATH: process.env.PATH, HOME: home, MINIO_UPDATE: 'off', ...env },
    stdio: 'ignore',
  });
  const [postgres, redis] = await Promise.all([
    startPostgres({ dir: join(home, 'pg'), durable: true }),
    startRedis({ dir: join(home, 'redis'), durable: true }),
  ]);
  await until(() =>
    store()
      .listBuckets()
      .then(Boolean, () => false),
  );
  await store().makeBucket(BUCKET, 'us-east-1');
  await write(join(dir, 'services.json'), { databaseUrl: postgres.url, redisUrl: redis.url });
  while (existsSync(join(dir, 'services.json'))) await pause(500);
  minio.kill('SIGKILL');
  await Promise.all([postgres.stop(), redis.stop()]);
  await rm(home, { recursive: true, force: true });
}

/** Somebody with a channel; and originals stay, though random bytes are no video: they are to be compared. */
async function signUp(url, databaseUrl) {
  const { register } = await ask(
    url,
    'mutation ($input: RegisterInput!) { register(input: $input) { session { accessToken } } }',
    { email: 'ada@example.org', password: 'correct horse battery', displayName: 'Ada' },
  );
  const token = register.session.accessToken;
  const { createChannel } = await ask(
    url,
    'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }',
    { handle: 'ada-films', name: 'Ada films' },
    token,
  );
  const db = new pg.Client(databaseUrl);
  await db.connect();
  await db.query(
    `CREATE FUNCTION keep_original() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
     CREATE TRIGGER keep_original BEFORE UPDATE ON upload_session FOR EACH ROW
     WHEN (old.master_key IS NOT NULL AND new.master_key IS NULL) EXECUTE FUNCTION keep_original()`,
  );
  await db.end();
  return { token, channelId: createChannel.channel.id };
}

async function openPage(stateDir, file) {
  const { chromium } = await import('playwright-core');
  const script = await readFile(join(root, 'client/dist/browser/sluice.js'));
  const html =
    '<!doctype html><input type=file><script type=module>import { createUpload } from "/sluice.js"; window.createUpload = createUpload</script>';
  const pages = createServer((request, response) => {
    const isScript = request.url === '/sluice.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html').end(isScript ? script : html);
  });
  await new Promise((listening) => pages.listen(0, '127.0.0.1', listening));
  const context = await chromium.launchPersistentContext(join(stateDir, 'profile'), {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    // The page is this machine's and the server is not: browsers ask people whether that may be.
    args: ['--no-sandbox', '--disable-gpu', '--no-proxy-server', '--disable-features=LocalNetworkAccessChecks'],
  });
  const page = context.pages()[0] ?? (await context.newPage());
  await page.goto(`http://127.0.0.1:${pages.address().port}/`);
  await page.waitForFunction(() => window.createUpload);
  await page.setInputFiles('input', file);
  return page;
}

/** Until the server has all of it: what it does then is no part of the link. */
const sent = (createUpload, source, options) =>
  new Promise((resolve, reject) => {
    const upload = createUpload(source, options);
    upload.on('state', (state) => state === 'completing' && resolve(upload.snapshot.sessionId));
    upload.start().catch(reject);
  });

export default ({ lane = 'auto', browser = false } = {}) => ({
  async start({ host, port, dir, base }) {
    const found = join(dir, 'services.json');
    if (!existsSync(found)) {
      const self = fileURLToPath(import.meta.url);
      spawn(process.execPath, [self, dir], { detached: true, stdio: ['ignore', 2, 2] }).unref();
      await until(() => existsSync(found));
    }
    const { databaseUrl, redisUrl } = await json(found);
    const secret = 'a secret of the benchmark, long enough';
    const server = spawn(process.execPath, [join(root, 'dist/main.js')], {
      stdio: ['ignore', 2, 2],
      env: {
        ...{ PATH: process.env.PATH, NODE_ENV: 'production', HOST: host, PORT: String(port), PUBLIC_URL: base },
        ...{ DATA_DIR: join(dir, 'data'), DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, LOG_LEVEL: 'warn' },
        ...{ S3_ENDPOINT: `http://127.0.0.1:${STORE_PORT}`, S3_BUCKET: BUCKET },
        ...{ S3_PUBLIC_ENDPOINT: `http://${new URL(base).hostname}:${STORE_PORT}` },
        ...{ S3_ACCESS_KEY: KEYS.accessKey, S3_SECRET_KEY: KEYS.secretKey },
        ...{ TOKEN_SECRET: secret, STORAGE_SECRET: secret, PLAYBACK_SECRET: secret },
      },
    });
    server.once('exit', () => process.exit(1));
    const local = `http://127.0.0.1:${port}`;
    await until(() =>
      fetch(`${local}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      ),
    );
    const account = join(dir, 'account.json');
    if (!existsSync(account)) await write(account, await signUp(local, databaseUrl));
  },

  async prepare({ stateDir, file }) {
    if (browser) this.page = await openPage(stateDir, file);
    else this.sdk = await import('../client/dist/node/sluice.js');
  },

  async upload({ file, base, dir }) {
    const options = { ...(await json(join(dir, 'account.json'))), endpoint: base, lane };
    if (!this.page) return sent(this.sdk.createUpload, file, options);
    const inPage = `(${sent})(createUpload, document.querySelector('input').files[0], ${JSON.stringify(options)})`;
    return this.page.evaluate(inPage);
  },

  async result({ dir, id }) {
    const { databaseUrl } = await json(join(dir, 'services.json'));
    const db = new pg.Client(databaseUrl);
    await db.connect();
    const key = await until(async () => {
      const { rows } = await db.query(`SELECT master_key FROM upload_session WHERE id = $1 AND state = 'COMPLETED'`, [
        Buffer.from(id, 'base64url').toString().split(':')[1],
      ]);
      return rows[0]?.master_key;
    });
    await db.end();
    const file = join(dir, 'original');
    await store().fGetObject(BUCKET, key, file);
    return file;
  },
});

if (process.argv[1] === fileURLToPath(import.meta.url)) await services(process.argv[2]);
