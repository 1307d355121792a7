import type { AudioSegment } from './audio-arguments.js';
import type { FragmentedFile } from './fragments.js';
import type { Timing } from './timing.js';

export interface PieceExpected {
  readonly timing: Timing;
  readonly firstFrame: number;
  readonly frames: number;
  /** Of this rung's other pieces; null for the first piece that comes in. */
  readonly initSha256: string | null;
  /** From `isConstantRate`: then a doubled frame is a hole in what was read. */
  readonly constantRate: boolean;
}

export type CheckResult =
  | { readonly ok: true }
  /** `isSource`: what should be there is missing or broken in the source itself, so that no encoder will make it whole. */
  | { readonly ok: false; readonly reason: string; readonly isSource: boolean };

/** Of a piece's pictures: a player shows a few broken ones without a word, and so do we. */
const MAX_DAMAGED_SHARE = 0.05;

/**
 * Is one rung of a piece what was asked for? ffmpeg ends with 0 on a file cut in half, on garbage and past the end, so only this counts.
 * @param log what ffmpeg wrote at level verbose, at least its end
 */
export function checkPiece(expected: PieceExpected, read: FragmentedFile, log: string): CheckResult {
  const checked = checkSegments(expected, read);
  return checked.ok ? checkClones(expected, log) : checked;
}

/** As far as the file itself tells: init, timescale, number of segments, and the samples and times of each. */
export function checkSegments(expected: Omit<PieceExpected, 'constantRate'>, read: FragmentedFile): CheckResult {
  const { timing, firstFrame, frames } = expected;
  if (!read.init) return fault('there is no init segment');
  if (expected.initSha256 !== null && read.init.sha256 !== expected.initSha256) {
    return fault(`the init segment is ${read.init.sha256}, the other pieces have ${expected.initSha256}`);
  }
  if (read.init.timescale !== timing.timescale)
    return fault(`the timescale is ${read.init.timescale}, not ${timing.timescale}`);
  const segments = Math.ceil(frames / timing.segmentFrames);
  if (read.fragments.length !== segments) return fault(`${read.fragments.length} segments, not ${segments}`);
  for (const [i, fragment] of read.fragments.entries()) {
    const first = i * timing.segmentFrames;
    const count = Math.min(timing.segmentFrames, frames - first);
    const at = (firstFrame + first) * timing.frameDuration;
    if (fragment.samples !== count) return fault(`segment ${i}: ${fragment.samples} frames, not ${count}`);
    if (fragment.decodeTime !== at) return fault(`segment ${i}: starts at ${fragment.decodeTime}, not ${at}`);
    if (fragment.duration !== count * timing.frameDuration) return fault(`segment ${i}: lasts ${fragment.duration}`);
  }
  return { ok: true };
}

/** tpad fills every hole with clones, so a piece read from damaged bytes still has all its frames: the rate filter's own count shows it. */
function checkClones({ timing, firstFrame, frames, constantRate }: PieceExpected, log: string): CheckResult {
  const counts = [
    ...log.matchAll(
      /Parsed_fps_\d+ @ \w+\] (\d+) frames in, (\d+) frames out; \d+ frames dropped, (\d+) frames duplicated/g,
    ),
  ];
  const [, input, output, duplicated] = counts.at(-1) ?? [];
  if (input === undefined) return fault('the log does not say how many frames were read');
  if (Number(input) === 0) return sourceFault('no frame was read');
  const damaged = damagedFrames(log);
  if (damaged > frames * MAX_DAMAGED_SHARE) return sourceFault(`${damaged} of ${frames} frames are damaged`);
  if (!constantRate) return { ok: true };
  const isLast = firstFrame + frames >= timing.frames;
  if (!isLast && Number(output) < frames) return sourceFault(`only ${output} of ${frames} frames were read`);
  // Without one complaint of the decoder it may be the rate that was taken wrongly.
  if (Number(duplicated) > 0) return (damaged > 0 ? sourceFault : fault)(`${duplicated} frames are doubled`);
  return { ok: true };
}

/** Pictures that the decoder could not make, or had to guess parts of, by what ffmpeg says of each; at least, since only the end of its log is kept. */
export function damagedFrames(log: string): number {
  const times = (said: RegExp) => log.match(said)?.length ?? 0;
  // Of one picture both may be said.
  const guessed = Math.max(times(/corrupt decoded frame in stream/g), times(/concealing \d+ DC/g));
  return guessed + times(/Error while decoding stream/g);
}

/** Is one segment of sound where `audioPlan` put it? A segment's file may hold several fragments. */
export function checkAudio(expected: AudioSegment, read: FragmentedFile): CheckResult {
  let at = expected.decodeTime;
  for (const fragment of read.fragments) {
    if (fragment.decodeTime !== at) return fault(`starts at ${fragment.decodeTime}, not ${at}`);
    at += fragment.duration;
  }
  const length = at - expected.decodeTime;
  return length === expected.duration ? { ok: true } : fault(`lasts ${length}, not ${expected.duration}`);
}

function fault(reason: string): CheckResult {
  return { ok: false, reason, isSource: false };
}

function sourceFault(reason: string): CheckResult {
  return { ok: false, reason, isSource: true };
}
