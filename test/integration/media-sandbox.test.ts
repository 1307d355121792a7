import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { FfmpegEngine, MediaRunError, verdict } from '../../src/modules/media/index.js';
import {
  type Bounds,
  findProgram,
  findTools,
  possibleSandboxes,
  type Sandbox,
} from '../../src/modules/media/sandbox.js';
import { h264, make, picture, scratch, startEngine, words } from './media-clips.js';

const isRoot = process.getuid?.() === 0;
const tools = findTools();
/** Every way that this machine offers, and the one of macOS, which works on any system. */
const sandboxes = [...possibleSandboxes(tools, isRoot), ...possibleSandboxes({ ...tools, prlimit: null }, isRoot)].map(
  (sandbox): [string, Sandbox] => [`${sandbox.level}${sandbox.uid === null ? '' : ', other account'}`, sandbox],
);
const bubbles = sandboxes.filter(([, sandbox]) => sandbox.level === 'bubblewrap');

let dir: string;
let remove: () => Promise<void>;
let engine: FfmpegEngine;
let clip: string;

beforeAll(async () => {
  ({ dir, remove } = await scratch());
  await chmod(dir, 0o755);
  engine = await startEngine(dir);
  clip = await make(join(dir, 'clip.mp4'), ...picture(2, 25), ...h264);
});
afterAll(() => remove());
jest.setTimeout(60_000);

let folders = 0;
async function folder(): Promise<string> {
  const path = join(dir, `work-${folders++}`);
  await mkdir(path, { mode: 0o777 });
  await chmod(path, 0o777);
  return path;
}

async function bounds(over: Partial<Bounds> = {}): Promise<Bounds> {
  const program = findProgram('ffmpeg') ?? '';
  const big = 4 * 1024 ** 3;
  return {
    program,
    reads: [clip],
    workDir: await folder(),
    cpuSeconds: 60,
    memoryBytes: big,
    maxFileBytes: big,
    nice: 10,
    ...over,
  };
}

/** ffmpeg in a sandbox, without the engine and its lists: what the sandbox alone prevents. */
async function bare(
  sandbox: Sandbox,
  limits: Bounds,
  ...args: string[]
): Promise<{ code: number | null; said: string }> {
  const { file, args: prefix } = sandbox.launch(limits);
  const child = spawn(file, [...prefix, '-nostdin', '-hide_banner', '-y', ...args], {
    cwd: limits.workDir ?? '/',
    env: {},
  });
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    said += data.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

describe.each(sandboxes)('in the sandbox %s', (_, sandbox) => {
  it('ffmpeg reads the named file and writes into its directory', async () => {
    const limits = await bounds();
    const { code, said } = await bare(sandbox, limits, '-i', clip, '-c', 'copy', 'out.mp4');
    expect({ code, said: code ? said : '' }).toEqual({ code: 0, said: '' });
    expect((await stat(join(limits.workDir ?? '', 'out.mp4'))).size).toBeGreaterThan(1000);
  });

  it('the engine starts and probes', async () => {
    const found = await FfmpegEngine.find({ ffmpegPath: 'ffmpeg', dataDir: join(dir, 'data'), sandbox: 'auto' }, [
      sandbox,
    ]);
    expect(found.sandboxLevel).toBe(sandbox.level);
    expect(verdict(await found.probe(clip))).toEqual({ accepted: true });
  });

  it('nothing lives on when the process that started it is killed', async () => {
    const limits = await bounds();
    const launch = sandbox.launch(limits);
    const args = [...launch.args, ...words('-nostdin -v error -re -stream_loop -1 -i'), clip, ...words('-f null -')];
    // Starts it as the engine does, on pipes of its own, and says when ffmpeg has begun.
    const script = `
      const { spawn } = require('node:child_process');
      const child = spawn(${JSON.stringify(launch.file)}, ${JSON.stringify([...args, ...words('-progress pipe:1')])}, { cwd: ${JSON.stringify(limits.workDir)} });
      child.stderr.pipe(process.stderr);
      child.stdout.once('data', () => process.stdout.write('begun'));`;
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(parent.stdout, 'data');
    expect(await processesOn(clip)).not.toEqual([]);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await until(async () => (await processesOn(clip)).length === 0);
  });
});

describe.each(bubbles)('in the sandbox %s', (_, sandbox) => {
  it('there is no network', async () => {
    const visitors: string[] = [];
    const server = createServer((socket) => {
      visitors.push('somebody');
      socket.destroy();
    }).listen(0, '127.0.0.1');
    server.unref();
    await once(server, 'listening');
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/x.mp4`;
    expect((await bare(sandbox, await bounds(), '-i', url)).code).not.toBe(0);
    expect(visitors).toEqual([]);
    const [, weaker] = sandboxes.find(([, s]) => s.level === 'limits') ?? [];
    if (!weaker) throw new Error('no weaker sandbox to compare with');
    await bare(weaker, await bounds(), '-i', url);
    expect(visitors).toEqual(['somebody']); // so it would have come through
  });

  it('no other file can be read, by name or by a link, and none written outside', async () => {
    const secret = join(dir, 'secret.mp4');
    await writeFile(secret, await readFile(clip));
    await chmod(secret, 0o644);
    const limits = await bounds();
    const link = join(limits.workDir ?? '', 'link.mp4');
    await symlink(secret, link);
    for (const path of [secret, link, '/etc/passwd']) {
      const { code, said } = await bare(sandbox, limits, '-f', 'mov', '-i', path);
      expect(code).not.toBe(0);
      expect(said).toContain('No such file or directory');
    }
    for (const path of [join(dir, 'new.mp4'), '/dev/shm/new.mp4', clip]) {
      const before = (await readFile(clip)).length;
      expect((await bare(sandbox, limits, '-i', clip, '-c', 'copy', path)).code).not.toBe(0);
      expect((await readFile(clip)).length).toBe(before);
    }
    expect((await readdir(dir)).includes('new.mp4')).toBe(false);
  });

  it('there is no other process, no environment and no privilege', async () => {
    const { launch } = sandbox;
    const { file, args } = launch({ ...(await bounds()), program: '/bin/cat', reads: ['/bin/cat'] });
    expect(() => execFileSync(file, [...args, '/proc/1/environ'], { stdio: 'pipe' })).toThrow(/No such file/);
    const ids = launch({ ...(await bounds()), program: '/usr/bin/id', reads: [] });
    expect(execFileSync(ids.file, [...ids.args, '-u'], { encoding: 'utf8' }).trim()).not.toBe(
      String(process.getuid?.()),
    );
    const env = launch({ ...(await bounds()), program: '/usr/bin/env', reads: [] });
    const variables = execFileSync(env.file, [...env.args], { encoding: 'utf8', env: { SECRET: 'x' } });
    expect(variables).not.toContain('SECRET');
  });
});

describe.each(sandboxes.filter(([, s]) => s.level !== 'lists'))('the limits of %s', (_, sandbox) => {
  it('hold for memory, CPU time and file size', async () => {
    const endless = ['-stream_loop', '-1', '-i', clip, ...words('-vf scale=1280:720 -f null -')];
    expect((await bare(sandbox, await bounds({ cpuSeconds: 1 }), ...endless)).code).not.toBe(0);
    const small = await bounds({ maxFileBytes: 100_000 });
    expect(
      (await bare(sandbox, small, '-stream_loop', '200', '-i', clip, '-c', 'copy', '-f', 'mpegts', 'x.ts')).code,
    ).not.toBe(0);
    expect((await stat(join(small.workDir ?? '', 'x.ts'))).size).toBeLessThanOrEqual(100_000);
    const tight = await bounds({ memoryBytes: 400 * 1024 ** 2 });
    expect(
      (await bare(sandbox, tight, '-i', clip, ...words('-vf scale=16000:16000 -frames:v 1 -f null -'))).code,
    ).not.toBe(0);
  });
});

describe('the engine', () => {
  /** A file that gives nothing: opening it for reading waits for a writer who never comes. */
  async function silence(): Promise<string> {
    const path = join(dir, `silence-${folders++}`);
    execFileSync('mkfifo', ['-m', '644', path]);
    return path;
  }

  async function failure(over: { timeoutMs?: number; stallMs?: number; signal?: AbortSignal }): Promise<MediaRunError> {
    const path = await silence();
    const command = { inputs: [{ options: [], path }], outputs: [{ options: ['-f', 'mp4'], path: 'x.mp4' }] };
    const error = await engine
      .run({ command, workDir: await folder(), timeoutMs: 30_000, ...over })
      .catch((e: unknown) => e);
    await until(async () => (await processesOn(path)).length === 0);
    if (!(error instanceof MediaRunError)) throw new Error(`not the expected error: ${error}`);
    return error;
  }

  it('ends a run without progress', async () => {
    expect((await failure({ stallMs: 700 })).failure).toBe('stalled');
  });

  it('ends a run at its time', async () => {
    expect((await failure({ timeoutMs: 700 })).failure).toBe('timeout');
  });

  it('ends a run when asked to, also before it has begun', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 500);
    expect((await failure({ signal: controller.signal })).failure).toBe('aborted');
    expect((await failure({ signal: AbortSignal.abort() })).failure).toBe('aborted');
  });

  it.each([
    ['after all else that wants the processor', undefined, 10],
    ['before other runs, where somebody waits for it', 'now', 2],
    ['between the two, where it has waited itself', 'soon', 7],
  ] as const)('runs %s', async (_, haste, nice) => {
    const path = await silence();
    const stop = new AbortController();
    const command = { inputs: [{ options: [], path }], outputs: [{ options: ['-f', 'mp4'], path: 'x.mp4' }] };
    const running = engine
      .run({ command, workDir: await folder(), timeoutMs: 30_000, haste, signal: stop.signal })
      .catch((e: unknown) => e);
    let found: number | undefined;
    await until(async () => {
      for (const pid of await processesOn(path)) {
        // Its launchers have the same arguments.
        const [, name, rest] = /\((.*)\) (.*)/.exec(await readFile(`/proc/${pid}/stat`, 'utf8')) ?? [];
        if (name === 'ffmpeg') found = Number(rest?.split(' ')[16]);
      }
      return found !== undefined;
    });
    stop.abort();
    expect(await running).toMatchObject({ failure: 'aborted' });
    // The kernel knows none above 19.
    expect(found).toBe(Math.min(19, getPriority() + nice));
  });

  it('says why ffmpeg gave up, by the end of its log', async () => {
    const path = join(dir, 'text.mp4');
    await writeFile(path, 'no film');
    const command = { inputs: [{ options: [], path }], outputs: [{ options: ['-f', 'mp4'], path: 'x.mp4' }] };
    const run = engine.run({ command, workDir: await folder(), timeoutMs: 10_000 });
    await expect(run).rejects.toMatchObject({ failure: 'exit', log: expect.stringContaining('Invalid data found') });
  });

  it('reports progress', async () => {
    const seen: number[] = [];
    const command = {
      inputs: [{ options: words('-nostats -progress pipe:1'), path: clip }],
      outputs: [{ options: words('-f null'), path: '-' }],
    };
    await engine.run({
      command,
      workDir: await folder(),
      timeoutMs: 10_000,
      onProgress: ({ frames }) => seen.push(frames),
    });
    expect(seen.at(-1)).toBe(50);
  });

  it('takes paths with blanks, quotes and percent signs for what they are', async () => {
    const odd = join(dir, `a b 'c' %d $(touch x) -y`);
    await mkdir(odd);
    const path = join(odd, 'one blank.mp4');
    await writeFile(path, await readFile(clip));
    expect(verdict(await engine.probe(path))).toEqual({ accepted: true });
    const workDir = join(odd, 'work dir');
    await mkdir(workDir);
    const command = { inputs: [{ options: [], path }], outputs: [{ options: words('-c copy -f mp4'), path: 'x.mp4' }] };
    await engine.run({ command, workDir, timeoutMs: 10_000 });
    expect(await readdir(workDir)).toEqual(['x.mp4']);
  });

  it.each([
    ['HLS', (file: string) => `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://${file}\n#EXT-X-ENDLIST\n`],
    ['ffconcat', (file: string) => `ffconcat version 1.0\nfile ${file}\n`],
  ])('does not follow a list (%s) that poses as a film, in a run either', async (_, list) => {
    const path = join(dir, 'list.mp4');
    await writeFile(path, list(clip));
    expect(verdict(await engine.probe(path))).toMatchObject({ code: 'FORBIDDEN_CONTAINER' });
    const command = { inputs: [{ options: [], path }], outputs: [{ options: words('-c copy -f mp4'), path: 'x.mp4' }] };
    const run = engine.run({ command, workDir: await folder(), timeoutMs: 10_000 });
    await expect(run).rejects.toMatchObject({ failure: 'exit', log: expect.stringContaining('whitelist') });
  });

  it('does not start under SANDBOX=strict without bubblewrap, and says why', async () => {
    const weak = possibleSandboxes({ ...tools, bwrap: null }, isRoot);
    const start = FfmpegEngine.find({ ffmpegPath: 'ffmpeg', dataDir: join(dir, 'data'), sandbox: 'strict' }, weak);
    await expect(start).rejects.toThrow(/SANDBOX=strict needs bubblewrap/);
  });

  it('reads a file that is closed to other accounts', async () => {
    const path = join(dir, 'closed.mp4');
    await writeFile(path, await readFile(clip), { mode: 0o600 });
    expect(verdict(await engine.probe(path))).toEqual({ accepted: true });
  });
});

/** Processes whose arguments name this file. */
async function processesOn(path: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''); // it ended meanwhile
    if (line.split('\0').includes(path)) found.push(pid);
  }
  return found;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not come to pass within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
