import { Readable } from 'node:stream';
import { noteBodyBytes } from '../../common/http/index.js';

export interface StoredBytes {
  sizeBytes: number;
  /** Lower-case hexadecimal. */
  sha256: string;
}

export interface PutOptions {
  /** Exactly so many bytes, or nothing is stored. */
  sizeBytes?: number;
  /** Exactly these bytes (lower-case hexadecimal), or nothing is stored. */
  sha256?: string;
  signal?: AbortSignal;
}

/** Half-open, in bytes. An `end` past the object means: to its end. */
export interface ByteRange {
  start: number;
  end: number;
}

/** A range of an object that becomes a part of another. Half-open, in bytes. */
export interface ObjectPart extends ByteRange {
  key: string;
}

/** An HTTP request that a client may send without further credentials. */
export interface PresignedRequest {
  method: 'PUT';
  url: string;
  /** To be sent as they are, beside a Content-Length of exactly the signed size. */
  headers: { name: string; value: string }[];
  expiresAt: Date;
}

/** How long a presigned request may be begun. */
export const PRESIGNED_SECONDS = 15 * 60;

/** How long it may then take: 8 MiB in as long is 25 kbit/s. With the above: nothing lands an hour after signing. */
export const PUT_SECONDS = 45 * 60;

/**
 * Where bytes live. Objects are immutable: a key is written once or not at all, and readers see all of an object or
 * nothing of it. Keys are made by the server alone (object-key.ts); any other key is an INVALID_KEY error.
 * Every failure that has a meaning is a StorageError; read the `code`.
 */
export abstract class ObjectStorage {
  /**
   * Stores the body, atomically and durably: when this resolves, a power cut does not lose it. Consumes the body, and
   * destroys it on failure. Nothing is left of a put that failed or was aborted.
   * @throws OBJECT_EXISTS, SIZE_MISMATCH, DIGEST_MISMATCH, STORAGE_FULL
   */
  abstract put(key: string, body: Readable | Buffer, options?: PutOptions): Promise<StoredBytes>;

  /**
   * Stores one object made of ranges of others, one after the other. Where the store can copy, their bytes do not come
   * here; the digest is that of what was stored in the end, which is read for it.
   * @throws what `put` does, and OBJECT_MISSING for a part
   */
  compose(key: string, parts: readonly ObjectPart[], options: PutOptions = {}): Promise<StoredBytes> {
    return this.put(key, Readable.from(this.bytesOf(parts, options.signal)), options);
  }

  /** What the store knows of an object; a store that never learnt the digest says null for it. */
  abstract head(key: string): Promise<{ sizeBytes: number; sha256: string | null } | null>;

  /**
   * The bytes of a range, or of the whole. An object that is deleted meanwhile is read to its end on disk; elsewhere the
   * stream may fail. The caller reads the stream to its end or destroys it.
   * @throws OBJECT_MISSING, RANGE_NOT_SATISFIABLE (the range is empty, or begins past the end)
   */
  abstract read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable>;

  /** Objects whose key starts with `prefix`, in the order of their keys' bytes. Fewer than `limit`: there are no more. */
  abstract list(prefix: string, page: { after?: string; limit: number }): Promise<{ key: string; sizeBytes: number }[]>;

  /** Deletes what is there of these keys; what is not there is no error. Durable when it resolves. */
  abstract delete(keys: readonly string[]): Promise<void>;

  /**
   * Signs one PUT of exactly these bytes to this key, once, for 15 minutes by the store's clock. The store answers
   * 200 stored; 412 there already (for the client as good as 200); 403 expired, or not what was signed; 400 other bytes,
   * or a signed header left out. Nothing is stored but on 200.
   * @throws INVALID_KEY also for a key that is not under `incoming/`
   */
  abstract presignPut(object: { key: string; sizeBytes: number; sha256: string }): Promise<PresignedRequest>;

  /**
   * The object's bytes as the descriptor of a file opened for reading, which the caller closes; null where the store has no files.
   * @throws OBJECT_MISSING
   */
  async openFile(_key: string): Promise<number | null> {
    return null;
  }

  /** A file that holds exactly the object's bytes, to be read only; null where the store has none. */
  abstract localPath(key: string): string | null;

  private async *bytesOf(parts: readonly ObjectPart[], signal?: AbortSignal): AsyncGenerator<Buffer> {
    for (const { key, start, end } of parts)
      for await (const bytes of await this.read(key, { start, end }, signal)) {
        noteBodyBytes(bytes.length);
        yield bytes;
      }
  }
}
