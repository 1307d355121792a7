import { audioPlan } from './audio-arguments.js';
import { parseProbe } from './probe.js';
import { audioSamples, frameTime, isConstantRate, type Timing, timing } from './timing.js';

function probeOf(stream: object, format: object = {}) {
  const json = JSON.stringify({
    streams: [
      { index: 0, codec_type: 'video', codec_name: 'h264', width: 1920, height: 1080, start_time: '0', ...stream },
    ],
    format: { format_name: 'mov,mp4', duration: '10', start_time: '0', nb_streams: 1, ...format },
  });
  return parseProbe(json, { kind: 'mp4', truncated: false, fragmented: false, encrypted: false }, 1000);
}

function timed(avg: string, real = avg, duration = '10', extra: object = {}): Timing {
  return timing(probeOf({ avg_frame_rate: avg, r_frame_rate: real, duration, ...extra }));
}

it.each([
  // average, lowest common rate → output rate, frames of 10 s, GOP, ticks a second, ticks a frame
  ['25/1', '25/1', [25, 1, 250, 50, 12_800, 512]],
  ['30000/1001', '30000/1001', [30_000, 1001, 300, 60, 30_000, 1001]],
  ['24000/1001', '24000/1001', [24_000, 1001, 240, 48, 24_000, 1001]],
  ['60/1', '60/1', [60, 1, 600, 120, 30_720, 512]],
  ['120/1', '120/1', [60, 1, 600, 120, 30_720, 512]],
  ['25/2', '25/2', [25, 2, 125, 25, 12_800, 1024]],
  ['2997/100', '30/1', [30_000, 1001, 300, 60, 30_000, 1001]],
  ['17/1', '30/1', [30, 1, 300, 60, 15_360, 512]],
  ['29/1', '90000/1', [30_000, 1001, 300, 60, 30_000, 1001]],
  ['1/1', '1/1', [5, 1, 50, 10, 2560, 512]],
])('gives %s (r %s) the nearest standard rate', (avg, real, expected) => {
  const { fpsNum, fpsDen, frames, gopFrames, timescale, frameDuration } = timed(avg, real);
  expect([fpsNum, fpsDen, frames, gopFrames, timescale, frameDuration]).toEqual(expected);
});

it('takes frames, not fields, of interlaced pictures', () => {
  expect(timed('25/1', '50/1', '10', { field_order: 'tt' }).fpsNum).toBe(25);
});

it('counts from the picture, wherever the file and the sound start', () => {
  const probe = probeOf(
    { avg_frame_rate: '25/1', r_frame_rate: '25/1', duration: '8', start_time: '1002.1' },
    { start_time: '1001.4', duration: '9' },
  );
  expect(timing(probe)).toMatchObject({ v0: expect.closeTo(0.7, 6), videoStart: 1002.1, frames: 200 });
});

it('has one frame at least, and shorter segments only at the end', () => {
  expect(timed('25/1', '25/1', '0.001')).toMatchObject({ frames: 1, segmentCount: 1 });
  expect(timed('25/1', '25/1', '8.04')).toMatchObject({ frames: 201, segmentFrames: 100, segmentCount: 3 });
});

it('knows a constant rate from a variable one, and from one that is changed', () => {
  const constant = (avg: string, real = avg) => {
    const probe = probeOf({ avg_frame_rate: avg, r_frame_rate: real, duration: '10' });
    return isConstantRate(probe, timing(probe));
  };
  expect(constant('30000/1001')).toBe(true);
  expect(constant('25/1', '30/1')).toBe(false);
  expect(constant('26/1')).toBe(false);
  expect(constant('120/1')).toBe(false);
});

it.each([
  '25/1',
  '30000/1001',
  '24000/1001',
  '60000/1001',
  '15/1',
])('plans sound as long as the picture, cut beside its segments: %s', (rate) => {
  const t = timed(rate, rate, '61.3');
  const plan = audioPlan(t);
  expect(plan.reduce((sum, segment) => sum + segment.duration, 0)).toBe(audioSamples(t));
  for (const [i, { decodeTime, number }] of plan.entries()) {
    const late = decodeTime / 48_000 - frameTime(t, i * t.segmentFrames);
    expect(number).toBe(i + 1);
    expect(late).toBeGreaterThanOrEqual(-1e-6);
    expect(late).toBeLessThan(1024 / 48_000);
  }
});
