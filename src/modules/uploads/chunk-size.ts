const KIB = 1024;
const MIB = 1024 * KIB;

export const MIN_CHUNK_BYTES = 256 * KIB;
/** Every request stays well under the 100 MB at which common proxies and CDNs cut. */
export const MAX_CHUNK_BYTES = 64 * MIB;
/** How many chunks a session may be signed for: with the largest ones, 6 TiB. */
export const MAX_CHUNKS = 100_000;

/**
 * How many bytes a session may be signed for in all: a client may cut the whole file anew a few times, and no client
 * can fill the store beyond its quota by sending the same ranges with ever other bytes.
 */
export const maxSignedBytes = (sizeBytes: number): number => 4 * sizeBytes + 1024 * MIB;

const LARGEST_RECOMMENDED = 8 * MIB;
const SECONDS_A_CHUNK = 16;
const CHUNKS_A_FILE = 10_000;

/**
 * What suits a link: about 16 seconds of sending, so that a cut loses little and round trips cost little; never so
 * small that the file would need more than 10,000 chunks.
 *
 * @param bytesPerSecond as measured lately, null when nothing is known
 * @returns a multiple of 256 KiB, in bytes
 */
export function recommendedChunkBytes(sizeBytes: number, bytesPerSecond: number | null): number {
  const byLink =
    bytesPerSecond === null ? LARGEST_RECOMMENDED : Math.min(LARGEST_RECOMMENDED, bytesPerSecond * SECONDS_A_CHUNK);
  const bytes = Math.max(MIN_CHUNK_BYTES, byLink, sizeBytes / CHUNKS_A_FILE);
  return Math.min(MAX_CHUNK_BYTES, Math.ceil(bytes / MIN_CHUNK_BYTES) * MIN_CHUNK_BYTES);
}
