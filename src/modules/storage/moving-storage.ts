import { Readable } from 'node:stream';
import type { OnApplicationShutdown } from '@nestjs/common';
import {
  type ByteRange,
  ObjectStorage,
  type PresignedRequest,
  type PutOptions,
  type StoredBytes,
} from './object-storage.js';
import { ObjectExists, StorageError } from './storage.errors.js';

/**
 * Two stores as one, while objects move from one to the other (StorageMover): written to `to`, found in either. An object
 * that is moved is for a moment in both and never in none, so what is not in `to`, and then not in `from`, may have been
 * moved between the two looks, and is looked for in `to` again.
 */
export class MovingStorage extends ObjectStorage implements OnApplicationShutdown {
  constructor(
    readonly to: ObjectStorage,
    readonly from: ObjectStorage,
  ) {
    super();
  }

  onApplicationShutdown(): void {
    for (const store of [this.to, this.from] as Partial<OnApplicationShutdown>[]) store.onApplicationShutdown?.();
  }

  override async put(key: string, body: Readable | Buffer, options?: PutOptions): Promise<StoredBytes> {
    try {
      if (await this.from.head(key)) throw new ObjectExists(key);
    } catch (error) {
      if (body instanceof Readable) body.destroy();
      throw error;
    }
    return this.to.put(key, body, options);
  }

  override async head(key: string): Promise<{ sizeBytes: number; sha256: string | null } | null> {
    return (await this.to.head(key)) ?? (await this.from.head(key)) ?? this.to.head(key);
  }

  override async read(key: string, range?: ByteRange, signal?: AbortSignal): Promise<Readable> {
    for (const store of [this.to, this.from]) {
      try {
        return await store.read(key, range, signal);
      } catch (error) {
        if (!(error instanceof StorageError && error.code === 'OBJECT_MISSING')) throw error;
      }
    }
    return this.to.read(key, range, signal);
  }

  /** `from` is asked first: what moves between the two is seen by the second. */
  override async list(
    prefix: string,
    page: { after?: string; limit: number },
  ): Promise<{ key: string; sizeBytes: number }[]> {
    const objects = [...(await this.from.list(prefix, page)), ...(await this.to.list(prefix, page))];
    const byKey = new Map(objects.map((object) => [object.key, object]));
    // Keys are ASCII: the order of their characters is that of their bytes.
    return [...byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1)).slice(0, page.limit);
  }

  override async delete(keys: readonly string[]): Promise<void> {
    await this.to.delete(keys);
    await this.from.delete(keys);
  }

  override presignPut(object: { key: string; sizeBytes: number; sha256: string }): Promise<PresignedRequest> {
    return this.to.presignPut(object);
  }

  /** A file of `from` may go at any moment; what is read through a stream is read to its end. */
  override localPath(key: string): string | null {
    return this.to.localPath(key);
  }
}
