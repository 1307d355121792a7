import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FfmpegEngine } from '../../src/modules/media/index.js';

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
