import { accessSync, constants, existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { SandboxLevel } from './media-engine.js';

/** What one program may use. */
export interface Bounds {
  readonly program: string;
  readonly reads: readonly string[];
  readonly workDir: string | null;
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  readonly maxFileBytes: number;
  /** nice(1) on top of ours: 10 leaves the processor to whatever else wants it. */
  readonly nice: number;
}

/** How to start a program: `file` with `args`, then the program's own arguments. `file` is the same for every run of a sandbox. */
export interface Launch {
  readonly file: string;
  readonly args: readonly string[];
}

export interface Sandbox {
  readonly level: SandboxLevel;
  /** The account that programs run under, when it is not ours: it must be let to the files. */
  readonly uid: number | null;
  launch(bounds: Bounds): Launch;
}

export interface Tools {
  readonly bwrap: string | null;
  readonly prlimit: string | null;
  readonly setpriv: string | null;
  readonly nice: string | null;
  readonly env: string | null;
}

/** A user and group id that nobody has: what runs under it owns nothing but its own work directory. */
const NOBODY = 64_713;
const PROCESSES = 1024;

export function findTools(): Tools {
  const [bwrap, prlimit, setpriv, nice, env] = ['bwrap', 'prlimit', 'setpriv', 'nice', 'env'].map((t) =>
    findProgram(t),
  );
  return {
    bwrap: bwrap ?? null,
    prlimit: prlimit ?? null,
    setpriv: setpriv ?? null,
    nice: nice ?? null,
    env: env ?? null,
  };
}

const PROGRAM_FOLDERS = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin', '/opt/homebrew/bin'];

/** The absolute path of a program: as given, or in the system's own folders (PATH could lead anywhere). null: not there. */
export function findProgram(name: string): string | null {
  const places = name.includes('/') ? [resolve(name)] : PROGRAM_FOLDERS.map((dir) => join(dir, name));
  return places.find((place) => isExecutable(place)) ?? null;
}

/** The sandboxes that could work with these tools, strongest first. Whether one does, only a trial tells. */
export function possibleSandboxes(tools: Tools, isRoot: boolean): Sandbox[] {
  const { bwrap, prlimit, setpriv, nice, env } = tools;
  if (!nice || !env) throw new Error('nice and env, which belong to every Unix, are not in PATH');
  if (!prlimit || !setpriv) return [guarded(nice, env)];
  const all = { prlimit, setpriv, nice, env };
  return [
    ...(bwrap && isRoot ? [bubblewrap({ ...all, bwrap }, NOBODY)] : []),
    ...(bwrap ? [bubblewrap({ ...all, bwrap }, null)] : []),
    ...(isRoot ? [limited(all, NOBODY)] : []),
    limited(all, null),
  ];
}

type LinuxTools = { readonly prlimit: string; readonly setpriv: string; readonly nice: string; readonly env: string };

/**
 * As root without a user namespace: then another account is really another one, and the files are still found under a folder that only root may enter.
 * Otherwise with one: no more than our own account outside, a stranger inside.
 */
function bubblewrap(tools: LinuxTools & { bwrap: string }, uid: number | null): Sandbox {
  const namespaces =
    uid === null
      ? ['--unshare-all', '--uid', String(NOBODY), '--gid', String(NOBODY)]
      : ['--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try', ...SWITCH_ACCOUNT];
  const system = systemMounts();
  return {
    level: 'bubblewrap',
    uid,
    launch({ program, reads, workDir, ...limits }) {
      const files = [program, tools.prlimit, tools.nice, tools.setpriv, ...reads];
      const folders = new Set([...files, ...(workDir ? [workDir] : [])].map((path) => dirname(path)));
      const args = [
        ...namespaces,
        ...['--die-with-parent', '--new-session', '--clearenv', '--setenv', 'LANG', 'C.UTF-8'],
        // Folders that bubblewrap makes by the way are closed to other accounts; those it is told to make are open.
        ...['/usr', '/etc', ...folders].flatMap((folder) => ['--dir', folder]),
        ...system,
        ...files.flatMap((file) => ['--ro-bind', file, file]),
        ...(workDir ? ['--bind', workDir, workDir, '--chdir', workDir] : ['--chdir', '/']),
        // What bubblewrap made itself lives in memory that no limit counts.
        ...['--remount-ro', '/dev', '--remount-ro', '/', '--'],
        ...limitArguments(tools, limits, true),
        ...privileges(tools, uid),
        program,
      ];
      return { file: tools.bwrap, args };
    },
  };
}

const SWITCH_ACCOUNT = ['--cap-drop', 'ALL', '--cap-add', 'CAP_SETUID', '--cap-add', 'CAP_SETGID'];

function limited(tools: LinuxTools, uid: number | null): Sandbox {
  return {
    level: 'limits',
    uid,
    launch({ program, ...limits }) {
      const chain = [...limitArguments(tools, limits, uid !== null), ...privileges(tools, uid), program];
      return { file: tools.env, args: ['-i', 'LANG=C.UTF-8', ...chain] };
    },
  };
}

/** Without Linux's means nothing ends a child with its parent: a process between them watches the pipe that only we hold open. */
const GUARD = `
const [program, ...args] = process.argv.slice(1);
const child = require('node:child_process').spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
process.stdin.on('end', () => child.kill('SIGKILL')).resume();
process.on('SIGTERM', () => { child.kill('SIGTERM'); setTimeout(() => child.kill('SIGKILL'), 1000).unref(); });
child.on('error', () => process.exit(127));
child.on('exit', (code) => process.exit(code ?? 1));`;

function guarded(nice: string, env: string): Sandbox {
  return {
    level: 'lists',
    uid: null,
    launch: ({ program, nice: by }) => ({
      file: env,
      args: ['-i', 'LANG=C.UTF-8', process.execPath, '-e', GUARD, nice, '-n', String(by), program],
    }),
  };
}

type Limits = Pick<Bounds, 'cpuSeconds' | 'memoryBytes' | 'maxFileBytes' | 'nice'>;

/** The number of processes is counted per account: where that account is ours, other work would count too. */
function limitArguments({ prlimit, nice }: LinuxTools, limits: Limits, countProcesses: boolean): string[] {
  return [
    ...[
      prlimit,
      `--cpu=${limits.cpuSeconds}`,
      `--as=${limits.memoryBytes}`,
      `--fsize=${limits.maxFileBytes}`,
      '--core=0',
      '--nofile=256',
    ],
    ...(countProcesses ? [`--nproc=${PROCESSES}`] : []),
    ...[nice, '-n', String(limits.nice)],
  ];
}

/** Last, since the kernel forgets the wish to die with the parent when the account changes. */
function privileges({ setpriv }: LinuxTools, uid: number | null): string[] {
  const account = uid === null ? [] : [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--inh-caps=-all'];
  return [setpriv, ...account, '--no-new-privs', '--pdeathsig=KILL', '--'];
}

/** The system's libraries, and nothing else of it: no /home, no /etc but the linker's tables, no /proc, no /sys. */
function systemMounts(): string[] {
  const libraries = ['/usr/lib', '/usr/lib32', '/usr/lib64', '/usr/libexec', '/usr/local/lib'].flatMap(bindIfThere);
  const linker = ['/etc/ld.so.cache', '/etc/ld.so.conf', '/etc/ld.so.conf.d', '/etc/alternatives'].flatMap(bindIfThere);
  const links = ['/lib', '/lib32', '/lib64'].flatMap((path) => {
    if (!existsSync(path)) return [];
    return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : bindIfThere(path);
  });
  return [...libraries, ...links, ...linker, '--dev', '/dev'];
}

function bindIfThere(path: string): string[] {
  return existsSync(path) ? ['--ro-bind', path, path] : [];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(realpathSync(path), constants.X_OK);
    return true;
  } catch {
    return false; // that is the answer
  }
}
