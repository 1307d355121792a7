import { type FileHandle, open } from 'node:fs/promises';
import { type ByteRange, missingOf, union } from './spans.js';

/** Requests to the store that one file has under way for one caller. */
const AT_ONCE = 4;

/** A file of another's full size that holds parts of it, each at its own place; between them are holes that read as zeros. */
export class SparseFile {
  private have: ByteRange[] = [];

  private constructor(
    readonly path: string,
    readonly sizeBytes: number,
    private readonly handle: FileHandle,
    private readonly checkRoom: (bytes: number) => Promise<void>,
  ) {}

  static async create(
    path: string,
    sizeBytes: number,
    checkRoom: (bytes: number) => Promise<void>,
  ): Promise<SparseFile> {
    const handle = await open(path, 'wx');
    try {
      await handle.truncate(sizeBytes);
    } catch (error) {
      await handle.close();
      throw error;
    }
    return new SparseFile(path, sizeBytes, handle, checkRoom);
  }

  /**
   * Resolves when these ranges are in the file. Two that need the same at the same time both read it, to the same bytes.
   *
   * @param ranges as `union` leaves them
   * @throws what `read` throws, and when the disk has no room
   */
  async fill(
    ranges: readonly ByteRange[],
    read: (range: ByteRange) => AsyncIterable<Buffer>,
    signal?: AbortSignal,
  ): Promise<void> {
    const missing = missingOf(ranges, this.have);
    if (missing.length === 0) return;
    await this.checkRoom(missing.reduce((sum, { start, end }) => sum + end - start, 0));
    const rest = missing.values();
    const failed = new AbortController();
    const fetcher = async () => {
      for (const range of rest) {
        signal?.throwIfAborted();
        failed.signal.throwIfAborted();
        let at = range.start;
        for await (const bytes of read(range)) {
          await this.handle.write(bytes, 0, bytes.length, at);
          at += bytes.length;
        }
        if (at !== range.end) throw new Error(`${range.end - at} bytes from ${at} on were not read.`);
        this.have = union([...this.have, range]);
      }
    };
    const fetching = Array.from({ length: Math.min(AT_ONCE, missing.length) }, fetcher);
    try {
      await Promise.all(fetching);
    } catch (error) {
      failed.abort(error);
      await Promise.allSettled(fetching);
      throw error;
    }
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}
