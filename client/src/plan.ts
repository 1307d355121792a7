import { intersect, type Range, type Ranges, sizeOf, subtract, union } from './ranges.js';

/** One request stays under the 100 MB at which common proxies cut. */
export const LONGEST_REQUEST = 95_000_000;
/** While another client works on the same file: what one of them holds, the other cannot take. */
export const SHARED_REQUEST = 8 * 1024 * 1024;
/** Less than this is not worth taking from another client that is at it. */
const WORTH_SHARING = 512 * 1024;

export interface Situation {
  readonly size: number;
  readonly covered: Ranges;
  /** Being sent by us, not known yet, or passed over for now. */
  readonly busy: Ranges;
  /** What other clients are about to send. */
  readonly others: Ranges;
  /** From there first, and then what was left out. Clients that share a file stay apart so. */
  readonly at: number;
  /** What the server would like first, most urgent first. */
  readonly wanted: readonly Range[];
  /** Of a request, in bytes. */
  readonly most: number;
}

/** Which bytes to send next; null when there are none for us. */
export function nextRange({ size, covered, busy, others, at, wanted, most }: Situation): Range | null {
  const missing = subtract([[0, size]], union(covered, busy));
  const free = subtract(missing, others);
  for (const range of wanted) {
    const [first] = intersect([range], free);
    if (first) return atMost(first, most);
  }
  const first = subtract(free, [[0, at]])[0] ?? free[0];
  if (first) return atMost(first, most);
  // All that is left is another client's: we take the second half of the largest piece.
  const largest = missing.reduce<Range | null>(
    (one, range) => (one && length(one) >= length(range) ? one : range),
    null,
  );
  if (!largest || length(largest) < 2 * WORTH_SHARING) return null;
  return atMost([Math.floor((largest[0] + largest[1]) / 2), largest[1]], most);
}

export const length = ([start, end]: Range): number => end - start;

const atMost = ([start, end]: Range, most: number): Range => [start, Math.min(end, start + most)];

/** What other clients are still going to send of the file. */
export const stillToCome = (others: readonly { start: number; received: number; end: number }[]): Ranges =>
  union(others.map(({ start, received, end }) => [start + received, end] as const));

/**
 * Whether parts put straight into the store are worth their round trips: a cut loses a whole part, so one should take less
 * than a tenth of the time between cuts.
 *
 * @param link its rate, and for how long nothing has failed
 */
export function prefersDirect(link: { bytesPerSecond: number; calmMs: number }, missing: Ranges): boolean {
  const partMs = (PART / link.bytesPerSecond) * 1000;
  return (
    isFast(link.bytesPerSecond) && link.calmMs > Math.max(CALM_MS, 10 * partMs) && sizeOf(missing) > WORTH_A_CHANGE
  );
}
/** More than 10 Mbit/s. */
export const isFast = (bytesPerSecond: number): boolean => bytesPerSecond > 1_250_000;
const PART = 5 * 1024 * 1024;
/** For the rate to be more than a first impression. */
const CALM_MS = 3_000;
const WORTH_A_CHANGE = 64 * 1024 * 1024;
