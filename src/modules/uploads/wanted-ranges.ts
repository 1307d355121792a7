import { type ByteRange, isCovered, missingRanges, parseMultirange, sizeOf } from './byte-ranges.js';

/** Of a file: enough to see what it is and where its index must be. */
const HEAD_BYTES = 64 * 1024;
/** A shorter file is there before anybody could look. */
const LEAST_BYTES = 2 * 1024 * 1024;
/** An index at the end is about half a percent of a film. */
const TAIL_SHARE = 100;
const LEAST_TAIL = 64 * 1024;
const MOST_TAIL = 8 * 1024 * 1024;
const SHOWN = 100;
/** What has an index: by its name or its type, since before the first byte nobody knows more. */
const INDEXED_NAMES = /\.(?:mp4|m4v|mov|qt|3gp|3g2)$/i;
const INDEXED_TYPES = /^video\/(?:mp4|quicktime|x-m4v|3gpp2?)\b/i;

/** What processing waits for first; null when it begins only with the whole file. */
export function firstWanted(fileName: string, contentType: string | null, sizeBytes: number): ByteRange[] | null {
  const isIndexed = INDEXED_NAMES.test(fileName.trim()) || INDEXED_TYPES.test(contentType ?? '');
  return isIndexed && sizeBytes >= LEAST_BYTES ? [{ start: 0, end: HEAD_BYTES }] : null;
}

/** What a client does well to send next, most urgent first. */
export function wantedRanges(session: {
  state: string;
  sizeBytes: number;
  covered: string;
  wanted: string | null;
}): ByteRange[] {
  const { state, sizeBytes } = session;
  if (state !== 'OPEN' || session.wanted === null) return [];
  const covered = parseMultirange(session.covered);
  const wanted = parseMultirange(session.wanted);
  // Nobody has looked yet: where the beginning is no index, the end is one.
  if (isCovered({ start: 0, end: HEAD_BYTES }, wanted) && sizeOf(wanted) === HEAD_BYTES) {
    const tail = Math.min(MOST_TAIL, Math.max(LEAST_TAIL, Math.ceil(sizeBytes / TAIL_SHARE)));
    wanted.push({ start: sizeBytes - tail, end: sizeBytes });
  }
  const missing = missingRanges(covered, sizeBytes);
  const next = wanted.flatMap(({ start, end }) =>
    missing.flatMap((hole) => {
      const range = { start: Math.max(start, hole.start), end: Math.min(end, hole.end) };
      return range.start < range.end ? [range] : [];
    }),
  );
  return next.slice(0, SHOWN);
}
