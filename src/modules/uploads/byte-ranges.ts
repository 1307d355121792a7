/** Half-open, in bytes of the whole file: `start` included, `end` not. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** PostgreSQL's text of an `int8multirange`, which is always merged and sorted: `{[0,10),[20,30)}`. */
export function parseMultirange(text: string): ByteRange[] {
  return [...text.matchAll(/\[(\d+),(\d+)\)/g)].map(([, start, end]) => ({ start: Number(start), end: Number(end) }));
}

/** PostgreSQL's text of an `int8range`. */
export function formatRange(range: ByteRange): string {
  return `[${range.start},${range.end})`;
}

/** PostgreSQL's text of an `int8multirange`; it merges and sorts by itself. */
export function formatRanges(ranges: readonly ByteRange[]): string {
  return `{${ranges.map(formatRange).join(',')}}`;
}

export function sizeOf(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, range) => sum + range.end - range.start, 0);
}

/** @param covered merged and sorted, within `[0, size)` */
export function missingRanges(covered: readonly ByteRange[], size: number): ByteRange[] {
  const starts = [0, ...covered.map((range) => range.end)];
  const ends = [...covered.map((range) => range.start), size];
  return starts.flatMap((start, index) => {
    const end = ends[index] ?? size;
    return start < end ? [{ start, end }] : [];
  });
}

/** @param covered merged and sorted, so a range that is covered lies within one of them */
export function isCovered(range: ByteRange, covered: readonly ByteRange[]): boolean {
  return covered.some((one) => one.start <= range.start && range.end <= one.end);
}
