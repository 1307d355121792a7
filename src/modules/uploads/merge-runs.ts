import type { ByteRange } from './byte-ranges.js';

const MIB = 1024 * 1024;

/** About what a merged object has. */
export const MERGED_BYTES = 64 * MIB;
/** Fewer are left as they are: no byte is copied for a few rows. */
export const LEAST_MERGED = 8;

export interface SmallChunk {
  readonly key: string;
  readonly range: ByteRange;
}

/**
 * Which chunks become one: neighbours without a gap, of `mostBytes` together at most.
 *
 * @param chunks in the order of the file, without overlaps
 */
export function runsOf(
  chunks: readonly SmallChunk[],
  mostBytes: number = MERGED_BYTES,
  least: number = LEAST_MERGED,
): SmallChunk[][] {
  const runs: SmallChunk[][] = [];
  for (const chunk of chunks) {
    const run = runs.at(-1);
    const [first, last] = [run?.[0], run?.at(-1)];
    const joins = first && last?.range.end === chunk.range.start && chunk.range.end - first.range.start <= mostBytes;
    if (joins) run?.push(chunk);
    else runs.push([chunk]);
  }
  return runs.filter((run) => run.length >= least);
}
