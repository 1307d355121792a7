const FIRST_MS = 500;
const LONGEST_MS = 60_000;

/**
 * How long to wait before the next attempt, in milliseconds: doubled each time up to a minute, spread evenly over its
 * upper half so that jobs that failed together do not come back together.
 *
 * @param attempt the attempt that failed, counted from 1
 * @param random from 0 (included) to 1 (not included)
 */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 20));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}
