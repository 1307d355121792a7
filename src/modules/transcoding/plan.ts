import { AUDIO_RATE, audioPlan, audioSamples, frameTime, type Rung, type Timing } from '../media/index.js';

export type PieceKind = 'FIRST' | 'VIDEO' | 'AUDIO' | 'STILLS';

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
 * @param copied how many of the highest rungs are there already
 */
export function plan(
  timing: Timing,
  rungs: readonly Rung[],
  hasSound: boolean,
  segmentsPerPiece: number,
  copied = 0,
): Plan {
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
    });
  }
  return { renditions, pieces: piecesOf(timing, rungs.length - copied, hasSound, segmentsPerPiece) };
}

function piecesOf(timing: Timing, rungCount: number, hasSound: boolean, segmentsPerPiece: number): PiecePlan[] {
  const { frames, segmentFrames, segmentCount } = timing;
  const pieceFrames = segmentFrames * segmentsPerPiece;
  const pieces: PiecePlan[] = [
    { kind: 'FIRST', number: 0, firstFrame: 0, frameCount: Math.min(segmentFrames, frames) },
  ];
  const firstIsAll = rungCount === 1 && segmentCount === 1;
  for (let number = 0; !firstIsAll && number * pieceFrames < frames; number++) {
    const firstFrame = number * pieceFrames;
    pieces.push({ kind: 'VIDEO', number, firstFrame, frameCount: Math.min(pieceFrames, frames - firstFrame) });
  }
  if (hasSound) pieces.push({ kind: 'AUDIO', number: 0, firstFrame: 0, frameCount: frames });
  pieces.push({ kind: 'STILLS', number: 0, firstFrame: 0, frameCount: frames });
  return pieces;
}

/** The rungs that a piece makes: the first piece of all is the lowest alone, to play early. */
export function rungsOf<T>(kind: PieceKind, rungs: readonly T[]): T[] {
  return kind === 'FIRST' ? rungs.slice(0, 1) : [...rungs];
}

/** The segments of a piece, by number from 1 and length in frames. */
export function segmentsOf(piece: PiecePlan, segmentFrames: number): { number: number; frames: number }[] {
  const first = piece.firstFrame / segmentFrames + 1;
  const count = Math.ceil(piece.frameCount / segmentFrames);
  return Array.from({ length: count }, (_, index) => ({
    number: first + index,
    frames: Math.min(segmentFrames, piece.frameCount - index * segmentFrames),
  }));
}
