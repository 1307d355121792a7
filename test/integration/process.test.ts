import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { holderOf } from '../../src/embedded/index.js';
import { freePort, spawnServer, type TestServer, temporaryFolder } from '../support/index.js';

const DIST = join(import.meta.dirname, '../../dist');

/** Runs an entry of the build until it ends. */
function run(entry: string, env: Record<string, string>): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(DIST, entry)],
      { env: { PATH: process.env.PATH, ...env } },
      (_error, stdout, stderr) => resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

describe('the server on embedded parts', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await spawnServer({ embedded: true });
  }, 60_000);
  afterAll(() => server.remove());

  it('prints its address and the link that makes the administrator', () => {
    expect(server.output()).toContain(`Sluice is ready: ${server.url}\n`);
    expect(server.output()).toMatch(
      /Make the administrator with this link, once: http:\/\/127\.0\.0\.1:\d+\/setup\S+\n/,
    );
  });

  it('tells a second one on the same DATA_DIR who holds it', async () => {
    const second = await run('main.js', { DATA_DIR: server.dataDir, PORT: String(await freePort()) });
    expect(second).toMatchObject({
      code: 1,
      stderr: `${server.dataDir} is in use: Sluice runs on it with process id ${server.pid()}, at ${server.url}. Stop that one first, or set another DATA_DIR.\n`,
    });
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  });

  it('lets a command join it', async () => {
    expect(await run('commands/migrate.js', { DATA_DIR: server.dataDir })).toEqual({
      code: 0,
      stdout: 'The schema is the newest already.\n',
      stderr: '',
    });
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  });

  it('takes over what a killed one left, and keeps its data', async () => {
    await server.kill();
    await server.start();
    const { data } = await server.graphql('{ __typename }');
    expect(data).toEqual({ __typename: 'Query' });
  }, 60_000);

  it('ends cleanly on SIGTERM, and frees DATA_DIR', async () => {
    expect(await server.drain()).toBe(0);
    expect(await holderOf(server.dataDir)).toBeNull();
    expect(await run('commands/migrate.js', { DATA_DIR: server.dataDir })).toMatchObject({
      code: 0,
      stdout: 'The schema is the newest already.\n',
    });
    await server.start();
  }, 60_000);
});

describe('a start that fails', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await temporaryFolder();
  });
  afterEach(() => rm(dataDir, { recursive: true }));

  it('names the option that is wrong', async () => {
    expect(await run('main.js', { DATA_DIR: dataDir, PORT: 'http' })).toEqual({
      code: 1,
      stdout: '',
      stderr: 'PORT must be a whole number from 1 to 65535; it is "http".\n',
    });
  });

  it('stops what it had started when its port is taken', async () => {
    const port = await freePort();
    const other = createServer().listen(port, '127.0.0.1');
    try {
      const { code, stderr } = await run('main.js', { DATA_DIR: dataDir, PORT: String(port), LOG_LEVEL: 'silent' });
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`EADDRINUSE`) });
      expect(await holderOf(dataDir)).toBeNull();
    } finally {
      other.close();
    }
  }, 60_000);

  it('says what PostgreSQL says', async () => {
    await mkdir(join(dataDir, 'postgres/data'), { recursive: true });
    await writeFile(join(dataDir, 'postgres/data/PG_VERSION'), '9\n');
    const { code, stderr } = await run('main.js', { DATA_DIR: dataDir });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining('PostgreSQL does not start. The end of'),
    });
  }, 60_000);
});
