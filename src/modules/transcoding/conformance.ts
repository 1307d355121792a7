/** One rendition as it is about to be published: what manifests will say of it, and what there is. Times in its timescale. */
export interface MadeRendition {
  readonly name: string;
  readonly kind: 'VIDEO' | 'AUDIO';
  readonly timescale: number;
  readonly segmentCount: number;
  /** Of a video segment but the last; sound is cut at the first AAC frame at or after each multiple of it. */
  readonly segmentDuration: number;
  readonly totalDuration: number;
  readonly codecs: string | null;
  /** Bits a second; null where nothing is made. */
  readonly peakBitsPerSecond: number | null;
  readonly averageBitsPerSecond: number | null;
  /** What its init segment says by itself; null: there is none. */
  readonly init: { readonly codecs: string; readonly timescale: number } | null;
  /** In order. */
  readonly segments: readonly MadePart[];
}

export interface MadePart {
  readonly number: number;
  /** null: made by a version that did not write it down. */
  readonly decodeTime: number | null;
  readonly duration: number;
  readonly byteOffset: number;
  readonly byteSize: number;
  /** Of the object that it is in, as the store has it; null: it is not there. */
  readonly objectBytes: number | null;
}

/** Samples of one AAC frame: sound is cut only between frames. */
const AAC_FRAME = 1024;

/**
 * The look at the whole presentation, before it is READY; every piece was checked for itself when it was made.
 *
 * @returns what is wrong, in words for the log: at most one sentence a rule and rendition
 */
export function presentationFaults(renditions: readonly MadeRendition[]): string[] {
  const pictures = renditions.filter(({ kind }) => kind === 'VIDEO');
  const [lowest] = pictures;
  if (!lowest) return ['there is no picture'];
  const ofEach = renditions.flatMap((rendition) =>
    [declared, complete, gapless, onGrid, wholeLength, stored, rated]
      .map((rule) => rule(rendition))
      .filter((fault) => fault !== null)
      .map((fault) => `${rendition.name}: ${fault}`),
  );
  const unaligned = pictures
    .filter((rendition) => !sameTimes(rendition, lowest))
    .map(({ name }) => `${name}: its segments begin and end at other times than those of ${lowest.name}`);
  const apart = renditions
    .filter(({ kind }) => kind === 'AUDIO')
    .map((sound) => ({ name: sound.name, seconds: Math.abs(lengthOf(sound) - lengthOf(lowest)) }))
    .filter(({ seconds }) => seconds > AAC_FRAME / 48_000)
    .map(({ name, seconds }) => `${name}: its length is ${seconds.toFixed(3)} s from that of the picture`);
  return [...ofEach, ...unaligned, ...apart];
}

function declared({ codecs, timescale, init }: MadeRendition): string | null {
  if (!init) return 'there is no init segment';
  if (init.codecs !== codecs) return `is said to be ${codecs}, and its init segment says ${init.codecs}`;
  return init.timescale === timescale ? null : `the timescale is ${init.timescale}, not ${timescale}`;
}

function complete({ segments, segmentCount }: MadeRendition): string | null {
  if (segments.length !== segmentCount) return `${segments.length} of ${segmentCount} segments`;
  const at = segments.findIndex(({ number }, index) => number !== index + 1);
  return at < 0 ? null : `segment ${at + 1} is missing`;
}

/** By what the segments themselves say, since that is what a player goes by. */
function gapless({ segments }: MadeRendition): string | null {
  let end = 0;
  for (const { number, decodeTime, duration } of segments) {
    if (decodeTime !== null && decodeTime !== end) return `segment ${number} begins at ${decodeTime}, not at ${end}`;
    end = (decodeTime ?? end) + duration;
  }
  return null;
}

/** The durations that manifests told before anything was made. */
function onGrid(rendition: MadeRendition): string | null {
  const { segments, segmentDuration, kind } = rendition;
  let end = 0;
  for (const { number, duration } of segments.slice(0, -1)) {
    end += duration;
    const grid = number * segmentDuration;
    const wanted = kind === 'VIDEO' ? grid : Math.ceil(grid / AAC_FRAME) * AAC_FRAME;
    if (end !== wanted) return `segment ${number} ends at ${end}, and is said to end at ${wanted}`;
  }
  return null;
}

function wholeLength(rendition: MadeRendition): string | null {
  const { kind, totalDuration } = rendition;
  const made = rendition.segments.reduce((sum, { duration }) => sum + duration, 0);
  const tolerance = kind === 'AUDIO' ? AAC_FRAME : 0;
  return Math.abs(made - totalDuration) <= tolerance ? null : `lasts ${made}, not ${totalDuration}`;
}

function stored({ segments }: MadeRendition): string | null {
  const lost = segments.find(({ objectBytes }) => objectBytes === null);
  if (lost) return `segment ${lost.number} is not in the store`;
  const cut = segments.find(
    ({ byteOffset, byteSize, objectBytes }) => byteSize <= 0 || byteOffset + byteSize > (objectBytes ?? 0),
  );
  return cut ? `segment ${cut.number} reaches beyond its object` : null;
}

function rated(rendition: MadeRendition): string | null {
  const { segments, timescale, peakBitsPerSecond, averageBitsPerSecond } = rendition;
  if (segments.length === 0) return null;
  const peak = peakOf(segments, timescale);
  // Declared rates are whole numbers.
  if (peakBitsPerSecond === null || peakBitsPerSecond < peak - 1) {
    return `is said to need ${peakBitsPerSecond} bit/s at most, and needs ${Math.ceil(peak)}`;
  }
  const average = rateOf(segments, timescale);
  return averageBitsPerSecond !== null && Math.abs(averageBitsPerSecond - average) <= 1
    ? null
    : `is said to need ${averageBitsPerSecond} bit/s on average, and needs ${Math.round(average)}`;
}

/**
 * RFC 8216, 4.1: the highest rate of any segments in a row that last from half a target duration to one and a half
 * together. Where none lasts that long, the average.
 */
function peakOf(segments: readonly MadePart[], timescale: number): number {
  const longest = Math.max(...segments.map(({ duration }) => duration));
  const target = Math.max(1, Math.round(longest / timescale)) * timescale;
  let peak = 0;
  for (let first = 0; first < segments.length; first++) {
    let length = 0;
    for (let last = first; last < segments.length; last++) {
      length += segments[last]?.duration ?? 0;
      if (length > 1.5 * target) break;
      if (length >= 0.5 * target) peak = Math.max(peak, rateOf(segments.slice(first, last + 1), timescale));
    }
  }
  return peak > 0 ? peak : rateOf(segments, timescale);
}

function rateOf(segments: readonly MadePart[], timescale: number): number {
  const bytes = segments.reduce((sum, { byteSize }) => sum + byteSize, 0);
  const length = segments.reduce((sum, { duration }) => sum + duration, 0);
  return (bytes * 8 * timescale) / length;
}

function sameTimes(one: MadeRendition, other: MadeRendition): boolean {
  return (
    one.segments.length === other.segments.length &&
    one.segments.every(({ duration }, index) => {
      const theirs = other.segments[index]?.duration ?? 0;
      // Timescales may differ, so what is compared are fractions.
      return duration * other.timescale === theirs * one.timescale;
    })
  );
}

/** Seconds. */
function lengthOf({ segments, timescale }: MadeRendition): number {
  return segments.reduce((sum, { duration }) => sum + duration, 0) / timescale;
}
