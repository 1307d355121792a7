/** Half-open, in bytes of a file. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Sorted, and touching ones as one; empty ones and what lies beyond the file go. */
export function union(ranges: readonly ByteRange[], sizeBytes = Number.POSITIVE_INFINITY): ByteRange[] {
  const all: { start: number; end: number }[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const { start, end } = { start: range.start, end: Math.min(range.end, sizeBytes) };
    const last = all.at(-1);
    if (start >= end) continue;
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else all.push({ start, end });
  }
  return all;
}

/** What of `wanted` is not in `have`; both as `union` leaves them. */
export function missingOf(wanted: readonly ByteRange[], have: readonly ByteRange[]): ByteRange[] {
  const missing: ByteRange[] = [];
  let next = 0;
  for (const { start, end } of wanted) {
    while (next > 0 && (have[next - 1]?.end ?? 0) > start) next--;
    while ((have[next]?.end ?? Number.POSITIVE_INFINITY) <= start) next++;
    let at = start;
    for (let index = next; at < end; index++) {
      const there = have[index];
      if (!there || there.start >= end) break;
      if (there.start > at) missing.push({ start: at, end: there.start });
      at = Math.max(at, there.end);
    }
    if (at < end) missing.push({ start: at, end });
  }
  return missing;
}
