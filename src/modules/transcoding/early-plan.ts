import { AUDIO_RATE, audioSamples, frameTime, type Timing } from '../media/index.js';

/** Of the beginning, before anything is known but the index: the first piece, of two GOPs of two seconds, and a second. */
export const BEGINNING_SECONDS = 5.2;
/** The encoder looks ahead by a frame or two; what it makes until then is the same whatever follows. */
export const SOUND_AHEAD_SECONDS = 0.5;
/** The file's sound may stand a little behind its picture. */
const SOUND_MARGIN_SECONDS = 0.5;

/**
 * How many segments of sound are made at a time while the file arrives, the most first. Sound goes through one encoder from
 * its start, so what follows is made from the start again: twice as much each time costs no more than twice the whole.
 */
export function soundSteps(timing: Timing): number[] {
  const steps: number[] = [];
  for (let segments = 1; segments < timing.segmentCount; segments *= 2) steps.unshift(segments);
  return steps;
}

/** Up to when so many segments of sound need the file: seconds on its own clock. */
export function soundUntil(timing: Timing, segments: number): number {
  const end = timing.videoStart + frameTime(timing, segments * timing.segmentFrames);
  return end + SOUND_AHEAD_SECONDS + SOUND_MARGIN_SECONDS;
}

/** Samples that the encoder is given to make segments up to this one. */
export function soundSamples(timing: Timing, last: { decodeTime: number; duration: number }): number {
  return Math.min(audioSamples(timing), last.decodeTime + last.duration + SOUND_AHEAD_SECONDS * AUDIO_RATE);
}
