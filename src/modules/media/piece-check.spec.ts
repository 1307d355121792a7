import { checkAudio, checkPiece } from './piece-check.js';
import type { Timing } from './timing.js';

const timing: Timing = {
  ...{ fpsNum: 25, fpsDen: 1, v0: 0, videoStart: 0, frames: 1000, gopFrames: 50, segmentFrames: 100, segmentCount: 10 },
  ...{ timescale: 12_800, frameDuration: 512 },
};
const expected = { timing, firstFrame: 300, frames: 250, initSha256: 'aa', constantRate: true };
const init = { bytes: Buffer.alloc(0), sha256: 'aa', timescale: 12_800, codecs: 'avc1.64001f' };
const fragment = (samples: number, first: number) => ({
  ...{ offset: 0, size: 1, samples, keyBytes: null },
  ...{ decodeTime: first * 512, duration: samples * 512 },
});
const good = { init, fragments: [fragment(100, 300), fragment(100, 400), fragment(50, 500)] };
const line = (inn: number, out: number, doubled: number) =>
  `[Parsed_fps_1 @ 0x55d0] ${inn} frames in, ${out} frames out; 0 frames dropped, ${doubled} frames duplicated.\n`;
const log = `${line(0, 0, 0)}other\n${line(280, 270, 0)}`;

it('passes a piece that is what was asked for', () => {
  expect(checkPiece(expected, good, log)).toEqual({ ok: true });
  expect(checkPiece({ ...expected, initSha256: null }, good, log)).toEqual({ ok: true });
});

it.each([
  ['no init', { ...good, init: null }, log],
  ['another init', { ...good, init: { ...init, sha256: 'bb' } }, log],
  ['another timescale', { ...good, init: { ...init, timescale: 90_000 } }, log],
  ['a segment too few', { ...good, fragments: good.fragments.slice(0, 2) }, log],
  ['a frame too few', { ...good, fragments: [fragment(100, 300), fragment(100, 400), fragment(49, 500)] }, log],
  [
    'a frame too few, the last one longer',
    { ...good, fragments: [...good.fragments.slice(0, 2), { ...fragment(49, 500), duration: 50 * 512 }] },
    log,
  ],
  ['times from 0', { ...good, fragments: [fragment(100, 0), fragment(100, 100), fragment(50, 200)] }, log],
  [
    'a wrong length',
    { ...good, fragments: [...good.fragments.slice(0, 2), { ...fragment(50, 500), duration: 1 }] },
    log,
  ],
  ['clones at the end of what could be read', good, line(230, 249, 0)],
  ['clones in the middle', good, line(280, 270, 1)],
  ['clones alone', good, line(0, 0, 0)],
  ['a log without the count', good, ''],
])('refuses %s', (_, read, said) => {
  expect(checkPiece(expected, read, said)).toMatchObject({ ok: false });
});

it('tells a fault of the source from one of the encoder', () => {
  const broken = '[h264 @ 0x1] error\nx.mp4: corrupt decoded frame in stream 0\n';
  expect(checkPiece(expected, good, broken.repeat(12) + log)).toEqual({ ok: true });
  const faults = [broken.repeat(13) + log, line(230, 249, 0), broken + line(280, 270, 1), line(0, 0, 0)];
  for (const said of faults) expect(checkPiece(expected, good, said)).toMatchObject({ ok: false, isSource: true });
  expect(checkPiece(expected, good, line(280, 270, 1))).toMatchObject({ ok: false, isSource: false });
  const variable = { ...expected, constantRate: false };
  const undecodable = 'Error while decoding stream #0:0: Invalid data found when processing input\n'.repeat(13) + log;
  expect(checkPiece(variable, good, undecodable)).toMatchObject({ ok: false, isSource: true });
  expect(checkPiece(variable, good, line(0, 0, 0))).toMatchObject({ ok: false, isSource: true });
  expect(checkPiece(expected, { ...good, init: null }, log)).toMatchObject({ ok: false, isSource: false });
});

it('lets the last piece run out, and a variable rate double frames', () => {
  const last = { ...expected, timing: { ...timing, frames: 550 } };
  expect(checkPiece(last, good, line(249, 249, 0))).toEqual({ ok: true });
  expect(checkPiece({ ...expected, constantRate: false }, good, line(120, 240, 120))).toEqual({ ok: true });
});

it('passes sound in several fragments, without gaps', () => {
  const plan = { number: 2, file: 's00002.m4s', decodeTime: 1000, duration: 300 };
  const part = (decodeTime: number, duration: number) => ({
    ...{ offset: 0, size: 1, samples: 1, keyBytes: null },
    ...{ decodeTime, duration },
  });
  expect(checkAudio(plan, { init: null, fragments: [part(1000, 200), part(1200, 100)] })).toEqual({ ok: true });
  expect(checkAudio(plan, { init: null, fragments: [part(1000, 200), part(1201, 99)] })).toMatchObject({ ok: false });
  expect(checkAudio(plan, { init: null, fragments: [part(1000, 200), part(1201, 100)] })).toMatchObject({ ok: false });
  expect(checkAudio(plan, { init: null, fragments: [part(1000, 200)] })).toMatchObject({ ok: false });
  expect(checkAudio(plan, { init: null, fragments: [] })).toMatchObject({ ok: false });
});
