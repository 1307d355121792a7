import type { PieceKind } from './plan.js';

/** Pieces of one kind of one run, summed up. */
export interface KindProgress {
  readonly kind: PieceKind;
  readonly frames: number;
  /** Frames of finished pieces, and the share that is done of those under way. */
  readonly framesDone: number;
}

/** What a frame costs beside one that goes through the whole ladder (measured on two cores). */
const COST: Record<PieceKind, number> = { FIRST: 0.15, VIDEO: 1, AUDIO: 0.03, STILLS: 0.01, RUNG: 0 };
/** Below it an estimate would be a guess. */
const LEAST_PROGRESS = 0.02;

/** How much of a run's work is done, 0 to 1. */
export function progressOf(kinds: readonly KindProgress[]): number {
  const sum = (of: (each: KindProgress) => number) => kinds.reduce((all, each) => all + of(each) * COST[each.kind], 0);
  const whole = sum((each) => each.frames);
  return whole === 0 ? 0 : Math.min(1, sum((each) => each.framesDone) / whole);
}

/** Seconds to go if the rest goes as the part before it; null while that says too little. */
export function secondsLeft(progress: number, secondsSoFar: number): number | null {
  return progress < LEAST_PROGRESS ? null : Math.ceil((secondsSoFar * (1 - progress)) / progress);
}

/**
 * @param run.seconds worked on it so far
 * @param run.expectedSeconds what the queue says of the rest, where it can say something
 */
export function runProgress(
  isDone: boolean,
  run: { kinds: readonly KindProgress[]; seconds: number; expectedSeconds: number | null } | null,
) {
  if (isDone) return { progress: 1, secondsLeft: null };
  const progress = progressOf(run?.kinds ?? []);
  return { progress, secondsLeft: run && (run.expectedSeconds ?? secondsLeft(progress, run.seconds)) };
}

export type RenditionState = 'ON_DEMAND' | 'PENDING' | 'PLAYABLE' | 'READY' | 'FAILED';

/** Of a rung that is made when it is asked for; null: it is made with the video. */
export type OnDemandState = 'ABSENT' | 'ASKED' | 'MADE' | 'FAILED' | null;

/** A rendition plays from its first segment on. */
export function renditionState(rendition: {
  hasFirst: boolean;
  segments: number;
  segmentCount: number;
  videoFailed: boolean;
  onDemand: OnDemandState;
}): RenditionState {
  if (rendition.onDemand === 'FAILED') return 'FAILED';
  if (rendition.onDemand === 'ABSENT') return rendition.videoFailed ? 'FAILED' : 'ON_DEMAND';
  // It is READY once it was looked at as a whole.
  if (rendition.onDemand === 'ASKED') return rendition.hasFirst ? 'PLAYABLE' : 'PENDING';
  if (rendition.segments >= rendition.segmentCount) return 'READY';
  if (rendition.videoFailed) return 'FAILED';
  return rendition.hasFirst ? 'PLAYABLE' : 'PENDING';
}
