const KIB = 1024;
const MIB = 1024 * KIB;

/** An object of the append lane: what S3 has in memory at once. */
export const OBJECT_BYTES = 8 * MIB;
/** What a commit and a request to the store are worth. */
const WORTH_BYTES = 64 * KIB;
/** Of one upload, between two objects of a process; many upload more seldom each, so that commits do not keep it busy. */
const APART_MS = 30;
const SOONEST_MS = 250;
const LATEST_MS = 1_000;
const LONGEST_MS = 10_000;

/**
 * When what has arrived becomes an object: full at 8 MiB; after a quarter of a second if it is worth it, or up to a second
 * where many write, so that a crash costs that much of sending; after 10 s whatever there is.
 *
 * @param bytes that have arrived of it
 * @param writers of this process
 * @returns milliseconds since its first byte
 */
export function settleAfterMs(bytes: number, writers: number): number {
  if (bytes >= OBJECT_BYTES) return 0;
  if (bytes < WORTH_BYTES) return LONGEST_MS;
  return Math.min(LATEST_MS, Math.max(SOONEST_MS, APART_MS * writers));
}
