import { Injectable } from '@nestjs/common';
import { type ByteSource, openingSpans, readSampleIndex, type SampleIndex } from '../media/index.js';
import { ObjectStorage } from '../storage/index.js';
import { NotArrived, type UploadedFile, UploadedFiles } from '../uploads/index.js';
import { Scratch } from './scratch.js';
import { type ByteRange, union } from './spans.js';

/** More requests to the store than this cost more than reading all of the file. */
const MOST_RANGES = 2_000;
/** At most 41 MB each. */
const INDEXES_KEPT = 8;

export type Spans = (index: SampleIndex) => readonly ByteRange[];

/**
 * Gives ffmpeg, which sees no network, a file to read: the store's own where it has one; else a file in scratch with what
 * is needed of it, as its index tells; else, where no index serves, a copy of the whole.
 */
@Injectable()
export class SourceFiles {
  private readonly indexes = new Map<string, ReturnType<typeof readSampleIndex>>();

  constructor(
    private readonly storage: ObjectStorage,
    private readonly files: UploadedFiles,
    private readonly scratch: Scratch,
  ) {}

  /**
   * @param spans what `work` reads beyond what every reader does
   * @param work is told whether the file has no holes
   * @throws NotArrived when that is not all there; when scratch has no room; what the store throws
   */
  async during<T>(
    file: UploadedFile,
    spans: Spans,
    signal: AbortSignal,
    work: (path: string, isWhole: boolean) => Promise<T>,
  ): Promise<T> {
    const local = file.masterKey && this.storage.localPath(file.masterKey);
    if (local) return work(local, true);
    // The verdict on a file that is not large has read all of it.
    if (file.masterKey && this.scratch.holds(file.masterKey))
      return this.whole(file, signal, (path) => work(path, true));
    const index = await this.indexOf(file);
    const ranges = index && 'tracks' in index ? this.rangesOf(file, index, spans) : null;
    if (!ranges) return this.whole(file, signal, (path) => work(path, true));
    return this.scratch.sparse(nameOf(file), file.sizeBytes, async (sparse) => {
      await sparse.fill(ranges, (range) => this.files.read(file, range, signal), signal);
      signal.throwIfAborted();
      return work(sparse.path, false);
    });
  }

  /** As `during`, without a hole. */
  whole<T>(file: UploadedFile, signal: AbortSignal, work: (path: string) => Promise<T>): Promise<T> {
    const { masterKey: key, sizeBytes } = file;
    if (key === null) throw new NotArrived(`Of upload ${file.sessionId} all is needed.`);
    return this.scratch.object({ key, sizeBytes }, signal, work);
  }

  /**
   * What has to be there for `during`, by the index.
   * @returns null where no index serves. Where it has not arrived itself: that
   */
  async needed(file: UploadedFile, spans: Spans): Promise<ByteRange[] | null> {
    const index = await this.indexOf(file);
    if (index && 'missing' in index) return [index.missing];
    return index && this.rangesOf(file, index, spans);
  }

  private rangesOf({ sizeBytes }: UploadedFile, index: SampleIndex, spans: Spans): ByteRange[] | null {
    const ranges = union([...openingSpans(index), ...spans(index)], sizeBytes);
    return ranges.length > MOST_RANGES ? null : ranges;
  }

  /** Kept for its next piece. Read again when the file is whole: there may be more behind what had arrived. */
  private async indexOf(file: UploadedFile): ReturnType<typeof readSampleIndex> {
    const name = `${nameOf(file)}.${file.masterKey === null ? 'early' : 'whole'}`;
    const reading = this.indexes.get(name) ?? readSampleIndex(this.sourceOf(file));
    this.indexes.delete(name);
    this.indexes.set(name, reading);
    const [oldest] = this.indexes.keys();
    if (oldest !== undefined && this.indexes.size > INDEXES_KEPT) this.indexes.delete(oldest);
    const forget = () => this.indexes.get(name) === reading && this.indexes.delete(name);
    try {
      const index = await reading;
      if (index && 'missing' in index) forget();
      return index;
    } catch (error) {
      forget();
      throw error;
    }
  }

  private sourceOf(file: UploadedFile): ByteSource {
    return {
      sizeBytes: file.sizeBytes,
      read: async (offset, length) => {
        const range = { start: offset, end: Math.min(offset + length, file.sizeBytes) };
        if (range.start >= range.end || !this.files.has(file, range)) return Buffer.alloc(0);
        const chunks: Buffer[] = [];
        for await (const chunk of this.files.read(file, range)) chunks.push(chunk);
        return Buffer.concat(chunks);
      },
    };
  }
}

/** Bytes that were there are so no more only in another run. */
function nameOf({ videoId, run }: UploadedFile): string {
  return `${videoId}.${run}`;
}
