import type { Rung } from '../media/index.js';

const RUNGS = [
  { shortSide: 240, maxBitsPerSecond: 400_000 },
  { shortSide: 360, maxBitsPerSecond: 800_000 },
  { shortSide: 480, maxBitsPerSecond: 1_400_000 },
  { shortSide: 720, maxBitsPerSecond: 2_800_000 },
  { shortSide: 1080, maxBitsPerSecond: 5_000_000 },
  { shortSide: 1440, maxBitsPerSecond: 10_000_000 },
  { shortSide: 2160, maxBitsPerSecond: 18_000_000 },
] as const;

export interface LadderOptions {
  /** No rung is higher. Where even the lowest is, the source gets that one. */
  readonly maxShortSide?: number;
}

const DEFAULT_MAX_SHORT_SIDE = 1080;

/** Twice the pictures need less than twice the bits: neighbours are more alike. */
const HIGH_RATE_FACTOR = 1.5;
const LEAST_BITS_PER_SECOND = 64_000;

/**
 * The rungs of a picture, the lowest first, each named after its short side (`360p`), of even sizes; never larger than the source. A source below the lowest rung gets one of its
 * own size.
 *
 * @param source pixels as people see them: after rotation, with square samples
 * @param framesPerSecond of the output
 */
export function ladder(
  source: { width: number; height: number },
  framesPerSecond: number,
  options: LadderOptions = {},
): Rung[] {
  const { maxShortSide = DEFAULT_MAX_SHORT_SIDE } = options;
  const short = Math.min(source.width, source.height);
  const long = Math.max(source.width, source.height);
  const rateFactor = framesPerSecond > 31 ? HIGH_RATE_FACTOR : 1;
  const rung = (shortSide: number, maxBitsPerSecond: number): Rung => {
    // Rounded to the nearest even size, but not beyond the source.
    const longSide = Math.min(even(Math.round((long * shortSide) / short / 2) * 2), even(long));
    const [width, height] = source.width >= source.height ? [longSide, shortSide] : [shortSide, longSide];
    return { name: `${shortSide}p`, width, height, maxBitsPerSecond: Math.round(maxBitsPerSecond * rateFactor) };
  };

  const [lowest] = RUNGS;
  const highest = Math.max(lowest.shortSide, Math.min(short, maxShortSide));
  const fitting = short < lowest.shortSide ? [] : RUNGS.filter((each) => each.shortSide <= highest);
  if (fitting.length > 0) return fitting.map((each) => rung(each.shortSide, each.maxBitsPerSecond));
  const own = even(short);
  const share = (own / lowest.shortSide) ** 2;
  return [rung(own, Math.max(LEAST_BITS_PER_SECOND, lowest.maxBitsPerSecond * share))];
}

/** The next even number below; 4:2:0 pictures have at least two rows and columns. */
function even(pixels: number): number {
  return Math.max(2, Math.floor(pixels / 2) * 2);
}
