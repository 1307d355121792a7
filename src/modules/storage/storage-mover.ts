import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { MovingStorage } from './moving-storage.js';
import { isObjectKey } from './object-key.js';
import { ObjectStorage } from './object-storage.js';
import { StorageError } from './storage.errors.js';

const PAGE = 1000;
const MOVES_AT_ONCE = 4;

/** Why an object stays where it is. */
export type Left = 'UNKNOWN' | 'DIFFERENT';

/**
 * Empties the store that objects move from (MovingStorage). Uploads, processing and viewers go on; it may be killed and
 * begun again, and run more than once at the same time.
 */
@Injectable()
export class StorageMover {
  constructor(
    private readonly db: Database,
    private readonly storage: ObjectStorage,
  ) {}

  /** false: nothing is configured to move. */
  get isMoving(): boolean {
    return this.storage instanceof MovingStorage;
  }

  /**
   * One pass over all that is there when it comes to it. Yields what stays, and why: UNKNOWN objects have no row, and
   * DIFFERENT ones are not what is recorded, or not what the other store has under their key.
   * @param onMoved told the size of each object that was moved
   */
  async *move(onMoved: (sizeBytes: number) => void, signal?: AbortSignal): AsyncGenerator<{ key: string; why: Left }> {
    if (!(this.storage instanceof MovingStorage)) throw new Error('Nothing is configured to move.');
    const { storage } = this;
    for (let after: string | undefined; ; ) {
      const objects = await storage.from.list('', { after, limit: PAGE });
      const rest = objects.values();
      const left: { key: string; why: Left }[] = [];
      const moveNext = async () => {
        for (const { key, sizeBytes } of rest) {
          signal?.throwIfAborted();
          const why = isObjectKey(key)
            ? await this.moveOne(key, storage, signal).catch((error) => this.ifNotTaken(key, error))
            : 'UNKNOWN';
          if (why) {
            left.push({ key, why });
            continue;
          }
          onMoved(sizeBytes);
        }
      };
      const moves = await Promise.allSettled(Array.from({ length: MOVES_AT_ONCE }, moveNext));
      yield* left;
      const failed = moves.find((one) => one.status === 'rejected');
      if (failed) throw failed.reason;
      after = objects.at(-1)?.key;
      if (objects.length < PAGE || after === undefined) return;
    }
  }

  /** The copy is whole, and found by everybody, before the original goes. */
  private async moveOne(key: string, { from, to }: MovingStorage, signal?: AbortSignal): Promise<Left | null> {
    const [row] = await this.db.query<Row>('SELECT state, size_bytes, sha256 FROM stored_object WHERE key = $1', [key]);
    const original = await from.head(key);
    // The collector took it since it was listed.
    if (!original) return null;
    if (!row) return 'UNKNOWN';
    if (row.state !== 'DELETING') {
      const { sizeBytes } = original;
      if (row.size_bytes !== null && row.size_bytes !== sizeBytes) return 'DIFFERENT';
      const sha256 = row.sha256?.toString('hex') ?? original.sha256 ?? (await digestOf(from, key, signal));
      if (!(await this.copy(key, { from, to }, { sizeBytes, sha256, signal }))) return 'DIFFERENT';
      const live = await this.db.query(
        `UPDATE stored_object SET sha256 = $2 WHERE key = $1 AND state IN ('PENDING', 'KEPT') RETURNING key`,
        [key, Buffer.from(sha256, 'hex')],
      );
      // The collector may have been here before the copy was: then nothing of it may stay.
      if (live.length === 0) await to.delete([key]);
    }
    await from.delete([key]);
    return null;
  }

  /** The collector, or another pass, may take an object in mid-copy: its bytes go, or the copy's upload is ended. */
  private async ifNotTaken(key: string, error: unknown): Promise<null> {
    if (error instanceof StorageError && error.code === 'OBJECT_MISSING') return null;
    const [row] = await this.db.query<Row>('SELECT state, size_bytes, sha256 FROM stored_object WHERE key = $1', [key]);
    if (row && row.state !== 'DELETING') throw error;
    return null;
  }

  /** @returns false when the bytes are not these */
  private async copy(
    key: string,
    { from, to }: Pick<MovingStorage, 'from' | 'to'>,
    expected: { sizeBytes: number; sha256: string; signal?: AbortSignal },
  ): Promise<boolean> {
    try {
      await to.put(key, await from.read(key, undefined, expected.signal), expected);
    } catch (error) {
      const code = error instanceof StorageError ? error.code : null;
      if (code === 'DIGEST_MISMATCH' || code === 'SIZE_MISMATCH') return false;
      // A pass that was killed had come so far, or a client sent the same bytes to both.
      if (code !== 'OBJECT_EXISTS') throw error;
    }
    const copy = await to.head(key);
    return (
      copy?.sizeBytes === expected.sizeBytes &&
      (copy.sha256 ?? (await digestOf(to, key, expected.signal))) === expected.sha256
    );
  }
}

interface Row {
  state: 'PENDING' | 'KEPT' | 'DELETING';
  size_bytes: number | null;
  sha256: Buffer | null;
}

async function digestOf(store: ObjectStorage, key: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of await store.read(key, undefined, signal)) hash.update(bytes);
  return hash.digest('hex');
}
