import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { isObjectKey } from './object-key.js';
import { ObjectStorage } from './object-storage.js';
import { StorageError, StorageUnavailable } from './storage.errors.js';

const PAGE = 1000;
const READS_AT_ONCE = 4;

export type Difference =
  /** A KEPT row, and no object. */
  | { kind: 'MISSING'; key: string; sizeBytes: number | null }
  /** An object, and no row. */
  | { kind: 'UNKNOWN'; key: string; sizeBytes: number }
  /** A KEPT row that tells another size than the object has. */
  | { kind: 'SIZE'; key: string; sizeBytes: number; recordedBytes: number | null }
  /** A KEPT row that tells another SHA-256 than the bytes have; where it tells none, the store does. */
  | { kind: 'DIGEST'; key: string; sha256: string; recordedSha256: string }
  /** The store has it, and cannot give it. */
  | { kind: 'UNREADABLE'; key: string; reason: string };

export interface CheckOptions {
  /** Reads every byte. */
  digests?: boolean;
  signal?: AbortSignal;
  /** Told now and then how far the check is. */
  onProgress?: (done: { objects: number; bytes: number }) => void;
}

interface Row {
  key: string;
  state: 'PENDING' | 'KEPT' | 'DELETING';
  size_bytes: number | null;
  sha256: Buffer | null;
}
interface Listed {
  key: string;
  sizeBytes: number;
}

/** Compares the store with the rows that say what it holds. Changes nothing, and may run while everything works. */
@Injectable()
export class StorageCheck {
  constructor(
    private readonly db: Database,
    private readonly storage: ObjectStorage,
  ) {}

  /**
   * Every difference, page by page in the order of the keys; none on a healthy system, also while it works. Memory is
   * bounded, whatever the store's size.
   */
  async *differences({ digests, signal, onProgress }: CheckOptions = {}): AsyncGenerator<Difference> {
    const done = { objects: 0, bytes: 0 };
    for (let after: string | undefined; ; ) {
      signal?.throwIfAborted();
      const objects = await this.storage.list('', { after, limit: PAGE });
      const last = objects.length < PAGE ? undefined : objects.at(-1)?.key;
      yield* this.compare(objects);
      yield* this.missing(after ?? '', last, new Set(objects.map((object) => object.key)));
      if (digests) {
        yield* await this.digests(objects, signal, (bytes) => {
          done.bytes += bytes;
          onProgress?.(done);
        });
      }
      done.objects += objects.length;
      onProgress?.(done);
      if (last === undefined) return;
      after = last;
    }
  }

  private async *compare(objects: readonly Listed[]): AsyncGenerator<Difference> {
    const rows = await this.rows(objects.map((object) => object.key));
    for (const listed of objects.filter((object) => differs(object, rows.get(object.key)))) {
      const { key } = listed;
      if (!isObjectKey(key)) {
        yield { kind: 'UNKNOWN', ...listed };
        continue;
      }
      // Something may have happened between the two looks: what is still so at a second look, is so.
      const [object, row] = [await this.storage.head(key), (await this.rows([key])).get(key)];
      const now = object && { key, sizeBytes: object.sizeBytes };
      if (!now || !differs(now, row)) continue;
      if (row) yield { kind: 'SIZE', ...now, recordedBytes: row.size_bytes };
      else if (await this.storage.head(key)) yield { kind: 'UNKNOWN', ...now };
    }
  }

  /** KEPT rows after one key, up to another, that are not among the objects listed between the two. */
  private async *missing(after: string, last: string | undefined, listed: Set<string>): AsyncGenerator<Difference> {
    for (let from = after; ; ) {
      const rows = await this.db.query<Row>(
        `SELECT key, size_bytes FROM stored_object WHERE state = 'KEPT' AND key COLLATE "C" > $1 AND ($2::text IS NULL OR key COLLATE "C" <= $2)
         ORDER BY key COLLATE "C" LIMIT $3`,
        [from, last ?? null, PAGE],
      );
      for (const { key, size_bytes } of rows.filter((row) => !listed.has(row.key))) {
        if (await this.storage.head(key)) continue;
        if (await this.isKept(key)) yield { kind: 'MISSING', key, sizeBytes: size_bytes };
      }
      const next = rows.at(-1);
      if (!next || rows.length < PAGE) return;
      from = next.key;
    }
  }

  private async digests(
    objects: readonly Listed[],
    signal: AbortSignal | undefined,
    onBytes: (bytes: number) => void,
  ): Promise<Difference[]> {
    const rows = await this.rows(objects.map((object) => object.key));
    const rest = [...rows.values()].filter((row) => row.state === 'KEPT').values();
    const found: Difference[] = [];
    const readNext = async () => {
      for (const row of rest) {
        const difference = await this.compareBytes(row, signal, onBytes);
        if (difference && (await this.isKept(row.key))) found.push(difference);
      }
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, readNext));
    return found;
  }

  private async compareBytes(
    { key, sha256 }: Row,
    signal: AbortSignal | undefined,
    onBytes: (bytes: number) => void,
  ): Promise<Difference | null> {
    try {
      const recordedSha256 = sha256?.toString('hex') ?? (await this.storage.head(key))?.sha256;
      const hash = createHash('sha256');
      for await (const bytes of await this.storage.read(key, undefined, signal)) {
        hash.update(bytes);
        onBytes(bytes.length);
      }
      const read = hash.digest('hex');
      return recordedSha256 && recordedSha256 !== read ? { kind: 'DIGEST', key, sha256: read, recordedSha256 } : null;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof StorageUnavailable) throw error;
      // Said by the other comparison, if it is so.
      if (error instanceof StorageError && error.code === 'OBJECT_MISSING') return null;
      return { kind: 'UNREADABLE', key, reason: (error as Error).message };
    }
  }

  private async isKept(key: string): Promise<boolean> {
    return (await this.rows([key])).get(key)?.state === 'KEPT';
  }

  private async rows(keys: string[]): Promise<Map<string, Row>> {
    const rows = await this.db.query<Row>(
      'SELECT key, state, size_bytes, sha256 FROM stored_object WHERE key = ANY($1::text[])',
      [keys],
    );
    return new Map(rows.map((row) => [row.key, row]));
  }
}

function differs(object: Listed, row: Row | undefined): boolean {
  return !row || (row.state === 'KEPT' && row.size_bytes !== null && row.size_bytes !== object.sizeBytes);
}
