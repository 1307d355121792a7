import { InvalidInput } from '../errors/index.js';
import { isUuid } from './ids.js';

/** `time` stays text, as PostgreSQL prints it: a JavaScript Date would lose its microseconds, and rows with them. */
const KINDS = {
  time: (part: unknown) => typeof part === 'string' && isTime(part),
  uuid: (part: unknown) => typeof part === 'string' && isUuid(part),
  integer: (part: unknown) => Number.isSafeInteger(part),
  number: (part: unknown) => Number.isFinite(part),
  text: (part: unknown) => typeof part === 'string' && part.length <= 300 && !part.includes('\0'),
};
type Kind = keyof typeof KINDS;
type Parts<Kinds extends readonly Kind[]> = {
  -readonly [K in keyof Kinds]: Kinds[K] extends 'integer' | 'number' ? number : string;
};

/** Where a keyset page ended: the sort columns of its last row, opaque to clients. */
export function encodeCursor(...parts: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/**
 * @param kinds what each part must be, in the order of `encodeCursor`
 * @throws InvalidInput INVALID_CURSOR for anything that this list did not hand out
 */
export function decodeCursor<const Kinds extends readonly Kind[]>(cursor: string, ...kinds: Kinds): Parts<Kinds> {
  const parts = parse(cursor);
  if (parts?.length === kinds.length && kinds.every((kind, index) => KINDS[kind](parts[index]))) {
    return parts as Parts<Kinds>;
  }
  throw invalidCursor();
}

export function invalidCursor(): InvalidInput {
  return new InvalidInput(
    'This is not a cursor of this list: pass `endCursor` of the page before, as it is.',
    ['after'],
    'INVALID_CURSOR',
  );
}

/** With its place in the list that it was read from. */
export type Placed<Row> = Row & { place: string };

export interface KeysetPage<Row> {
  rows: Placed<Row>[];
  hasNextPage: boolean;
}

/**
 * @param found one more than `first`, where there are as many
 * @param place what the list is sorted by, of one row
 */
export function pageOf<Row>(
  found: readonly Row[],
  first: number,
  place: (row: Row) => readonly (string | number)[],
): KeysetPage<Row> {
  const rows = found.slice(0, first).map((row) => ({ ...row, place: encodeCursor(...place(row)) }));
  return { rows, hasNextPage: found.length > first };
}

/** What PostgreSQL takes for a moment: it would refuse a thirteenth month as an error of ours. */
function isTime(text: string): boolean {
  const pattern =
    /^(\d{4})-(\d\d)-(\d\d)[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)$/;
  const [year = 0, month = 0, day = 0] = (pattern.exec(text) ?? []).slice(1, 4).map(Number);
  return year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate();
}

function parse(cursor: string): unknown[] | null {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(parts) ? parts : null;
  } catch {
    return null;
  }
}
