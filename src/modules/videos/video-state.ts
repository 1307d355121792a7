export const VIDEO_STATES = ['UPLOADING', 'PROCESSING', 'PLAYABLE', 'READY', 'FAILED', 'BLOCKED'] as const;
export type VideoState = (typeof VIDEO_STATES)[number];

/** Within one run. A new run (a retry, a digest that was wrong) starts over and is no step of this table. */
const NEXT: Record<VideoState, readonly VideoState[]> = {
  UPLOADING: ['PROCESSING', 'FAILED', 'BLOCKED'],
  PROCESSING: ['PLAYABLE', 'READY', 'FAILED', 'BLOCKED'],
  PLAYABLE: ['READY', 'FAILED', 'BLOCKED'],
  READY: ['BLOCKED'],
  FAILED: [],
  BLOCKED: [],
};

/** The states from which one step leads to `to`. */
export function statesBefore(to: VideoState): VideoState[] {
  return VIDEO_STATES.filter((from) => NEXT[from].includes(to));
}
