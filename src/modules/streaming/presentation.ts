/** One planned rendition, as manifests need it. Durations are in its own timescale. */
export interface Track {
  readonly name: string;
  readonly kind: 'VIDEO' | 'AUDIO';
  readonly width: number | null;
  readonly height: number | null;
  readonly frameRate: { readonly num: number; readonly den: number } | null;
  /** Units a second. */
  readonly timescale: number;
  /** What the encoder was told to stay below on average over its buffer. */
  readonly maxBitsPerSecond: number;
  readonly segmentCount: number;
  readonly segmentDuration: number;
  readonly totalDuration: number;
  /** RFC 6381; null until the first piece is there. */
  readonly codecs: string | null;
  /** True once segment 1 is there. */
  readonly started: boolean;
  /** Of all segments, once all are there. */
  readonly measured: { readonly peakBitsPerSecond: number; readonly averageBitsPerSecond: number } | null;
}

/** Samples of one AAC frame: sound is cut only between frames. */
const AAC_FRAME = 1024;

/** Single segments came out at up to 1.20 times the encoder's cap (measured), so this is said until they are all there. */
const PEAK_FACTOR = 1.25;

/** As much of a track as decides whether it is offered. */
export type Start = Pick<Track, 'kind' | 'codecs' | 'started'>;

export interface Listed<T extends Start = Track> {
  readonly video: readonly T[];
  readonly audio: readonly T[];
}

/**
 * The tracks that a master lists: those whose first segment is there. A player stays with the master that it has loaded and
 * waits for whatever it chose, so nothing is offered before it can start. Null while nothing plays: no picture yet, or sound
 * is planned and has not begun.
 */
export function listed<T extends Start>(tracks: readonly T[]): Listed<T> | null {
  const started = tracks.filter((track) => track.started && track.codecs !== null);
  const video = started.filter((track) => track.kind === 'VIDEO');
  const audio = started.filter((track) => track.kind === 'AUDIO');
  const soundIsMissing = audio.length === 0 && tracks.some((track) => track.kind === 'AUDIO');
  return video.length === 0 || soundIsMissing ? null : { video, audio };
}

/**
 * Durations of all segments, also of those that are yet to be made. Pictures are cut on a grid of whole frames; a sound
 * segment ends with the first AAC frame that reaches the grid (4.010667 s, 3.989333 s, …: no drift). The last takes the rest.
 */
export function segmentDurations(track: Track): number[] {
  const end = (number: number) => {
    if (number === track.segmentCount) return track.totalDuration;
    const onGrid = number * track.segmentDuration;
    return track.kind === 'VIDEO' ? onGrid : Math.ceil(onGrid / AAC_FRAME) * AAC_FRAME;
  };
  return Array.from({ length: track.segmentCount }, (_, index) => end(index + 1) - end(index));
}

/** The highest rate of any one segment: measured, or a bound until then. Bits a second. */
export function peakBitsPerSecond(track: Track): number {
  return track.measured?.peakBitsPerSecond ?? Math.ceil(track.maxBitsPerSecond * PEAK_FACTOR);
}
