import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  audioArguments,
  audioPlan,
  type CheckResult,
  checkAudio,
  checkPiece,
  type FfmpegEngine,
  type FragmentedFile,
  finishedAudio,
  isConstantRate,
  mainAudio,
  needsRemux,
  type Probe,
  pieceArguments,
  readFragments,
  remuxArguments,
  stillsArguments,
  stillsPlan,
  type Timing,
  timing,
  verdict,
} from '../../src/modules/media/index.js';
import { ask, h264, make, picture, scratch, sound, startEngine, words } from './media-clips.js';

let dir: string;
let remove: () => Promise<void>;
let engine: FfmpegEngine;

beforeAll(async () => {
  ({ dir, remove } = await scratch());
  engine = await startEngine(dir);
});
afterAll(() => remove());
jest.setTimeout(120_000);

const at = (name: string) => join(dir, name);

const clipsMade = new Map<string, Promise<string>>();
/** An input by name: made when a test first asks for it. */
function clip(name: string, ...args: string[]): Promise<string> {
  const made = clipsMade.get(name) ?? make(at(name), ...args);
  clipsMade.set(name, made);
  return made;
}

interface Source {
  path: string;
  probe: Probe;
  timing: Timing;
}

/** As the pipeline does it: probe, copy into a container with an index where that is needed, probe again. */
async function prepare(path: string): Promise<Source> {
  const probe = await engine.probe(path);
  expect(verdict(probe)).toEqual({ accepted: true });
  if (!needsRemux(probe)) return { path, probe, timing: timing(probe) };
  if (!probe.video) throw new Error('no picture');
  const workDir = await folder();
  const { command, file } = remuxArguments(path, probe.video);
  await engine.run({ command, workDir, timeoutMs: 30_000 });
  const copy = join(workDir, file);
  const again = await engine.probe(copy);
  expect(needsRemux(again)).toBe(false);
  return { path: copy, probe: again, timing: timing(again) };
}

let folders = 0;
async function folder(): Promise<string> {
  const path = at(`work-${folders++}`);
  await mkdir(path);
  return path;
}

interface Piece {
  files: FragmentedFile[];
  workDir: string;
  checks: CheckResult[];
  log: string;
}

const RUNGS = [
  { name: 'high', width: 128, height: 72, maxBitsPerSecond: 400_000 },
  { name: 'low', width: 64, height: 36, maxBitsPerSecond: 200_000 },
];

async function piece(source: Source, firstFrame: number, frames: number, init: (string | null)[] = []): Promise<Piece> {
  const { path, probe, timing } = source;
  if (!probe.video) throw new Error('no picture');
  const workDir = await folder();
  const command = pieceArguments({
    path,
    video: probe.video,
    timing,
    firstFrame,
    frames,
    rungs: RUNGS,
    preset: 'ultrafast',
  });
  const { log } = await engine.run({ command, workDir, timeoutMs: 60_000 });
  const files = await Promise.all(RUNGS.map((rung) => readFragments(join(workDir, `${rung.name}.mp4`))));
  const constantRate = isConstantRate(probe, timing);
  const checks = files.map((file, n) =>
    checkPiece({ timing, firstFrame, frames, initSha256: init[n] ?? null, constantRate }, file, log),
  );
  return { files, workDir, checks, log };
}

/** All pieces of one segment each, checked against the first one's init, and joined rung by rung. */
async function joined(source: Source): Promise<string[]> {
  const { timing } = source;
  const outputs = RUNGS.map((rung) => at(`joined-${folders}-${rung.name}.mp4`));
  let inits: string[] = [];
  for (let first = 0; first < timing.frames; first += timing.segmentFrames) {
    const made = await piece(source, first, Math.min(timing.segmentFrames, timing.frames - first), inits);
    expect(made.checks).toEqual(RUNGS.map(() => ({ ok: true })));
    inits = made.files.map((file) => file.init?.sha256 ?? '');
    for (const [n, output] of outputs.entries()) {
      const file = made.files[n];
      const bytes = await readFile(join(made.workDir, `${RUNGS[n]?.name}.mp4`));
      const [fragment] = file?.fragments ?? [];
      if (first === 0) await writeFile(output, file?.init?.bytes ?? '');
      await appendFile(output, bytes.subarray(fragment?.offset, (fragment?.offset ?? 0) + (fragment?.size ?? 0)));
    }
  }
  return outputs;
}

/** The frames that reach the encoder, as digests: what a piece shows is the whole's share, to the last pixel. */
async function pictures(source: Source, firstFrame: number, frames: number): Promise<string[]> {
  const { path, probe, timing } = source;
  if (!probe.video) throw new Error('no picture');
  const { inputs } = pieceArguments({ path, video: probe.video, timing, firstFrame, frames, rungs: RUNGS.slice(0, 1) });
  const workDir = await folder();
  const outputs = [{ options: ['-map', '[v0]', '-f', 'framemd5'], path: 'md5' }];
  await engine.run({ command: { inputs, outputs }, workDir, timeoutMs: 60_000 });
  const lines = (await readFile(join(workDir, 'md5'), 'utf8')).split('\n');
  return lines.filter((line) => line && !line.startsWith('#')).map((line) => line.split(',').at(-1)?.trim() ?? '');
}

/** Inputs: their frames and rate in the output, and how they are made. */
const inputs: Record<string, { rate: string; frames: number; make: () => Promise<string> }> = {
  '25 a second': { rate: '25/1', frames: 225, make: () => clip('25.mp4', ...picture(9, 25), ...sound(9), ...h264) },
  '29.97 a second': {
    ...{ rate: '30000/1001', frames: 270 },
    make: () => clip('2997.mp4', ...picture(9.009, '30000/1001'), ...h264),
  },
  '29.97 a second in Matroska that starts late': {
    ...{ rate: '30000/1001', frames: 270 },
    make: () => clip('2997.mkv', ...picture(9.009, '30000/1001'), ...h264, ...words('-output_ts_offset 11.4')),
  },
  'a variable rate': {
    ...{ rate: '25/1', frames: 224 },
    make: () =>
      clip(
        'vfr.mp4',
        ...picture(9, 25),
        ...words('-vf select=not(eq(mod(n\\,7)\\,5))+lt(n\\,40) -fps_mode vfr'),
        ...h264,
      ),
  },
  'MPEG-TS from 1001 s': {
    ...{ rate: '30/1', frames: 270 },
    make: () => clip('x.ts', ...picture(9, 30), ...sound(9), ...h264, ...words('-output_ts_offset 1001.4')),
  },
  'a picture that starts after the sound': {
    ...{ rate: '25/1', frames: 200 },
    make: () =>
      clip(
        'late.mp4',
        ...sound(9),
        ...words('-itsoffset 0.7'),
        ...picture(8, 25),
        ...h264,
        ...words('-fps_mode passthrough'),
      ),
  },
  'sound that goes on in Matroska': {
    ...{ rate: '25/1', frames: 125 },
    make: () => clip('long-sound.mkv', ...picture(5, 25), ...sound(9), ...h264),
  },
  'odd sides in 4:4:4 of 10 bits': {
    ...{ rate: '25/1', frames: 125 },
    make: () =>
      clip('odd.mp4', ...picture(5, 25, '133x77'), ...words('-c:v libx264 -preset ultrafast -pix_fmt yuv444p10le')),
  },
  'a quarter turn': {
    ...{ rate: '25/1', frames: 225 },
    make: async () => clip('turned.mp4', '-i', await input('25 a second'), ...words('-c copy -metadata:s:v rotate=90')),
  },
  'an edit list that hides a start': {
    ...{ rate: '25/1', frames: 150 },
    make: async () =>
      clip(
        'edit.mp4',
        '-ss',
        '2',
        '-i',
        await clip('uncut.mp4', ...picture(8, 25), ...h264, '-g', '500'),
        '-c',
        'copy',
      ),
  },
  interlaced: {
    ...{ rate: '25/1', frames: 150 },
    make: () =>
      clip(
        'tff.mp4',
        ...picture(6, 50),
        ...words('-vf tinterlace=interleave_top'),
        ...h264,
        ...words('-flags +ildct+ilme -x264opts tff=1'),
      ),
  },
  'HDR of 10 bits': {
    ...{ rate: '25/1', frames: 125 },
    make: () =>
      clip(
        'hdr.mp4',
        ...picture(5, 25),
        ...words(
          '-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc',
        ),
      ),
  },
  '120 a second': { rate: '60/1', frames: 300, make: () => clip('120.mp4', ...picture(5, 120), ...h264) },
  fragments: {
    ...{ rate: '25/1', frames: 150 },
    make: () => clip('frag.mp4', ...picture(6, 25), ...h264, ...words('-movflags +frag_keyframe+empty_moov')),
  },
  'WebM that was streamed': {
    ...{ rate: '25/1', frames: 125 },
    make: () => clip('live.webm', ...picture(5, 25), ...words('-c:v libvpx -deadline realtime -live 1')),
  },
  'VP9 in fragments of WebM that starts late': {
    ...{ rate: '24000/1001', frames: 120 },
    make: () =>
      clip(
        'vp9.webm',
        ...picture(5.005, '24000/1001'),
        ...words('-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -live 1 -output_ts_offset 40'),
      ),
  },
  AVI: { rate: '25/1', frames: 125, make: () => clip('x.avi', ...picture(5, 25), ...words('-c:v mpeg4 -bf 2')) },
  'one frame': {
    rate: '25/1',
    frames: 1,
    make: () => clip('one.mp4', ...picture(0.04, 25), ...words('-frames:v 1'), ...h264),
  },
};

function input(name: string): Promise<string> {
  const found = inputs[name];
  if (!found) throw new Error(`no input ${name}`);
  return found.make();
}

it.each(Object.keys(inputs))('joins pieces of %s without a gap', async (name) => {
  const source = await prepare(await input(name));
  const { timing } = source;
  const { rate, frames } = inputs[name] ?? {};
  expect({ rate: `${timing.fpsNum}/${timing.fpsDen}`, frames: timing.frames }).toEqual({ rate, frames });
  for (const file of await joined(source)) {
    const times = (await ask(file, 'packet=pts')).map((line) => Number.parseInt(line, 10)).sort((a, b) => a - b);
    const first = times[0] ?? 0;
    expect(times.map((time) => time - first)).toEqual(
      Array.from({ length: timing.frames }, (_, n) => n * timing.frameDuration),
    );
    expect((await ask(file, 'stream=nb_read_frames', '-count_frames'))[0]).toBe(String(frames));
  }
});

it.each([
  '25 a second',
  '29.97 a second',
  'MPEG-TS from 1001 s',
  'an edit list that hides a start',
  'a variable rate',
])('shows the same pictures in pieces as in one run: %s', async (name) => {
  const source = await prepare(await input(name));
  const { frames, segmentFrames } = source.timing;
  const whole = await pictures(source, 0, frames);
  const parts: string[] = [];
  for (let first = 0; first < frames; first += segmentFrames) {
    parts.push(...(await pictures(source, first, Math.min(segmentFrames, frames - first))));
  }
  expect(whole).toHaveLength(frames);
  expect(parts).toEqual(whole);
});

describe('the checks', () => {
  const cuttable = () => clip('faststart.mp4', ...picture(12, 25), ...h264, ...words('-movflags +faststart'));

  it('refuse a piece behind the cut of a file that was cut in half, though ffmpeg ends well', async () => {
    const whole = await cuttable();
    const source = { ...(await prepare(whole)), path: at('cut.mp4') };
    const bytes = await readFile(whole);
    await writeFile(source.path, bytes.subarray(0, bytes.length / 2));
    const [first, middle] = [await piece(source, 0, 100), await piece(source, 100, 100)];
    expect(first.checks[0]).toEqual({ ok: true });
    expect(middle.checks[0]).toMatchObject({ ok: false, reason: expect.stringMatching(/^only \d+ of 100 frames/) });
  });

  it('refuse a hole in the bytes that clones would hide', async () => {
    const source = { ...(await prepare(await cuttable())), path: at('hole.mp4') };
    const bytes = await readFile(await cuttable());
    await writeFile(source.path, bytes.fill(0, Math.round(bytes.length * 0.4), Math.round(bytes.length * 0.6)));
    expect((await piece(source, 100, 100)).checks[0]).toMatchObject({ ok: false });
  });

  it('refuse another init, another place and another number', async () => {
    const source = await prepare(await input('25 a second'));
    const { files, log } = await piece(source, 100, 100);
    const [file] = files;
    if (!file) throw new Error('no rung');
    const expected = { timing: source.timing, firstFrame: 100, frames: 100, initSha256: null, constantRate: true };
    expect(checkPiece(expected, file, log)).toEqual({ ok: true });
    expect(checkPiece({ ...expected, initSha256: 'f'.repeat(64) }, file, log)).toMatchObject({ ok: false });
    expect(checkPiece({ ...expected, firstFrame: 0 }, file, log)).toMatchObject({ ok: false });
    expect(checkPiece({ ...expected, frames: 99 }, file, log)).toMatchObject({ ok: false });
    expect(checkPiece(expected, file, 'nothing')).toMatchObject({ ok: false });
  });
});

describe('sound', () => {
  async function encode(path: string): Promise<{ files: string[]; workDir: string; timing: Timing }> {
    const original = await engine.probe(path);
    const source = await prepare(path);
    const audio = mainAudio(original);
    if (!audio || !original.video) throw new Error('no sound');
    const workDir = await folder();
    const { startTime: videoStart } = original.video;
    await engine.run({
      command: audioArguments({ path, audio, videoStart, timing: source.timing }),
      workDir,
      timeoutMs: 60_000,
    });
    const files = finishedAudio(await readFile(join(workDir, 'ff.m3u8'), 'utf8'));
    return { files, workDir, timing: source.timing };
  }

  const late = () => clip('a4.mp4', ...picture(9, 25), ...words('-itsoffset 0.7'), ...sound(8), ...h264);

  it.each([
    ['as long as the picture', () => clip('a1.mp4', ...picture(13, 25), ...sound(13), ...h264)],
    ['too short', () => clip('a2.mp4', ...picture(13, 25), ...sound(5), ...h264)],
    ['too long', () => clip('a3.mp4', ...picture(9, '30000/1001'), ...sound(13), ...h264)],
    ['late', late],
    ['in MPEG-TS', () => clip('a5.ts', ...picture(9, 25), ...sound(9), ...h264, '-output_ts_offset', '1001.4')],
    ['of six channels', () => clip('a6.mp4', ...picture(5, 25), ...sound(5), ...h264, '-ac', '6')],
  ])('that is %s fills the planned segments exactly', async (_, input) => {
    const { files, workDir, timing } = await encode(await input());
    const plan = audioPlan(timing);
    expect(files).toEqual(plan.map((segment) => segment.file));
    const init = await readFragments(join(workDir, 'init.mp4'));
    expect(init.init).toMatchObject({ codecs: 'mp4a.40.2', timescale: 48_000 });
    for (const segment of plan) {
      expect(checkAudio(segment, await readFragments(join(workDir, segment.file)))).toEqual({ ok: true });
    }
  });

  it('that starts late is heard late, by less than 20 ms of error', async () => {
    const { files, workDir } = await encode(await late());
    const whole = at('a4-joined.mp4');
    for (const file of ['init.mp4', ...files]) await appendFile(whole, await readFile(join(workDir, file)));
    const raw = await readFile(await clip('a4.raw', '-i', whole, '-ac', '1', '-f', 's16le'));
    let silent = 0;
    while (silent < raw.length / 2 && Math.abs(raw.readInt16LE(silent * 2)) < 1000) silent++;
    expect(Math.abs(silent / 48_000 - 0.7)).toBeLessThan(0.02);
  });
});

it('makes poster, thumbnails and storyboard of the lowest rung, as planned', async () => {
  const source = await prepare(await clip('stills.mp4', ...picture(60, 25), ...h264));
  const made = await piece(source, 0, source.timing.frames);
  const workDir = await folder();
  const rung = { width: 64, height: 36 };
  await engine.run({
    command: stillsArguments(join(made.workDir, 'low.mp4'), source.timing, rung),
    workDir,
    timeoutMs: 30_000,
  });
  const plan = stillsPlan(source.timing, rung);
  expect(plan.map(({ kind, atMs, tiles }) => [kind, atMs, tiles])).toEqual([
    ['POSTER', 8000, 1],
    ['THUMBNAIL', 14_000, 1],
    ['THUMBNAIL', 30_000, 1],
    ['THUMBNAIL', 44_000, 1],
    ['STORYBOARD', 0, 25],
    ['STORYBOARD', 50_000, 5],
  ]);
  const digests = new Set<string>();
  for (const still of plan) {
    const columns = still.kind === 'STORYBOARD' ? 5 : 1;
    const size = await ask(join(workDir, still.file), 'stream=width,height');
    expect(size).toEqual([`${still.width * columns},${still.height * columns}`]);
    digests.add(
      createHash('sha256')
        .update(await readFile(join(workDir, still.file)))
        .digest('hex'),
    );
  }
  expect(digests.size).toBe(plan.length);
});
