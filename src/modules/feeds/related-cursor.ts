import { invalidCursor } from '../../common/graphql/index.js';
import { MOST_RELATED } from './related-choice.js';

/** Tells this cursor from those of lists, which are JSON; also, nothing is left of a list at its end, and a cursor is never empty. */
const MARK = 1;
const BYTES = 16;

/**
 * A place in what goes with a video: what follows it. A list may be chosen anew at any time, and who turns its pages goes on with
 * the one that they began, which is kept nowhere else.
 */
export function encodeRelated(following: readonly string[]): string {
  const ids = following.map((id) => Buffer.from(id.replaceAll('-', ''), 'hex'));
  return Buffer.concat([Buffer.of(MARK), ...ids]).toString('base64url');
}

/** @throws InvalidInput INVALID_CURSOR */
export function decodeRelated(cursor: string): string[] {
  const bytes = Buffer.from(cursor, 'base64url');
  const count = (bytes.length - 1) / BYTES;
  if (bytes[0] !== MARK || !Number.isInteger(count) || count > MOST_RELATED) throw invalidCursor();
  return Array.from({ length: count }, (_, n) =>
    bytes
      .toString('hex', 1 + n * BYTES, 1 + (n + 1) * BYTES)
      .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
  );
}
