/** One planned rendition, as manifests need it. Durations are in its own timescale. */
export interface Track {
  readonly name: string;
  /** Its name in addresses: another one each time it is made anew. */
  readonly address: string;
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
  /** Of pictures: the bytes of each segment up to the end of its first key frame, once all are known. */
  readonly keyBytes: readonly number[] | null;
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
 * waits for whatever it chose, so nothing is offered before it can start. Null while nothing plays: the lowest rung has not
 * begun, or sound is planned and has not.
 *
 * @param tracks the lowest first
 */
export function listed<T extends Start>(tracks: readonly T[]): Listed<T> | null {
  const hasBegun = (track: T) => track.started && track.codecs !== null;
  const started = tracks.filter(hasBegun);
  const video = started.filter((track) => track.kind === 'VIDEO');
  const audio = started.filter((track) => track.kind === 'AUDIO');
  const soundIsMissing = audio.length === 0 && tracks.some((track) => track.kind === 'AUDIO');
  // A copied rung is there before the lowest, which is what everybody's link carries.
  const lowest = tracks.find((track) => track.kind === 'VIDEO');
  return !lowest || !hasBegun(lowest) || soundIsMissing ? null : { video, audio };
}

/**
 * As `listed`, and with every rung that is planned: for players that keep to the rungs that have begun by themselves. Null
 * while nothing plays.
 */
export function planned(tracks: readonly Track[]): Listed | null {
  const playing = listed(tracks);
  return (
    playing && {
      video: tracks
        .filter(({ kind }) => kind === 'VIDEO')
        .map((track) => ({ ...track, codecs: track.codecs ?? expectedCodecs(track) })),
      audio: playing.audio,
    }
  );
}

/** Macroblocks of a picture and of a second that a level allows (H.264, table A-1), and its level_idc. */
const LEVELS = [
  [99, 1_485, 10],
  [396, 3_000, 11],
  [396, 6_000, 12],
  [396, 11_880, 13],
  [792, 19_800, 21],
  [1_620, 20_250, 22],
  [1_620, 40_500, 30],
  [3_600, 108_000, 31],
  [5_120, 216_000, 32],
  [8_192, 245_760, 40],
  [8_704, 522_240, 42],
  [22_080, 589_824, 50],
  [36_864, 983_040, 51],
  [36_864, 2_073_600, 52],
] as const;
const HIGHEST_LEVEL = 62;

/** What our encoder is going to write: High profile, and the lowest level that such pictures need. */
export function expectedCodecs({ width, height, frameRate }: Pick<Track, 'width' | 'height' | 'frameRate'>): string {
  const picture = Math.ceil((width ?? 0) / 16) * Math.ceil((height ?? 0) / 16);
  const second = frameRate ? (picture * frameRate.num) / frameRate.den : 0;
  const found = LEVELS.find(([ofPicture, ofSecond]) => picture <= ofPicture && second <= ofSecond);
  return `avc1.6400${(found?.[2] ?? HIGHEST_LEVEL).toString(16).padStart(2, '0')}`;
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
