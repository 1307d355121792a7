import type { Probe, Rational } from './probe.js';

/** When each frame of the output is shown; every rung, piece and manifest of a video follows it. */
export interface Timing {
  /** Constant output rate: frame k is shown at k · fpsDen / fpsNum seconds. */
  readonly fpsNum: number;
  readonly fpsDen: number;
  /** Seconds from the file's start to its first picture. */
  readonly v0: number;
  /** The first picture's time on the file's own clock, in seconds. */
  readonly videoStart: number;
  /** Frames of the whole output. */
  readonly frames: number;
  /** Frames between two key frames: two seconds. */
  readonly gopFrames: number;
  /** Frames of every segment but the last: two GOPs. */
  readonly segmentFrames: number;
  readonly segmentCount: number;
  /** Ticks a second in the output files, so that a frame lasts a whole number of them. */
  readonly timescale: number;
  /** Ticks of one frame. */
  readonly frameDuration: number;
}

export const AUDIO_RATE = 48_000;

const STANDARD_RATES: readonly Rational[] = [
  ...[5, 6, 8, 10, 12].map((num) => ({ num, den: 1 })),
  { num: 25, den: 2 },
  { num: 15_000, den: 1001 },
  ...[15, 16, 18, 20].map((num) => ({ num, den: 1 })),
  { num: 24_000, den: 1001 },
  ...[24, 25].map((num) => ({ num, den: 1 })),
  { num: 30_000, den: 1001 },
  ...[30, 48, 50].map((num) => ({ num, den: 1 })),
  { num: 60_000, den: 1001 },
  { num: 60, den: 1 },
];
const HIGHEST = 60.5;

/** The header alone decides, so that the plan and the manifests are complete before a frame is decoded. Needs an accepted probe with a duration. */
export function timing(probe: Probe): Timing {
  const { video } = probe;
  if (!video?.duration) throw new Error('timing needs a probe with a picture and its duration');
  const { num: fpsNum, den: fpsDen } = outputRate(
    video.avgFrameRate ?? video.realFrameRate,
    video.interlaced ? null : video.realFrameRate,
  );
  const frames = Math.max(1, Math.round((video.duration * fpsNum) / fpsDen));
  const gopFrames = Math.round((2 * fpsNum) / fpsDen);
  const timescale = fpsNum % 1000 === 0 ? fpsNum : 512 * fpsNum;
  return {
    fpsNum,
    fpsDen,
    v0: video.startTime - probe.formatStartTime,
    videoStart: video.startTime,
    frames,
    gopFrames,
    segmentFrames: 2 * gopFrames,
    segmentCount: Math.ceil(frames / (2 * gopFrames)),
    timescale,
    frameDuration: (timescale / fpsNum) * fpsDen,
  };
}

/** Samples of the sound track that lasts exactly as long as the picture. */
export function audioSamples(timing: Timing): number {
  return Math.round((timing.frames * timing.fpsDen * AUDIO_RATE) / timing.fpsNum);
}

/** Seconds at which a frame is shown, in the output. */
export function frameTime(timing: Timing, frame: number): number {
  return (frame * timing.fpsDen) / timing.fpsNum;
}

/**
 * Does every frame of the source become exactly one of the output? Then a doubled frame is a hole. One frame that a recorder
 * left out of many makes the average a little less.
 */
export function isConstantRate(probe: Probe, timing: Timing): boolean {
  const rates = [probe.video?.avgFrameRate, probe.video?.realFrameRate];
  const out = timing.fpsNum / timing.fpsDen;
  const mostOff = Math.min(0.0002, 0.5 / timing.frames);
  return rates.every((rate) => rate && Math.abs(rate.num / rate.den / out - 1) < mostOff);
}

function outputRate(average: Rational | null, real: Rational | null): Rational {
  const avg = average ? average.num / average.den : 0;
  const r = real ? real.num / real.den : 0;
  const wanted = r <= HIGHEST && r > avg * 1.01 ? r : avg;
  if (wanted > HIGHEST || wanted === 0) return wanted === 0 ? { num: 30, den: 1 } : { num: 60, den: 1 };
  return STANDARD_RATES.reduce((best, rate) =>
    Math.abs(rate.num / rate.den - wanted) < Math.abs(best.num / best.den - wanted) ? rate : best,
  );
}
