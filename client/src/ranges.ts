/** Half-open, in bytes of the file: `start` included, `end` not. */
export type Range = readonly [start: number, end: number];
/** Sorted, merged, none of them empty. */
export type Ranges = readonly Range[];

export function union(...sets: readonly (readonly Range[])[]): Ranges {
  const merged: [number, number][] = [];
  const all = sets.flat().filter(([start, end]) => start < end);
  for (const [start, end] of all.sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

/** What of `from` is not in `taken`. */
export function subtract(from: Ranges, taken: Ranges): Ranges {
  const left: Range[] = [];
  let next = 0;
  for (const [start, end] of from) {
    let at = start;
    while (taken[next] && (taken[next] as Range)[1] <= start) next++;
    for (let index = next; index < taken.length; index++) {
      const [a, b] = taken[index] as Range;
      if (a >= end) break;
      if (a > at) left.push([at, a]);
      at = Math.max(at, b);
    }
    if (at < end) left.push([at, end]);
  }
  return left;
}

export const intersect = (a: Ranges, b: Ranges): Ranges => subtract(a, subtract(a, b));

export const sizeOf = (ranges: Ranges): number => ranges.reduce((sum, [start, end]) => sum + end - start, 0);

export const covers = (ranges: Ranges, [start, end]: Range): boolean =>
  start >= end || ranges.some(([a, b]) => a <= start && end <= b);
