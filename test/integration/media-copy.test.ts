import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findBox } from '../../src/modules/media/boxes.js';
import {
  checkSegments,
  copyArguments,
  examine,
  type FfmpegEngine,
  hasPlainKeys,
  readFragments,
  timing,
  whyNotCopy,
  withFile,
} from '../../src/modules/media/index.js';
import {
  ask,
  h264,
  make,
  numbered,
  numberedFrames,
  prepare,
  readNumbers,
  scratch,
  startEngine,
  words,
  workFolder,
} from './media-clips.js';

const run = promisify(execFile);
const RUNG = { name: '360p', width: 640, height: 360, maxBitsPerSecond: 800_000 };
const SCALE = words('-vf scale=640:360:flags=neighbor');
const GRID = words('-c:v libx264 -preset ultrafast -bf 3 -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p');

let dir: string;
let remove: () => Promise<void>;
let engine: FfmpegEngine;
let numbers: string;

beforeAll(async () => {
  ({ dir, remove } = await scratch());
  engine = await startEngine(dir);
  numbers = await numberedFrames(dir, 230);
});
afterAll(() => remove());
jest.setTimeout(60_000);

const at = (name: string) => join(dir, name);
const film = (rate: number | string = 25) => [...numbered(numbers, rate, 230), ...SCALE];

/** As the pipeline decides it. */
async function decision(path: string): Promise<string | null> {
  const { probe, packets, judged } = await examine(engine, path);
  if (!judged.accepted || !packets) throw new Error(`${path} is refused`);
  const found = { probe, packets, timing: timing(probe), rung: RUNG };
  const why = whyNotCopy(found);
  if (why !== null) return why;
  return (await withFile(path, (source) => hasPlainKeys(source, packets, found.timing))) ? null : 'no plain keys';
}

/** Digests of the packets of the picture, as they stand in the file. */
async function packetDigests(path: string): Promise<string[]> {
  const { stdout } = await run('ffmpeg', [...words('-v error -i'), path, ...words('-map 0:v:0 -c copy -f framemd5 -')]);
  const lines = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return lines.map((line) => line.split(',').at(-1)?.trim() ?? '');
}

async function packetTimes(file: string): Promise<number[]> {
  return (await ask(file, 'packet=pts')).map((line) => Number.parseInt(line, 10)).sort((a, b) => a - b);
}

/** How much later than decoded the first picture of a segment is shown: ISO/IEC 14496-12, 8.8.8. */
function firstOffset(segment: Buffer): number {
  const trun = findBox(segment, ['moof', 'traf', 'trun']);
  if (!trun) throw new Error('no trun');
  const flags = trun.readUInt32BE(0) & 0xffffff;
  if (!(flags & 0x800)) return 0;
  const fields = [0x100, 0x200, 0x400].filter((flag) => flags & flag).length;
  return trun.readInt32BE(8 + (flags & 0x1 ? 4 : 0) + (flags & 0x4 ? 4 : 0) + fields * 4);
}

it.each<[string, number | string, string[], string[]]>([
  ['25 a second, sound before the picture', 25, [], words('-output_ts_offset 3')],
  ['29.97 a second', '30000/1001', words('-g 60 -keyint_min 60'), []],
  ['key pictures twice as often as needed', 25, words('-g 25 -keyint_min 25'), []],
  ['no pictures that are shown out of order', 25, words('-bf 0'), []],
])('a picture of %s is copied byte for byte, and is timed like an encoded rung', async (name, rate, own, muxed) => {
  const path = await make(at(`${name}.mp4`), ...film(rate), ...GRID, ...own, ...muxed);
  expect(await decision(path)).toBeNull();
  const source = await prepare(engine, path, dir);
  const workDir = await workFolder(dir);
  const command = copyArguments(path, source.probe, source.timing, RUNG);
  await engine.run({ command, workDir, timeoutMs: 30_000 });
  const copy = join(workDir, '360p.mp4');
  const { frames } = source.timing;
  expect(frames).toBe(230);
  const read = await readFragments(copy);
  expect(checkSegments({ timing: source.timing, firstFrame: 0, frames, initSha256: null }, read)).toEqual({ ok: true });

  expect(await packetDigests(copy)).toEqual(await packetDigests(path));
  expect(await readNumbers(copy)).toEqual(Array.from({ length: 230 }, (_, n) => n));
  // In the segments' own terms, since ffprobe shows times before zero as if all came later.
  const times = await packetTimes(copy);
  const { frameDuration } = source.timing;
  expect(times.map((time) => time - (times[0] ?? 0))).toEqual(Array.from({ length: 230 }, (_, n) => n * frameDuration));
  const bytes = await readFile(copy);
  expect(read.fragments.map(({ offset }) => firstOffset(bytes.subarray(offset)))).toEqual(read.fragments.map(() => 0));
});

it.each<[string, RegExp, () => Promise<string>]>([
  [
    'open groups',
    /closed|begins|no plain keys/,
    () =>
      make(
        at('open.mp4'),
        ...film(),
        ...words('-c:v libx264 -preset veryfast -bf 3 -g 50 -keyint_min 50 -sc_threshold 0'),
        ...words('-x264-params open-gop=1 -pix_fmt yuv420p'),
      ),
  ],
  [
    'key pictures beside the grid',
    /segment 2 begins/,
    () => make(at('off.mp4'), ...film(), ...GRID, ...words('-g 75 -keyint_min 75')),
  ],
  [
    'an edit list that hides pictures',
    /pictures, of which/,
    async () =>
      make(at('edit.mp4'), '-ss', '1', '-i', await make(at('whole.mp4'), ...film(), ...GRID), ...words('-c copy')),
  ],
  [
    'a variable rate',
    /rate|pictures/,
    () =>
      make(
        at('vfr.mp4'),
        ...film(),
        ...words('-vf select=not(eq(mod(n\\,7)\\,5)),scale=640:360 -fps_mode vfr'),
        ...GRID,
      ),
  ],
  [
    'too many bits',
    /above the cap/,
    () =>
      make(
        at('fat.mp4'),
        ...words('-f lavfi -i testsrc2=s=640x360:r=25:d=9'),
        ...GRID,
        ...words('-vf noise=alls=60:allf=t -crf 10'),
      ),
  ],
  [
    'settings within the media',
    /no plain keys/,
    () => make(at('inband.mp4'), ...film(), ...GRID, ...words('-x264-params repeat-headers=1 -flags -global_header')),
  ],
  ['another size', /size/, () => make(at('small.mp4'), ...numbered(numbers, 25, 230), ...h264)],
])('a picture with %s is encoded', async (_, reason, made) => {
  expect(await decision(await made())).toMatch(reason);
});
