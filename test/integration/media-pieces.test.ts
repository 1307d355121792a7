import { createHash } from 'node:crypto';
import { appendFile, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  audioArguments,
  audioPlan,
  checkAudio,
  checkPiece,
  type FfmpegEngine,
  finishedAudio,
  mainAudio,
  pieceArguments,
  readFragments,
  stillsArguments,
  stillsPlan,
  type Timing,
} from '../../src/modules/media/index.js';
import {
  ask,
  beeps,
  h264,
  joinPieces,
  loudFrom,
  make,
  makePiece,
  numbered,
  numberedFrames,
  picture,
  prepare,
  RUNGS,
  readNumbers,
  type Source,
  scratch,
  sound,
  startEngine,
  words,
  workFolder,
} from './media-clips.js';

let dir: string;
let remove: () => Promise<void>;
let engine: FfmpegEngine;

beforeAll(async () => {
  ({ dir, remove } = await scratch());
  engine = await startEngine(dir);
  numbers = await numberedFrames(dir, 400);
});
afterAll(() => remove());
jest.setTimeout(120_000);

const at = (name: string) => join(dir, name);
const folder = () => workFolder(dir);

const clipsMade = new Map<string, Promise<string>>();
/** An input by name: made when a test first asks for it. */
function clip(name: string, ...args: string[]): Promise<string> {
  const made = clipsMade.get(name) ?? make(at(name), ...args);
  clipsMade.set(name, made);
  return made;
}

let numbers: string;
const film = (rate: number | string, count: number) => numbered(numbers, rate, count);

/** Pieces of 0.8 s, so that a short film has joins. */
function short(source: Source): Source {
  const { timing } = source;
  const gopFrames = Math.max(1, Math.round((0.4 * timing.fpsNum) / timing.fpsDen));
  const segmentFrames = 2 * gopFrames;
  const segmentCount = Math.ceil(timing.frames / segmentFrames);
  return { ...source, timing: { ...timing, gopFrames, segmentFrames, segmentCount } };
}

interface Input {
  rate: string;
  frames: number;
  make: () => Promise<string>;
  /** Turns the picture back to where the numbers were drawn. */
  undo?: string;
  /** The number that output frame `n` shows; null: whatever one run over the whole shows. */
  shows?: ((n: number) => number) | null;
  /** Seconds from the first picture to the start of the first beep, and to the end of the last. */
  beeps?: [number, number];
}

/** Good films of every kind. Their pictures show their numbers; 75 frames are three seconds, so four pieces of them. */
const inputs: Record<string, Input> = {
  '25 a second': {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 2.5] },
    make: () => clip('25.mp4', ...film(25, 75), ...beeps(3), ...h264),
  },
  '29.97 a second': {
    ...{ rate: '30000/1001', frames: 90 },
    make: () => clip('2997.mp4', ...film('30000/1001', 90), ...h264),
  },
  '23.976 a second': {
    ...{ rate: '24000/1001', frames: 72 },
    make: () => clip('23.mp4', ...film('24000/1001', 72), ...h264),
  },
  '12.5 a second': { rate: '25/2', frames: 40, make: () => clip('12.mp4', ...film('25/2', 40), ...h264) },
  '59.94 a second': {
    ...{ rate: '60000/1001', frames: 180 },
    make: () => clip('5994.mp4', ...film('60000/1001', 180), ...h264),
  },
  '120 a second': {
    ...{ rate: '60/1', frames: 120, shows: null },
    make: () => clip('120.mp4', ...film(120, 240), ...h264),
  },
  'a variable rate': {
    ...{ rate: '25/1', frames: 124, shows: null },
    make: () =>
      clip(
        'vfr.mp4',
        ...film(25, 125),
        ...words('-vf select=not(eq(mod(n\\,7)\\,5))+lt(n\\,40) -fps_mode vfr'),
        ...h264,
      ),
  },
  'Matroska that starts late, with sound that goes on': {
    ...{ rate: '30000/1001', frames: 90, beeps: [0.5, 0.6] },
    make: () => clip('late.mkv', ...film('30000/1001', 90), ...beeps(5), ...h264, ...words('-output_ts_offset 11.4')),
  },
  'Matroska that does not tell its tracks apart, with sound that goes on': {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 0.6] },
    make: async () => {
      // Without the tags, as other writers leave them out.
      const path = await clip('untagged.mkv', ...film(25, 75), ...beeps(5), ...h264);
      const bytes = await readFile(path);
      for (let at = bytes.indexOf('DURATION'); at >= 0; at = bytes.indexOf('DURATION', at)) bytes.write('X', at);
      await writeFile(path, bytes);
      return path;
    },
  },
  'MPEG-TS from 1001 s': {
    ...{ rate: '30/1', frames: 90, beeps: [0.5, 2.5] },
    make: () => clip('x.ts', ...film(30, 90), ...beeps(3), ...h264, ...words('-output_ts_offset 1001.4')),
  },
  'an MP4 that starts at three seconds': {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 2.5] },
    make: () => clip('offset.mp4', ...film(25, 75), ...beeps(3), ...h264, ...words('-output_ts_offset 3')),
  },
  'a picture that starts after the sound': {
    ...{ rate: '25/1', frames: 75, beeps: [0.3, 2.8] },
    make: () =>
      clip(
        'late.mp4',
        ...beeps(3.5),
        ...words('-itsoffset 0.2'),
        ...film(25, 75),
        ...h264,
        ...words('-fps_mode passthrough'),
      ),
  },
  'sound that starts after the picture': {
    ...{ rate: '25/1', frames: 75, beeps: [0.7, 2.2] },
    make: () => clip('late-sound.mp4', ...film(25, 75), ...words('-itsoffset 0.2'), ...beeps(2.5), ...h264),
  },
  'sound that ends early': {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 1] },
    make: () => clip('short-sound.mp4', ...film(25, 75), ...beeps(1.5), ...h264),
  },
  'sound of six channels': {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 2.5] },
    make: () => clip('5.1.mp4', ...film(25, 75), ...beeps(3, '5.1'), ...h264, ...words('-c:a aac -ac 6')),
  },
  'several sound tracks, of which the second is meant': {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 2] },
    make: () =>
      clip(
        'tracks.mkv',
        ...[...film(25, 75), ...sound(3), ...beeps(2.5)],
        ...words('-map 0 -map 1 -map 2 -disposition:a:0 0 -disposition:a:1 default'),
        ...h264,
      ),
  },
  'odd sides in 4:4:4 of 10 bits': {
    ...{ rate: '25/1', frames: 75 },
    make: () =>
      clip(
        'odd.mp4',
        ...film(25, 75),
        ...words('-vf scale=133:77 -c:v libx264 -preset ultrafast -pix_fmt yuv444p10le'),
      ),
  },
  '4:2:2 of 10 bits': {
    ...{ rate: '25/1', frames: 75 },
    make: () => clip('422.mp4', ...film(25, 75), ...words('-c:v libx264 -preset ultrafast -pix_fmt yuv422p10le')),
  },
  anamorphic: {
    ...{ rate: '25/1', frames: 75 },
    make: () => clip('sar.mp4', ...film(25, 75), ...words('-vf setsar=16/11'), ...h264),
  },
  portrait: {
    ...{ rate: '25/1', frames: 75, undo: 'transpose=cclock' },
    make: () => clip('portrait.mp4', ...film(25, 75), ...words('-vf transpose=clock'), ...h264),
  },
  'a quarter turn': {
    ...{ rate: '25/1', frames: 75, undo: 'transpose=clock' },
    make: async () => clip('turned.mp4', '-i', await input('25 a second'), ...words('-c copy -metadata:s:v rotate=90')),
  },
  'half a turn': {
    ...{ rate: '25/1', frames: 75, undo: 'hflip,vflip' },
    make: async () => clip('over.mp4', '-i', await input('25 a second'), ...words('-c copy -metadata:s:v rotate=180')),
  },
  'an edit list that hides a start': {
    ...{ rate: '25/1', frames: 100, shows: (n) => n + 50 },
    make: async () => clip('edit.mp4', '-ss', '2', '-i', await uncut(), ...words('-c copy')),
  },
  'a MOV with an edit list, and sound': {
    ...{ rate: '25/1', frames: 125, shows: (n) => n + 25, beeps: [0.5, 1.5] },
    make: async () =>
      clip(
        'edit.mov',
        ...['-ss', '1', '-i', await uncut()],
        ...['-f', 'lavfi', '-i', 'aevalsrc=0.8*sin(2*PI*1000*t)*between(t\\,0.5\\,1.5):s=48000:d=3'],
        ...words('-map 0:v -map 1:a -c:v copy -c:a pcm_s16le'),
      ),
  },
  'open GOPs': {
    ...{ rate: '25/1', frames: 75 },
    make: () => clip('open.mp4', ...film(25, 75), ...words('-c:v libx264 -bf 3 -g 20 -x264-params open-gop=1')),
  },
  interlaced: {
    ...{ rate: '25/1', frames: 75 },
    make: () =>
      clip('tff.mp4', ...film(25, 75), ...h264, ...words('-vf setfield=tff -flags +ildct+ilme -x264opts tff=1')),
  },
  'interlaced MPEG-2 in MPEG-TS': {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 2.5] },
    make: () =>
      clip(
        'mpeg2.ts',
        ...[...film(25, 75), ...beeps(3)],
        ...words('-vf setfield=tff -c:v mpeg2video -q:v 4 -g 12 -bf 2 -flags +ildct+ilme -top 1 -c:a mp2'),
      ),
  },
  'HDR (PQ) of 10 bits': {
    ...{ rate: '25/1', frames: 75 },
    make: () => clip('pq.mp4', ...film(25, 75), ...hdr('smpte2084')),
  },
  'HDR (HLG) of 10 bits': {
    ...{ rate: '25/1', frames: 75 },
    make: () => clip('hlg.mp4', ...film(25, 75), ...hdr('arib-std-b67')),
  },
  fragments: {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 2.5] },
    make: () =>
      clip('frag.mp4', ...film(25, 75), ...beeps(3), ...h264, ...words('-movflags +frag_keyframe+empty_moov')),
  },
  'HEVC of 10 bits': {
    ...{ rate: '25/1', frames: 75 },
    make: () =>
      clip(
        'hevc.mp4',
        ...film(25, 75),
        ...words('-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params log-level=error:keyint=30'),
      ),
  },
  'VP8 in WebM that was streamed': {
    ...{ rate: '25/1', frames: 75 },
    make: () => clip('live.webm', ...film(25, 75), ...words('-c:v libvpx -deadline realtime -live 1')),
  },
  'VP9 and Opus in WebM that starts late': {
    ...{ rate: '24000/1001', frames: 72, beeps: [0.5, 2.5] },
    make: () =>
      clip(
        'vp9.webm',
        ...[...film('24000/1001', 72), ...beeps(3)],
        ...words('-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus -output_ts_offset 40'),
      ),
  },
  AV1: {
    ...{ rate: '25/1', frames: 75 },
    make: () => clip('av1.mp4', ...film(25, 75), ...words('-c:v libsvtav1 -preset 10 -crf 40 -g 30 -pix_fmt yuv420p')),
  },
  'ProRes in MOV': {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 2.5] },
    make: () => clip('prores.mov', ...film(25, 75), ...beeps(3), ...words('-c:v prores_ks -c:a pcm_s16le')),
  },
  'AVI with PCM': {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 2.5] },
    make: () => clip('x.avi', ...film(25, 75), ...beeps(3), ...words('-c:v mpeg4 -q:v 4 -bf 2 -c:a pcm_s16le')),
  },
  'Motion JPEG in AVI': {
    ...{ rate: '30/1', frames: 60 },
    make: () => clip('mjpeg.avi', ...film(30, 60), ...words('-c:v mjpeg -q:v 4 -pix_fmt yuvj422p')),
  },
  FLV: {
    ...{ rate: '25/1', frames: 75, beeps: [0.5, 2.5] },
    make: () => clip('x.flv', ...film(25, 75), ...beeps(3), ...h264, ...words('-c:a aac')),
  },
  'a web page behind an MP4, and a hostile title': {
    ...{ rate: '25/1', frames: 75 },
    make: async () => {
      const title = "title=</script><script>'; DROP TABLE video; --\u202e";
      const path = await clip('title.mp4', '-i', await input('25 a second'), ...words('-c copy -metadata'), title);
      await appendFile(path, '<html><script>alert(1)</script></html>');
      return path;
    },
  },
  'one frame': { rate: '25/1', frames: 1, make: () => clip('one.mp4', ...film(25, 1), ...h264) },
};

const uncut = () => clip('uncut.mp4', ...film(25, 150), ...h264, '-g', '500');
const hdr = (transfer: string) => [
  ...words('-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le'),
  ...['-color_primaries', 'bt2020', '-color_trc', transfer, '-colorspace', 'bt2020nc'],
];

function input(name: string): Promise<string> {
  const found = inputs[name];
  if (!found) throw new Error(`no input ${name}`);
  return found.make();
}

describe.each(Object.entries(inputs))('%s', (_, { rate, frames, make: made, undo, shows = (n) => n, beeps: heard }) => {
  it('is joined from pieces without a frame too many, too few or in the wrong place', async () => {
    const source = short(await prepare(engine, await made(), dir));
    const { timing } = source;
    expect({ rate: `${timing.fpsNum}/${timing.fpsDen}`, frames: timing.frames }).toEqual({ rate, frames });
    const pieces = await joinPieces(engine, source, { pieceFrames: timing.segmentFrames, dir });
    const whole = await joinPieces(engine, source, { pieceFrames: frames, dir });
    for (const [n, file] of pieces.entries()) {
      const times = await packetTimes(file);
      expect(times).toEqual(Array.from({ length: frames }, (_, k) => (times[0] ?? 0) + k * timing.frameDuration));
      expect(times).toEqual(await packetTimes(whole[n] as string));
      const shown = await readNumbers(file, undo);
      expect(shown).toEqual(await readNumbers(whole[n] as string, undo));
      if (shows) expect(shown).toEqual(Array.from({ length: frames }, (_, k) => shows(k)));
      else expect(shown.toSorted((a, b) => a - b)).toEqual(shown);
    }
  });

  if (!heard) return;
  it('has its sound in step with its picture', async () => {
    const path = await made();
    const { files, workDir } = await encodeSound(path, await prepare(engine, path, dir));
    const [from = 0, to = 0] = await loudFrom(await together(workDir, files));
    expect(Math.abs(from - heard[0])).toBeLessThan(0.02);
    expect(Math.abs(to - heard[1])).toBeLessThan(0.02);
  });
});

async function packetTimes(file: string): Promise<number[]> {
  return (await ask(file, 'packet=pts')).map((line) => Number.parseInt(line, 10)).sort((a, b) => a - b);
}

async function encodeSound(
  path: string,
  source: Source,
): Promise<{ files: string[]; workDir: string; timing: Timing }> {
  const { original, timing } = source;
  const audio = mainAudio(original);
  if (!audio || !original.video) throw new Error('no sound');
  const workDir = await folder();
  const { startTime: videoStart } = original.video;
  const command = audioArguments({ path, audio, videoStart, timing, bitsPerSecond: 128_000 });
  await engine.run({ command, workDir, timeoutMs: 60_000 });
  return { files: finishedAudio(await readFile(join(workDir, 'ff.m3u8'), 'utf8')), workDir, timing };
}

async function together(workDir: string, files: string[]): Promise<string> {
  const whole = join(workDir, 'whole.mp4');
  for (const file of ['init.mp4', ...files]) await appendFile(whole, await readFile(join(workDir, file)));
  return whole;
}

/** The frames that reach the encoder, as digests: what a piece shows is the whole's share, to the last pixel. */
async function pictures(source: Source, firstFrame: number, frames: number): Promise<string[]> {
  const { path, probe, timing } = source;
  if (!probe.video) throw new Error('no picture');
  const { inputs } = pieceArguments({
    ...{ path, video: probe.video, timing, firstFrame, frames, rungs: RUNGS.slice(0, 1) },
    ...{ preset: 'veryfast', crf: 23 },
  });
  const workDir = await folder();
  const outputs = [{ options: ['-map', '[v0]', '-f', 'framemd5'], path: 'md5' }];
  await engine.run({ command: { inputs, outputs }, workDir, timeoutMs: 60_000 });
  const lines = (await readFile(join(workDir, 'md5'), 'utf8')).split('\n');
  return lines.filter((line) => line && !line.startsWith('#')).map((line) => line.split(',').at(-1)?.trim() ?? '');
}

it.each([
  ['25 a second', '25.mp4', 25],
  ['29.97 a second', '2997.mp4', '30000/1001'],
  ['MPEG-TS from 1001 s', 'x.ts', 30],
  ['a variable rate', 'vfr.mp4', 25],
])('shows the same pictures in pieces as in one run: %s', async (name, file, rate) => {
  const more = name.startsWith('MPEG') ? words('-output_ts_offset 1001.4') : [];
  const gone = name.startsWith('a var') ? words('-vf select=not(eq(mod(n\\,7)\\,5))+lt(n\\,40) -fps_mode vfr') : [];
  const moving = await clip(`moving-${file}`, ...picture(5, rate), ...gone, ...h264, ...more);
  const source = short(await prepare(engine, moving, dir));
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
  const piece = (source: Source, firstFrame: number) => makePiece(engine, source, { firstFrame, frames: 100, dir });
  const cuttable = () => clip('faststart.mp4', ...picture(12, 25), ...h264, ...words('-movflags +faststart'));

  it('refuse a piece behind the cut of a file that was cut in half, though ffmpeg ends well', async () => {
    const whole = await cuttable();
    const source = { ...(await prepare(engine, whole, dir)), path: at('cut.mp4') };
    const bytes = await readFile(whole);
    await writeFile(source.path, bytes.subarray(0, bytes.length / 2));
    const [first, middle] = [await piece(source, 0), await piece(source, 100)];
    expect(first.checks[0]).toEqual({ ok: true });
    expect(middle.checks[0]).toMatchObject({ ok: false, reason: expect.stringMatching(/^only \d+ of 100 frames/) });
  });

  it('refuse a hole in the bytes that clones would hide', async () => {
    const source = { ...(await prepare(engine, await cuttable(), dir)), path: at('hole.mp4') };
    const bytes = await readFile(await cuttable());
    await writeFile(source.path, bytes.fill(0, Math.round(bytes.length * 0.4), Math.round(bytes.length * 0.6)));
    expect((await piece(source, 100)).checks[0]).toMatchObject({ ok: false });
  });

  it('refuse another init, another place and another number', async () => {
    const source = await prepare(engine, await cuttable(), dir);
    const { files, log } = await piece(source, 100);
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
  it.each([
    ['as long as the picture', () => clip('a1.mp4', ...picture(13, 25), ...sound(13), ...h264)],
    ['too short', () => clip('a2.mp4', ...picture(13, 25), ...sound(5), ...h264)],
    ['too long', () => clip('a3.mp4', ...picture(9, '30000/1001'), ...sound(13), ...h264)],
    ['late', () => clip('a4.mp4', ...picture(9, 25), ...words('-itsoffset 0.7'), ...sound(8), ...h264)],
    ['in MPEG-TS', () => clip('a5.ts', ...picture(9, 25), ...sound(9), ...h264, '-output_ts_offset', '1001.4')],
    ['of six channels', () => clip('a6.mp4', ...picture(5, 25), ...sound(5), ...h264, '-ac', '6')],
  ])('that is %s fills the planned segments exactly', async (_, input) => {
    const path = await input();
    const { files, workDir, timing } = await encodeSound(path, await prepare(engine, path, dir));
    const plan = audioPlan(timing);
    expect(files).toEqual(plan.map((segment) => segment.file));
    const init = await readFragments(join(workDir, 'init.mp4'));
    expect(init.init).toMatchObject({ codecs: 'mp4a.40.2', timescale: 48_000 });
    for (const segment of plan) {
      expect(checkAudio(segment, await readFragments(join(workDir, segment.file)))).toEqual({ ok: true });
    }
  });
});

it('drops captions that a broadcast has in its picture, since manifests say that there are none', async () => {
  const bare = await readFile(
    await make(at('bare.h264'), ...picture(2, 25), ...h264, '-bf', '0', '-x264-params', 'aud=1', '-an'),
  );
  const delimiter = Buffer.from('00000109', 'hex');
  // cc_data of one pair, as ATSC A/53 part 4 wraps it, in a message of ITU-T T.35 behind each delimiter.
  const message = Buffer.from('0000000106040eb500314741393403c1fffc942cff80', 'hex');
  const parts: Buffer[] = [];
  for (let from = 0; from < bare.length; ) {
    const next = bare.indexOf(delimiter, from + 1);
    const unit = bare.subarray(from, next < 0 ? bare.length : next);
    const head = unit.indexOf(delimiter) + 5;
    parts.push(unit.subarray(0, head), message, unit.subarray(head));
    from += unit.length;
  }
  await writeFile(at('captions.h264'), Buffer.concat(parts));
  const captions = await make(at('captions.mp4'), '-r', '25', '-i', at('captions.h264'), '-c', 'copy');
  const encoded = await make(at('kept.mp4'), '-i', captions, ...h264);
  expect((await readFile(encoded)).includes('GA94')).toBe(true);

  const { workDir, checks } = await makePiece(engine, await prepare(engine, captions, dir), {
    firstFrame: 0,
    frames: 50,
    dir,
  });
  expect(checks).toEqual(RUNGS.map(() => ({ ok: true })));
  for (const { name } of RUNGS) expect((await readFile(join(workDir, `${name}.mp4`))).includes('GA94')).toBe(false);
});

it('costs as much and looks as good at its cap as one run over the whole', async () => {
  const [cap, seconds, preset] = [2_000_000, 8, 'veryfast'];
  const file = await make(
    at('grain.mp4'),
    ...picture(seconds, 25, '960x540'),
    ...['-vf', 'gblur=sigma=1.5,noise=alls=7:allf=t', ...h264],
  );
  const rung = { name: 'capped', width: 960, height: 540, maxBitsPerSecond: cap };
  const [joined = ''] = await joinPieces(engine, await prepare(engine, file, dir), {
    ...{ pieceFrames: 100, dir, rungs: [rung], preset },
  });
  const whole = await make(
    at('capped.mp4'),
    ...['-i', file, '-c:v', 'libx264', '-preset', preset, '-crf', '23', '-threads', '3'],
    ...['-maxrate', String(cap), '-bufsize', String(2 * cap), '-g', '50', '-keyint_min', '50', '-sc_threshold', '0'],
    // A single run's buffer is nearly full at its beginning, which would count for much in so short a film.
    ...['-x264-params', 'vbv-init=0.5'],
  );
  const kilobits = async (path: string) => ((await stat(path)).size * 8) / 1000 / seconds;
  const [ours, theirs] = [await kilobits(joined), await kilobits(whole)];
  expect(theirs).toBeGreaterThan(0.9 * (cap / 1000));
  expect(Math.abs(ours / theirs - 1)).toBeLessThan(0.05);
  expect(await likeness(joined, file)).toBeGreaterThan((await likeness(whole, file)) - 0.002);
});

/** SSIM of two files with the same pictures. */
async function likeness(path: string, source: string): Promise<number> {
  const log = at('ssim.log');
  await make(
    '-',
    ...['-i', path, '-i', source, '-lavfi', `[0:v]setpts=N[a];[1:v]setpts=N[b];[a][b]ssim=${log}`, '-f', 'null'],
  );
  const frames = (await readFile(log, 'utf8')).trim().split('\n');
  return frames.reduce((sum, line) => sum + Number(/All:([\d.]+)/.exec(line)?.[1]), 0) / frames.length;
}

it('makes poster, thumbnails and storyboard of the lowest rung, as planned', async () => {
  const source = await prepare(engine, await clip('stills.mp4', ...picture(60, 25), ...h264), dir);
  const made = await makePiece(engine, source, { firstFrame: 0, frames: source.timing.frames, dir });
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
