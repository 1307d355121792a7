import type { Rung } from '../media/index.js';

/** A rung as it is configured: its cap is for up to 30 frames a second. */
export interface LadderRung {
  readonly shortSide: number;
  readonly maxBitsPerSecond: number;
}

/** Twice the pictures need less than twice the bits: neighbours are more alike. */
const HIGH_RATE_FACTOR = 1.5;
const LEAST_BITS_PER_SECOND = 64_000;

/**
 * The rungs of a picture, the lowest first, each named after its short side (`360p`), of even sizes; never larger than the source. A source below the lowest rung gets one of its
 * own size.
 *
 * @param source pixels as people see them: after rotation, with square samples
 * @param framesPerSecond of the output
 * @param options.rungs the lowest first, at least one
 */
export function ladder(
  source: { width: number; height: number },
  framesPerSecond: number,
  { rungs }: { rungs: readonly LadderRung[] },
): Rung[] {
  const short = Math.min(source.width, source.height);
  const long = Math.max(source.width, source.height);
  const rateFactor = framesPerSecond > 31 ? HIGH_RATE_FACTOR : 1;
  const rung = (shortSide: number, maxBitsPerSecond: number): Rung => {
    // Rounded to the nearest even size, but not beyond the source.
    const longSide = Math.min(even(Math.round((long * shortSide) / short / 2) * 2), even(long));
    const [width, height] = source.width >= source.height ? [longSide, shortSide] : [shortSide, longSide];
    return { name: `${shortSide}p`, width, height, maxBitsPerSecond: Math.round(maxBitsPerSecond * rateFactor) };
  };

  const fitting = rungs.filter((each) => each.shortSide <= short);
  if (fitting.length > 0) return fitting.map((each) => rung(each.shortSide, each.maxBitsPerSecond));
  const own = even(short);
  const [lowest = { shortSide: own, maxBitsPerSecond: LEAST_BITS_PER_SECOND }] = rungs;
  const share = (own / lowest.shortSide) ** 2;
  return [rung(own, Math.max(LEAST_BITS_PER_SECOND, lowest.maxBitsPerSecond * share))];
}

/**
 * The rungs that are made only when somebody asks for them: those of a larger short side than `above`, but for the lowest,
 * which all plays with, and the one that was copied at next to no cost.
 */
export function onDemandRungs(rungs: readonly Rung[], above: number, copied?: string): string[] {
  return rungs
    .filter(({ name, width, height }, index) => index > 0 && name !== copied && Math.min(width, height) > above)
    .map(({ name }) => name);
}

/** The next even number below; 4:2:0 pictures have at least two rows and columns. */
function even(pixels: number): number {
  return Math.max(2, Math.floor(pixels / 2) * 2);
}
