import { AUDIO_RATE, audioPlan, audioSamples, frameTime, type Rung, type Timing } from '../media/index.js';

/** RUNG: some seconds of one rung, of a video that is READY. */
export type PieceKind = 'FIRST' | 'VIDEO' | 'AUDIO' | 'STILLS' | 'RUNG';

/** Of what every run makes. */
export type RunPieceKind = Exclude<PieceKind, 'RUNG'>;

/** What one job makes. */
export interface PiecePlan {
  readonly kind: PieceKind;
  /** From 0, within its kind. */
  readonly number: number;
  readonly firstFrame: number;
  readonly frameCount: number;
}

/** What a manifest says of one rendition. Durations are in ticks of its timescale. */
export interface RenditionPlan {
  readonly name: string;
  readonly kind: 'VIDEO' | 'AUDIO';
  /** 0 is the lowest rung; the sound comes after all rungs. */
  readonly position: number;
  readonly width: number | null;
  readonly height: number | null;
  readonly frameRateNum: number | null;
  readonly frameRateDen: number | null;
  readonly timescale: number;
  readonly maxBitsPerSecond: number;
  readonly segmentCount: number;
  /** Of a video segment but the last; sound is cut at the first AAC frame at or after each multiple of it. */
  readonly segmentDuration: number;
  readonly totalDuration: number;
  /** It is made when somebody asks for it. */
  readonly onDemand: 'ABSENT' | null;
}

export interface Plan {
  readonly renditions: readonly RenditionPlan[];
  readonly pieces: readonly PiecePlan[];
}

export const AUDIO_RENDITION = 'audio';
export const AUDIO_BITS_PER_SECOND = 128_000;

/** What all pieces of a run are made with, whatever is configured meanwhile: an init segment follows from it. */
export interface RunSettings {
  readonly preset: string;
  readonly crf: number;
  /** Three are twelve seconds: long enough that seeking and starting cost little, short enough to spread over workers. */
  readonly segmentsPerPiece: number;
}

/**
 * Complete before a frame is decoded, so that manifests never grow.
 * @param others what its pieces do not make: a rung that is there already, and those that wait to be asked for
 */
export function plan(
  timing: Timing,
  rungs: readonly Rung[],
  hasSound: boolean,
  segmentsPerPiece: number,
  others: { copied?: string; absent?: readonly string[] } = {},
): Plan {
  const { copied, absent = [] } = others;
  const encoded = rungs.filter(({ name }) => name !== copied && !absent.includes(name));
  const renditions: RenditionPlan[] = rungs.map((rung, position) => ({
    ...rung,
    kind: 'VIDEO',
    position,
    frameRateNum: timing.fpsNum,
    frameRateDen: timing.fpsDen,
    timescale: timing.timescale,
    segmentCount: timing.segmentCount,
    segmentDuration: timing.segmentFrames * timing.frameDuration,
    totalDuration: timing.frames * timing.frameDuration,
    onDemand: absent.includes(rung.name) ? 'ABSENT' : null,
  }));
  if (hasSound) {
    renditions.push({
      name: AUDIO_RENDITION,
      kind: 'AUDIO',
      position: rungs.length,
      width: null,
      height: null,
      frameRateNum: null,
      frameRateDen: null,
      timescale: AUDIO_RATE,
      maxBitsPerSecond: AUDIO_BITS_PER_SECOND,
      segmentCount: audioPlan(timing).length,
      segmentDuration: Math.round(frameTime(timing, timing.segmentFrames) * AUDIO_RATE),
      totalDuration: audioSamples(timing),
      onDemand: null,
    });
  }
  return { renditions, pieces: piecesOf(timing, encoded.length, hasSound, segmentsPerPiece) };
}

function piecesOf(timing: Timing, rungCount: number, hasSound: boolean, segmentsPerPiece: number): PiecePlan[] {
  const { frames, segmentFrames, segmentCount } = timing;
  const pieces: PiecePlan[] = [
    { kind: 'FIRST', number: 0, firstFrame: 0, frameCount: Math.min(segmentFrames, frames) },
  ];
  const firstIsAll = rungCount === 1 && segmentCount === 1;
  if (!firstIsAll) pieces.push(...picturePieces('VIDEO', timing, segmentsPerPiece));
  if (hasSound) pieces.push({ kind: 'AUDIO', number: 0, firstFrame: 0, frameCount: frames });
  pieces.push({ kind: 'STILLS', number: 0, firstFrame: 0, frameCount: frames });
  return pieces;
}

/** A piece is at most this part of what is left, so that towards the end workers are done at nearly the same time. */
const OF_WHAT_IS_LEFT = 1 / 3;
/** Seeking and starting cost more than what smaller ones would even out. */
const LEAST_SEGMENTS = 2;

/** The whole picture, in pieces. */
export function picturePieces(kind: 'VIDEO' | 'RUNG', timing: Timing, segmentsPerPiece: number): PiecePlan[] {
  const { frames, segmentFrames, segmentCount } = timing;
  const pieces: PiecePlan[] = [];
  for (let firstFrame = 0; firstFrame < frames; ) {
    const left = segmentCount - firstFrame / segmentFrames;
    const segments = Math.min(segmentsPerPiece, Math.max(LEAST_SEGMENTS, Math.floor(left * OF_WHAT_IS_LEFT)));
    const frameCount = Math.min(segments * segmentFrames, frames - firstFrame);
    pieces.push({ kind, number: pieces.length, firstFrame, frameCount });
    firstFrame += frameCount;
  }
  return pieces;
}

/** The rungs that a piece makes: the first piece of all is the lowest alone, to play early. */
export function rungsOf<T>(kind: PieceKind, rungs: readonly T[]): T[] {
  return kind === 'FIRST' ? rungs.slice(0, 1) : [...rungs];
}
