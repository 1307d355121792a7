const KIB = 1024;
const MIB = 1024 * KIB;

/** An object of the append lane: what S3 has in memory at once. */
export const OBJECT_BYTES = 8 * MIB;
/** What a commit and a request to the store are worth. */
const WORTH_BYTES = 256 * KIB;
const WORTH_MS = 500;
const LONGEST_MS = 10_000;

/**
 * When what has arrived becomes an object: full at 8 MiB; after half a second if it is worth it, so that a crash costs that much
 * of sending; after 10 s whatever there is.
 *
 * @param bytes that have arrived of it
 * @returns milliseconds since its first byte
 */
export function settleAfterMs(bytes: number): number {
  if (bytes >= OBJECT_BYTES) return 0;
  return bytes >= WORTH_BYTES ? WORTH_MS : LONGEST_MS;
}
