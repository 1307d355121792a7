import { execFile } from 'node:child_process';
import { appendFile, chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type CheckResult,
  checkPiece,
  examine,
  FfmpegEngine,
  type FragmentedFile,
  isConstantRate,
  needsRemux,
  type Probe,
  pieceArguments,
  type Rung,
  readFragments,
  remuxArguments,
  type Timing,
  timing,
} from '../../src/modules/media/index.js';

const run = promisify(execFile);

/** A directory of the test's own, and how to be rid of it. */
export async function scratch(): Promise<{ dir: string; remove(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-media-'));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

export function startEngine(dir: string): Promise<FfmpegEngine> {
  return FfmpegEngine.find({ ffmpegPath: 'ffmpeg', dataDir: join(dir, 'data'), sandbox: 'auto' });
}

/** Makes an input with ffmpeg itself, outside the engine: quick settings, the wanted properties by `args`. */
export async function make(path: string, ...args: string[]): Promise<string> {
  await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args, path]);
  return path;
}

export const picture = (seconds: number, rate: number | string, size = '128x72') => [
  ...['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=${rate}:d=${seconds}`],
];
export const sound = (seconds: number) => ['-f', 'lavfi', '-i', `sine=f=440:r=48000:d=${seconds}`];
export const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '2', '-g', '75', '-pix_fmt', 'yuv420p'];

/** What ffprobe says of a file of our own, as `key=value` lines' values. */
export async function ask(path: string, entries: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await run(
    'ffprobe',
    ['-v', 'error', '-select_streams', 'v:0', ...args, '-show_entries', entries, '-of', 'csv=p=0', path],
    { maxBuffer: 16 * 1024 * 1024 },
  );
  return stdout.trim().split(/\s+/);
}

/** An argument list without blanks inside its arguments, as one would type it. */
export const words = (line: string) => line.split(' ');

/** A folder for one run of ffmpeg: the sandbox's account will own it, and its launcher must be able to enter it all the same. */
export async function workFolder(dir: string): Promise<string> {
  const folder = await mkdtemp(join(dir, 'work-'));
  await chmod(folder, 0o755);
  return folder;
}

/** What pieces are made from. */
export interface Source {
  path: string;
  probe: Probe;
  timing: Timing;
  /** Of the file itself, where the picture is read from a copy. */
  original: Probe;
}

/** As the pipeline does it: probe, copy into a container with an index where that is needed, probe again. */
export async function prepare(engine: FfmpegEngine, path: string, dir: string): Promise<Source> {
  const { probe, judged } = await examine(engine, path);
  if (!judged.accepted) throw new Error(`${path} is refused: ${judged.code}, ${judged.message}`);
  if (!needsRemux(probe)) return { path, probe, timing: timing(probe), original: probe };
  if (!probe.video) throw new Error('no picture');
  const workDir = await workFolder(dir);
  const { command, file } = remuxArguments(path, probe.video);
  await engine.run({ command, workDir, timeoutMs: 30_000 });
  const copy = join(workDir, file);
  const again = await engine.probe(copy);
  if (needsRemux(again)) throw new Error('the copy needs to be copied');
  return { path: copy, probe: again, timing: timing(again), original: probe };
}

export interface Piece {
  files: FragmentedFile[];
  workDir: string;
  checks: CheckResult[];
  log: string;
}

/** The highest first. */
export const RUNGS: readonly Rung[] = [
  { name: 'high', width: 128, height: 72, maxBitsPerSecond: 400_000 },
  { name: 'low', width: 64, height: 36, maxBitsPerSecond: 200_000 },
];

/** @param init digests of the init segments of other pieces, as far as they are known */
export async function makePiece(
  engine: FfmpegEngine,
  source: Source,
  part: {
    firstFrame: number;
    frames: number;
    dir: string;
    rungs?: readonly Rung[];
    init?: (string | null)[];
    preset?: string;
  },
): Promise<Piece> {
  const { path, probe, timing } = source;
  const { firstFrame, frames, dir, rungs = RUNGS, init = [], preset = 'ultrafast' } = part;
  if (!probe.video) throw new Error('no picture');
  const workDir = await workFolder(dir);
  const command = pieceArguments({
    ...{ path, video: probe.video, timing, firstFrame, frames, rungs },
    ...{ preset, crf: 23 },
  });
  const { log } = await engine.run({ command, workDir, timeoutMs: 60_000 });
  const files = await Promise.all(rungs.map((rung) => readFragments(join(workDir, `${rung.name}.mp4`))));
  const constantRate = isConstantRate(probe, timing);
  const checks = files.map((file, n) =>
    checkPiece({ timing, firstFrame, frames, initSha256: init[n] ?? null, constantRate }, file, log),
  );
  return { files, workDir, checks, log };
}

/** All pieces of so many frames each, checked against the first one's init, and joined rung by rung. */
export async function joinPieces(
  engine: FfmpegEngine,
  source: Source,
  {
    pieceFrames,
    dir,
    rungs = RUNGS,
    preset,
  }: { pieceFrames: number; dir: string; rungs?: readonly Rung[]; preset?: string },
): Promise<string[]> {
  const { timing } = source;
  const folder = await mkdtemp(join(dir, 'joined-'));
  const outputs = rungs.map((rung) => join(folder, `${rung.name}.mp4`));
  let init: string[] = [];
  for (let firstFrame = 0; firstFrame < timing.frames; firstFrame += pieceFrames) {
    const frames = Math.min(pieceFrames, timing.frames - firstFrame);
    const made = await makePiece(engine, source, { firstFrame, frames, dir, rungs, init, preset });
    const fault = made.checks.find((check) => !check.ok);
    if (fault) throw new Error(`piece from ${firstFrame}: ${JSON.stringify(fault)}`);
    init = made.files.map((file) => file.init?.sha256 ?? '');
    for (const [n, output] of outputs.entries()) {
      const { init: head = null, fragments = [] } = made.files[n] ?? {};
      const bytes = await readFile(join(made.workDir, `${rungs[n]?.name}.mp4`));
      if (firstFrame === 0) await writeFile(output, head?.bytes ?? '');
      for (const { offset, size } of fragments) await appendFile(output, bytes.subarray(offset, offset + size));
    }
  }
  return outputs;
}

const COLUMNS = 4;
const ROWS = 3;
const NUMBERED = { width: 128, height: 72 };

/** Grey frames that show their own number, from 0, as twelve bright or dark blocks. */
export async function numberedFrames(dir: string, count: number): Promise<string> {
  const path = join(dir, `numbers-${count}.gray`);
  const { width, height } = NUMBERED;
  const frames = Array.from({ length: count }, (_, n) => {
    const frame = Buffer.alloc(width * height);
    for (let y = 0; y < height; y++) {
      const row = Math.floor((y * ROWS) / height);
      for (let column = 0; column < COLUMNS; column++) {
        const start = y * width + (column * width) / COLUMNS;
        frame.fill((n >> (row * COLUMNS + column)) & 1 ? 235 : 16, start, start + width / COLUMNS);
      }
    }
    return frame;
  });
  await writeFile(path, Buffer.concat(frames));
  return path;
}

/** Options of an input that shows those frames at a rate. */
export const numbered = (path: string, rate: number | string, count: number) => [
  ...['-f', 'rawvideo', '-pixel_format', 'gray', '-video_size', `${NUMBERED.width}x${NUMBERED.height}`],
  ...['-framerate', String(rate), '-t', String((count - 0.25) / rateOf(rate)), '-i', path],
];

function rateOf(rate: number | string): number {
  const [num = 0, den = 1] = String(rate).split('/').map(Number);
  return num / den;
}

/**
 * The numbers that the frames of a film show, in order.
 * @param undo a filter that turns the picture back to where the blocks were drawn
 */
export async function readNumbers(path: string, undo?: string): Promise<number[]> {
  const filter = [...(undo ? [undo] : []), `scale=${COLUMNS}:${ROWS}:flags=area`, 'format=gray'].join(',');
  const { stdout } = await run(
    'ffmpeg',
    [
      ...['-nostdin', '-v', 'error', '-i', path, '-map', '0:v:0', '-vf', filter],
      ...['-fps_mode', 'passthrough', '-f', 'rawvideo', '-'],
    ],
    { encoding: 'buffer', maxBuffer: 16 * 1024 * 1024 },
  );
  const blocks = COLUMNS * ROWS;
  return Array.from({ length: stdout.length / blocks }, (_, n) =>
    stdout.subarray(n * blocks, (n + 1) * blocks).reduce((sum, grey, bit) => sum + (grey > 128 ? 1 << bit : 0), 0),
  );
}

/** Silence with a beep of a tenth of a second at 0.5 s, and another that ends half a second before the end. */
export const beeps = (seconds: number, layout = 'mono') => {
  const tone = `0.8*sin(2*PI*1000*t)*(between(t,0.5,0.6)+between(t,${seconds - 0.6},${seconds - 0.5}))`;
  const channels = Array.from({ length: layout === '5.1' ? 6 : 1 }, () => tone).join('|');
  return ['-f', 'lavfi', '-i', `aevalsrc=exprs='${channels}':s=48000:d=${seconds}:c=${layout}`];
};

/** When, in seconds, a film's sound is first loud, and when it was last. */
export async function loudFrom(path: string): Promise<[number, number]> {
  const { stdout } = await run(
    'ffmpeg',
    [...words('-nostdin -v error -i'), path, ...words('-map 0:a:0 -ac 1 -ar 48000 -f s16le -')],
    { encoding: 'buffer', maxBuffer: 64 * 1024 * 1024 },
  );
  const loud = (n: number) => Math.abs(stdout.readInt16LE(n * 2)) > 5000;
  const samples = stdout.length / 2;
  let [first, last] = [0, samples - 1];
  while (first < samples && !loud(first)) first++;
  while (last > first && !loud(last)) last--;
  return [first / 48_000, last / 48_000];
}
