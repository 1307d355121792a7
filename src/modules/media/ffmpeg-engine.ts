import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import ffmpeg from 'fluent-ffmpeg';
import { withFile } from './boxes.js';
import { mediaRanges, readContainer } from './container.js';
import type { FfmpegCommand } from './ffmpeg-command.js';
import { type Haste, MediaEngine, type MediaJob, MediaRunError, type SandboxLevel } from './media-engine.js';
import { ALL_PACKETS_BYTES, PacketCounter, type Packets, packetArguments } from './packets.js';
import { INPUT_GUARD, type Probe, parseProbe, probeArguments } from './probe.js';
import { type Bounds, findProgram, findTools, type Launch, possibleSandboxes, type Sandbox } from './sandbox.js';
import { Supervisor, type SupervisorOptions } from './supervise.js';

const MiB = 1024 * 1024;
/** A step is a quarter more of the processor: `now` gets three times as much as `soon`, and that twice as much as the rest. This process itself has more than all. */
const NICE: Readonly<Record<Haste, number>> = { now: 2, soon: 7, none: 10 };
/** A header that takes more than this to read is refused; the wall clock only guards against a stuck machine. */
const PROBE = { cpuSeconds: 3, memoryBytes: 600 * MiB, maxFileBytes: MiB, nice: NICE.now };
/** Packets that take more are left to the checks of each piece. Both together stay below 5 seconds. */
const PACKETS = { ...PROBE, cpuSeconds: 2 };
/** Half a day of pictures has an index of its own size. */
const LARGE = { cpuSeconds: 10, memoryBytes: 1200 * MiB, maxFileBytes: MiB, nice: NICE.now };
const PROBE_TIMEOUT_MS = 20_000;
/** A header with so much to say is an attack or a mistake: `verdict` refuses above 1 MiB of metadata anyway. */
const MAX_PROBE_OUTPUT = 16 * MiB;
const DEFAULTS = { stallMs: 60_000, memoryBytes: 4096 * MiB, maxFileBytes: 16 * 1024 * MiB };

export interface EngineOptions {
  /** ffmpeg by name or path; ffprobe is taken from beside it. */
  readonly ffmpegPath: string;
  /** Where jobs will have their files: the trial runs there. */
  readonly dataDir: string;
  /** `strict`: no start without bubblewrap. */
  readonly sandbox: 'auto' | 'strict';
}

/** @throws Error with a sentence for the operator, where one of the two is not there */
export function findMediaPrograms(ffmpegPath: string): { ffmpeg: string; ffprobe: string } {
  const ffmpeg = findProgram(ffmpegPath);
  const ffprobe = ffmpeg && (findProgram(join(dirname(ffmpeg), 'ffprobe')) ?? findProgram('ffprobe'));
  if (!ffmpeg || !ffprobe)
    throw new Error(`ffmpeg and ffprobe are needed, and FFMPEG_PATH (${ffmpegPath}) does not lead to them`);
  return { ffmpeg, ffprobe };
}

export class FfmpegEngine extends MediaEngine {
  private constructor(
    private readonly ffmpegPath: string,
    private readonly ffprobePath: string,
    private readonly sandbox: Sandbox,
  ) {
    super();
  }

  /**
   * Finds the strongest sandbox that works here, by trying.
   * @param candidates for tests of one level
   * @throws Error with a sentence for the operator
   */
  static async find(
    options: EngineOptions,
    candidates = possibleSandboxes(findTools(), process.getuid?.() === 0),
  ): Promise<FfmpegEngine> {
    const { ffmpeg: found, ffprobe: probe } = findMediaPrograms(options.ffmpegPath);
    const problems: string[] = [];
    for (const sandbox of candidates.filter((s) => options.sandbox === 'auto' || s.level === 'bubblewrap')) {
      const engine = new FfmpegEngine(found, probe, sandbox);
      const problem = await engine.trial(options.dataDir);
      if (problem === null) return engine;
      problems.push(`${sandbox.level}${sandbox.uid === null ? '' : ' with another account'}: ${problem}`);
    }
    const wanted =
      options.sandbox === 'strict'
        ? 'SANDBOX=strict needs bubblewrap, which does not work here'
        : 'ffmpeg cannot be run';
    throw new Error(`${wanted}: ${problems.join('; ') || 'it is not installed'}`);
  }

  get sandboxLevel(): SandboxLevel {
    return this.sandbox.level;
  }

  /** The level in words, for the log. */
  get sandboxInWords(): string {
    return `${this.sandbox.level}, ${this.sandbox.uid === null ? 'own account' : `account ${this.sandbox.uid}`}`;
  }

  async probe(path: string, signal?: AbortSignal): Promise<Probe> {
    const { container, sizeBytes } = await withFile(path, async (source) => ({
      container: await readContainer(source),
      sizeBytes: source.sizeBytes,
    }));
    // What is refused anyway need not be opened by ffprobe, least of all a list of other files.
    if (container.kind === 'empty' || container.kind === 'list') return parseProbe('', container, sizeBytes);
    const limits = sizeBytes > ALL_PACKETS_BYTES ? LARGE : PROBE;
    const chunks: Buffer[] = [];
    let length = 0;
    const { ended: _, ...said } = await this.ffprobe(path, limits, probeArguments(path), signal, (data) => {
      length += data.length;
      if (length > MAX_PROBE_OUTPUT) return false;
      chunks.push(data);
      return true;
    });
    return parseProbe(Buffer.concat(chunks).toString('utf8'), container, sizeBytes, said);
  }

  async packets(path: string, probe: Probe, signal?: AbortSignal): Promise<Packets> {
    const counter = new PacketCounter(probe.video?.index ?? -1, await withFile(path, mediaRanges));
    const { args, read } = packetArguments(path, probe);
    let rest = '';
    const said = await this.ffprobe(path, read === 'all' ? PACKETS : LARGE, args, signal, (data) => {
      const lines = (rest + data.toString('latin1')).split('\n');
      rest = (lines.pop() ?? '').slice(-1000);
      for (const line of lines) counter.line(line);
      return true;
    });
    return counter.result(said, read);
  }

  run(job: MediaJob): Promise<{ log: string }> {
    return this.start(job, INPUT_GUARD);
  }

  private async start(job: MediaJob, guard: readonly string[]): Promise<{ log: string }> {
    const { workDir, timeoutMs, stallMs = DEFAULTS.stallMs, signal, onProgress } = job;
    const { memoryBytes = DEFAULTS.memoryBytes, maxFileBytes = DEFAULTS.maxFileBytes } = job;
    const reads = job.command.inputs.map((input) => input.path);
    const relative = [workDir, ...reads].find((path) => !isAbsolute(path));
    if (relative !== undefined) throw new Error(`not an absolute path: ${JSON.stringify(relative)}`);
    const cpuSeconds = Math.ceil((timeoutMs / 1000) * availableParallelism());
    const launch = await this.confine({
      program: this.ffmpegPath,
      reads,
      workDir,
      cpuSeconds,
      memoryBytes,
      maxFileBytes,
      nice: NICE[job.haste ?? 'none'],
    });
    if (signal?.aborted) throw new MediaRunError('aborted', '');
    return { log: await runFluent(launch, job.command, guard, workDir, { timeoutMs, stallMs, signal, onProgress }) };
  }

  /** Lets the sandbox's account to what the job names, then says how to start it. */
  private async confine(bounds: Bounds): Promise<Launch> {
    const { uid } = this.sandbox;
    if (uid !== null) {
      if (bounds.workDir) await chown(bounds.workDir, uid, uid);
      for (const path of bounds.reads) await letRead(path, uid);
    }
    return this.sandbox.launch(bounds);
  }

  /** @param take what it writes; false: more than anyone reads */
  private async ffprobe(
    path: string,
    limits: Pick<Bounds, 'cpuSeconds' | 'memoryBytes' | 'maxFileBytes' | 'nice'>,
    args: string[],
    signal: AbortSignal | undefined,
    take: (data: Buffer) => boolean,
  ): Promise<{ log: string; tooMuchOutput: boolean; ended: boolean }> {
    const launch = await this.confine({ ...limits, program: this.ffprobePath, reads: [path], workDir: null });
    const child = spawn(launch.file, [...launch.args, ...args], { stdio: ['pipe', 'pipe', 'pipe'], env: {} });
    const watch = new Supervisor(child, { timeoutMs: PROBE_TIMEOUT_MS, signal });
    child.stdout.on('data', (data: Buffer) => {
      if (!take(data)) watch.end('output');
    });
    await watch.closed;
    try {
      watch.check();
    } catch (error) {
      // That it gave up, or was stopped for what it wrote or used, is the file's fault and the verdict's matter.
      const isFile = error instanceof MediaRunError && (error.failure === 'exit' || error.failure === 'output');
      if (!isFile) throw error;
    }
    const wasStopped = watch.failure !== null || watch.exit?.signal != null || (watch.exit?.code ?? 0) >= 128;
    return { log: lastLines(watch.log), tooMuchOutput: watch.failure === 'output', ended: !wasStopped };
  }

  /** One copy of a few bytes through the whole chain: reads a named file, writes into the work directory. Answers what went wrong. */
  private async trial(dataDir: string): Promise<string | null> {
    await mkdir(dataDir, { recursive: true, mode: 0o711 });
    const folder = await mkdtemp(join(dataDir, 'media-trial-'));
    try {
      const [source, workDir] = [join(folder, 'in'), join(folder, 'work')];
      await chmod(folder, 0o711);
      await mkdir(workDir);
      await writeFile(source, 'trial');
      const command: FfmpegCommand = {
        inputs: [{ options: ['-nostdin', '-v', 'error', '-f', 'data'], path: source }],
        outputs: [{ options: ['-map', '0', '-c', 'copy', '-f', 'data'], path: 'out' }],
      };
      await this.start({ command, workDir, timeoutMs: 10_000 }, []);
      return (await readFile(join(workDir, 'out'), 'utf8')) === 'trial' ? null : 'the trial wrote other bytes';
    } catch (error) {
      return error instanceof MediaRunError ? lastLines(error.log) || error.message : String(error);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/**
 * fluent-ffmpeg starts the run. Its program is the sandbox's, and the sandbox's arguments stand before ffmpeg's own: a wrapper without a script
 * between (docs/decisions/fluent-ffmpeg.md). Its path is one for the whole process, so nothing that differs between runs may be in it. Options go
 * in one by one, not as a list, since of a list it splits those that hold one space.
 */
async function runFluent(
  launch: Launch,
  { inputs, outputs }: FfmpegCommand,
  guard: readonly string[],
  workDir: string,
  options: SupervisorOptions,
): Promise<string> {
  const settings: ffmpeg.FfmpegCommandOptions & { cwd: string } = { cwd: workDir, stdoutLines: 1 };
  const wrapped = ffmpeg(settings);
  // It would look through ffmpeg's formats and encoders first, by a program start each: what our builders ask for is known to be there.
  const formats = Object.fromEntries(
    [...inputs, ...outputs].map(({ options }) => [
      options[options.indexOf('-f') + 1],
      { canMux: true, canDemux: true },
    ]),
  );
  Object.assign(wrapped, {
    availableFormats: (answer: Answer) => answer(null, formats),
    availableEncoders: (answer: Answer) => answer(null, {}),
  });
  wrapped.setFfmpegPath(launch.file);
  for (const [n, { path, options }] of inputs.entries()) {
    wrapped.input(path).inputOptions(...(n === 0 ? launch.args : []), ...guard, ...options);
  }
  for (const { path, options } of outputs) wrapped.output(path).outputOptions(...options);
  const started = new Promise<Supervisor>((resolve, reject) => {
    wrapped.once('start', () =>
      resolve(new Supervisor((wrapped as unknown as { ffmpegProc: ChildProcess }).ffmpegProc, options)),
    );
    // Our own watch tells the end of a started program, and why; here only what comes before the start counts.
    wrapped.once('error', (error: Error) => reject(new MediaRunError('start', error.message)));
    wrapped.run();
  });
  const watch = await started;
  await watch.closed;
  watch.check();
  return watch.log;
}

type Answer = (error: Error | null, known: object) => void;

/** Objects of our store may be closed to other accounts: its group is the way in for this one alone. */
async function letRead(path: string, uid: number): Promise<void> {
  const file = await stat(path);
  if (file.mode & 0o004) return;
  await chown(path, file.uid, uid);
  await chmod(path, (file.mode & 0o777) | 0o040);
}

function lastLines(log: string): string {
  return log.trim().split('\n').slice(-5).join('\n').slice(-1000);
}
