// Brings a bare clone to where it can run: packages, programs, build. No dependency, since it runs before there are any.
// Says something only when there is something to do, and then on standard error.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Ends the process with a sentence for whoever started it. */
export function giveUp(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

/** Runs a command with its output on standard error; gives up when it fails. */
function run(doing, command, args, options = {}) {
  const begun = Date.now();
  process.stderr.write(`${doing} …\n`);
  const { status, error, signal } = spawnSync(command, args, {
    cwd: root,
    stdio: ['inherit', 2, 2],
    ...options,
  });
  if (status !== 0)
    giveUp(`${command} ${args.join(' ')} failed: ${error?.message ?? signal ?? `exit code ${status}`}.`);
  process.stderr.write(`${doing}: done in ${Math.round((Date.now() - begun) / 1000)} s.\n`);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  giveUp(`Sluice needs Node 20.19 or newer; this is ${process.versions.node}. See https://nodejs.org/en/download.`);
}

// ── packages ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Whether node_modules holds what the lock file names. Compared by content: a checkout changes every file's time. */
function packagesAreInstalled() {
  const installedList = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installedList)) return false;
  const installed = JSON.parse(readFileSync(installedList, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(([path, { version, optional, devOptional, peer }]) => {
    if (path === '') return true;
    const found = installed[path];
    return found ? found.version === version : Boolean(optional || devOptional || peer);
  });
}

export function ensurePackages() {
  checkNode();
  if (!packagesAreInstalled()) {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    run('Installing packages', npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  }
}

// ── programs ─────────────────────────────────────────────────────────────────────────────────────────────────────

function findInPath(...names) {
  // Debian has nginx where only root looks.
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']) {
    for (const name of names) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        if (statSync(file).isFile()) return file;
      } catch {
        // Not in this folder.
      }
    }
  }
  return null;
}

/** Each program with its package's name in Debian and Homebrew; null: that system does without. */
const SERVER_PROGRAMS = [
  { names: ['redis-server'], apt: 'redis-server', brew: 'redis', unless: ['REDIS_URL', 'REDIS_URL_FILE'] },
  { names: ['ffmpeg'], apt: 'ffmpeg', brew: 'ffmpeg', unless: ['FFMPEG_PATH'] },
  { names: ['ffprobe'], apt: 'ffmpeg', brew: 'ffmpeg', unless: ['FFMPEG_PATH'] },
  ...(process.platform === 'linux' ? [{ names: ['bwrap'], apt: 'bubblewrap', brew: null }] : []),
];
const CHROMIUM = { names: ['chromium', 'chromium-browser', 'google-chrome'], apt: 'chromium', brew: 'chromium' };
/** What tests run beside the server. */
const EDGE_PROGRAMS = [
  { names: ['nginx'], apt: 'nginx', brew: 'nginx' },
  { names: ['openssl'], apt: 'openssl', brew: 'openssl' },
];
const CHROMIUM_OF_PLAYWRIGHT = ['Library/Caches/ms-playwright', '.cache/ms-playwright'];

function chromiumIsThere() {
  if (findInPath(...CHROMIUM.names)) return true;
  if (existsSync('/Applications/Chromium.app') || existsSync('/Applications/Google Chrome.app')) return true;
  return CHROMIUM_OF_PLAYWRIGHT.some((folder) => {
    const path = join(process.env.HOME ?? '/', folder);
    return existsSync(path) && readdirSync(path).some((name) => name.startsWith('chromium'));
  });
}

export function ensurePrograms({ forTests = false, forEdge = false } = {}) {
  const missing = [...SERVER_PROGRAMS, ...(forEdge || forTests ? EDGE_PROGRAMS : [])].filter(
    ({ names, unless = [] }) => !findInPath(...names) && !unless.some((name) => process.env[name]),
  );
  if (forTests && !chromiumIsThere()) missing.push(CHROMIUM);
  if (missing.length === 0) return;
  const names = missing.map((program) => program.names[0]);

  if (process.platform === 'darwin' && findInPath('brew')) {
    const casks = missing.includes(CHROMIUM);
    const formulas = [...new Set(missing.filter((program) => program !== CHROMIUM).map(({ brew }) => brew))];
    if (formulas.length > 0) run(`Installing ${formulas.join(', ')}`, 'brew', ['install', ...formulas]);
    if (casks) run('Installing chromium', 'brew', ['install', '--cask', 'chromium']);
  } else if (process.platform === 'linux' && findInPath('apt-get')) {
    installWithApt([...new Set(missing.map(({ apt }) => apt))]);
  } else {
    const how =
      process.platform === 'darwin' ? 'Install Homebrew (https://brew.sh) and start again, or install' : 'Install';
    giveUp(
      `Not found in PATH: ${names.join(', ')}. ${how} them with your system's package manager; this script can do that on Debian, Ubuntu and macOS.`,
    );
  }
  const still = missing.filter((program) =>
    program === CHROMIUM ? !chromiumIsThere() : !findInPath(...program.names),
  );
  if (still.length > 0) giveUp(`Still not found in PATH: ${still.map((program) => program.names[0]).join(', ')}.`);
}

function installWithApt(packages) {
  const asRoot = process.getuid() === 0;
  const sudo = findInPath('sudo');
  if (!asRoot && !sudo) {
    giveUp(`Missing: ${packages.join(', ')}. As root, run: apt-get update && apt-get install -y ${packages.join(' ')}`);
  }
  const apt = (doing, ...args) => {
    const all = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-q', '-y', ...args];
    // Without a terminal nobody could type a password.
    const command = asRoot ? all : ['sudo', ...(process.stdin.isTTY ? [] : ['-n']), ...all];
    run(doing, command[0], command.slice(1), { stdio: [asRoot ? 'ignore' : 'inherit', 2, 2] });
  };
  apt('Asking for the list of system packages', 'update', '-qq');
  // On Ubuntu, Debian's chromium package would be a snap, which neither starts as root nor sees /tmp.
  const isUbuntu = /^ID=ubuntu$/m.test(existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '');
  const fromApt = packages.filter((name) => !(isUbuntu && name === CHROMIUM.apt));
  if (fromApt.length > 0) {
    apt(`Installing ${fromApt.join(', ')}`, 'install', '-qq', '--no-install-recommends', ...fromApt);
  }
  if (fromApt.length < packages.length) {
    const installer = join(root, 'node_modules/playwright-core/cli.js');
    run('Installing chromium', process.execPath, [installer, 'install', '--with-deps', 'chromium']);
  }
}

// ── build ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The time of the newest change below, a deleted file's included: that changes its folder. */
function newest(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newest(join(path, name))));
}

const PARTS = {
  server: {
    from: ['src', 'nest-cli.json', '.swcrc', 'package-lock.json'],
    stamp: 'dist/.built',
    build: () => {
      const dist = join(root, 'dist');
      for (const name of existsSync(dist) ? readdirSync(dist) : []) {
        if (name !== 'web') rmSync(join(dist, name), { recursive: true });
      }
      run('Building the server', process.execPath, [join(root, 'node_modules/@nestjs/cli/bin/nest.js'), 'build']);
    },
  },
  pages: {
    from: ['web', 'client/src', 'client/vite.config.ts', 'package-lock.json'],
    stamp: 'dist/web/.built',
    build: () =>
      run('Building the pages', process.execPath, [
        join(root, 'node_modules/vite/bin/vite.js'),
        'build',
        'web',
        '--logLevel=warn',
      ]),
  },
  client: {
    from: ['client/src', 'client/package.json', 'client/tsconfig.json', 'client/vite.config.ts', 'package-lock.json'],
    stamp: 'client/dist/.built',
    build: () => {
      const tool = (doing, name, ...args) => run(doing, process.execPath, [join(root, 'node_modules', name), ...args]);
      const vite = ['vite/bin/vite.js', 'build', 'client', '--logLevel=warn'];
      tool('Building the client for browsers', ...vite);
      tool('Building the client for Node', ...vite, '--mode', 'node');
      tool('Building the types of the client', 'typescript/bin/tsc', '-p', 'client/tsconfig.types.json');
    },
  },
};

/** Builds what changed since it was built. */
export function ensureBuilt({ force = false, parts = Object.keys(PARTS) } = {}) {
  for (const { from, stamp, build } of parts.map((name) => PARTS[name])) {
    const file = join(root, stamp);
    const changed = Math.max(...from.map((path) => newest(join(root, path))));
    if (!force && existsSync(file) && statSync(file).mtimeMs > changed) continue;
    build();
    writeFileSync(file, '');
  }
}

/** All of it. */
export function setUp({ forTests = false } = {}) {
  ensurePackages();
  ensurePrograms({ forTests });
  ensureBuilt();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--packages')) ensurePackages();
  else if (process.argv.includes('--server')) ensureBuilt({ parts: ['server'] });
  else if (process.argv.includes('--edge')) ensurePrograms({ forEdge: true });
  else setUp({ forTests: process.argv.includes('--tests') });
}
