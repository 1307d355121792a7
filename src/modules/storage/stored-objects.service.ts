import type { Readable } from 'node:stream';
import { Injectable, Logger } from '@nestjs/common';
import { Database, type Sql, type Tx } from '../../common/database/index.js';
import { INCOMING } from './object-key.js';
import {
  type ObjectPart,
  ObjectStorage,
  PRESIGNED_SECONDS,
  PUT_SECONDS,
  type PutOptions,
  type StoredBytes,
} from './object-storage.js';
import { ObjectExists } from './storage.errors.js';

/** Whoever holds this advisory lock (session, exclusive) sees every object stay that was KEPT when he got it. */
export const DELETIONS_LOCK = 2_026_112_106;

/** Nobody keeps an object so long after its row was made or signed for last. */
const PENDING_GRACE_SECONDS = 60 * 60 + PRESIGNED_SECONDS;
/** A signed PUT may land for as long, also after its object was deleted. */
const STRAGGLER_SECONDS = PRESIGNED_SECONDS + PUT_SECONDS;
/** A collector that died in mid-deletion is followed by another then. */
const RETRY_SECONDS = 60;
/** A write that takes long tells that it is alive. */
const RENEW_MS = 10 * 60 * 1000;
/**
 * The record of every object: its row is there before its bytes are, and goes after them.
 *
 * PENDING: may be written, belongs to nothing yet, goes after a grace. KEPT: something in the database names it.
 * DELETING: for good; the collector deletes the object, then the row.
 */
@Injectable()
export class StoredObjects {
  private readonly logger = new Logger(StoredObjects.name);

  constructor(
    private readonly db: Database,
    private readonly storage: ObjectStorage,
  ) {}

  /**
   * To be called before anything is written or signed. Registering a key again, also a KEPT one, begins its graces anew.
   * @returns those of the keys that are PENDING now; a key that is not among them must not be written any more
   */
  async register(sql: Sql, keys: readonly string[]): Promise<string[]> {
    const rows = await sql.query<{ key: string }>(
      `WITH r AS (
         INSERT INTO stored_object AS o (key) SELECT DISTINCT key FROM unnest($1::text[]) AS key ORDER BY key
         ON CONFLICT (key) DO UPDATE SET created_at = now() WHERE o.state <> 'DELETING' RETURNING o.key, o.state)
       SELECT key FROM r WHERE state = 'PENDING'`,
      [keys],
    );
    return rows.map((row) => row.key);
  }

  /** @returns the keys that this call moved from PENDING to KEPT; one that is not among them may not be named by a row */
  async keep(tx: Tx, objects: readonly { key: string; sizeBytes: number }[]): Promise<string[]> {
    const rows = await tx.query<{ key: string }>(
      `WITH n AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS n(key, size)),
            o AS MATERIALIZED (SELECT key FROM stored_object WHERE key IN (SELECT key FROM n) AND state = 'PENDING' ORDER BY key FOR NO KEY UPDATE)
       UPDATE stored_object s SET state = 'KEPT', size_bytes = n.size, changed_at = now()
       FROM o JOIN n USING (key) WHERE s.key = o.key RETURNING s.key`,
      [objects.map((object) => object.key), objects.map((object) => object.sizeBytes)],
    );
    return rows.map((row) => row.key);
  }

  /**
   * Gives objects up for good. Their bytes go soon after the commit; what a client may still put under a signed key is
   * swept again an hour after the last signing, or after `sweepAfterSeconds` where that is later.
   */
  async drop(tx: Tx, keys: readonly string[], options: { sweepAfterSeconds?: number } = {}): Promise<void> {
    if (keys.length === 0) return;
    await tx.query(
      `WITH o AS MATERIALIZED (SELECT key FROM stored_object WHERE key = ANY($1::text[]) ORDER BY key FOR NO KEY UPDATE)
       UPDATE stored_object s
       SET state = 'DELETING', changed_at = now(), sweep_after = greatest(s.sweep_after, now() + make_interval(secs => $2))
       FROM o WHERE s.key = o.key`,
      [keys, options.sweepAfterSeconds ?? null],
    );
  }

  /**
   * `register` and `put`. The row stays PENDING: whoever names the object in the database keeps it in that transaction.
   * @param body opened only when it is read: nobody would look after a stream until the row is there
   * @throws what `put` does; OBJECT_EXISTS also for a key that was kept or given up, before or meanwhile
   */
  async write(key: string, body: (() => Readable) | Buffer, options?: PutOptions): Promise<StoredBytes> {
    if (!(await this.mayWrite(key))) throw new ObjectExists(key);
    return this.stored(key, this.storage.put(key, Buffer.isBuffer(body) ? body : body(), options));
  }

  /** `register` and `compose`, as `write` is for `put`. */
  async compose(key: string, parts: readonly ObjectPart[], options?: PutOptions): Promise<StoredBytes> {
    if (await this.mayWrite(key)) return this.stored(key, this.storage.compose(key, parts, options));
    throw new ObjectExists(key);
  }

  private async mayWrite(key: string): Promise<boolean> {
    return (await this.register(this.db, [key])).length === 1;
  }

  private async stored(key: string, writing: Promise<StoredBytes>): Promise<StoredBytes> {
    const timer = setInterval(() => {
      this.renew(key, null).catch((error: Error) => this.logger.warn(`${key} could not be renewed: ${error.message}`));
    }, RENEW_MS);
    try {
      const stored = await writing;
      if (await this.renew(key, stored.sha256)) return stored;
    } finally {
      clearInterval(timer);
    }
    // This process slept through the grace; the collector may have been here before the bytes were.
    await this.storage.delete([key]);
    throw new ObjectExists(key);
  }

  private async renew(key: string, sha256: string | null): Promise<boolean> {
    const rows = await this.db.query(
      `UPDATE stored_object SET created_at = now(), sha256 = coalesce($2, sha256)
       WHERE key = $1 AND state = 'PENDING' RETURNING key`,
      [key, sha256 === null ? null : Buffer.from(sha256, 'hex')],
    );
    return rows.length === 1;
  }

  /**
   * Gives up objects that have no row, as a put leaves one whose process slept through the grace and then died. A key
   * that has a row by now is left alone, and a key that is given up is never written again: a put under way ends well.
   * @returns how many
   */
  async dropUnknown(keys: readonly string[]): Promise<number> {
    const rows = await this.db.query(
      `INSERT INTO stored_object (key, state) SELECT DISTINCT unnest($1::text[]), 'DELETING' ON CONFLICT DO NOTHING RETURNING key`,
      [keys],
    );
    return rows.length;
  }

  /** One statement: at most `limit` rows that nobody kept in time are given up. @returns how many */
  async expire(limit: number): Promise<number> {
    const rows = await this.db.query(
      `UPDATE stored_object SET state = 'DELETING', changed_at = now() WHERE key IN (
         SELECT key FROM stored_object WHERE state = 'PENDING' AND created_at < now() - make_interval(secs => $1)
         ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING key`,
      [PENDING_GRACE_SECONDS, limit],
    );
    return rows.length;
  }

  /**
   * Deletes at most `limit` given-up objects and then their rows; rows of keys where something may still land stay until
   * then. Safe to run in any number of processes, and to be cut anywhere.
   *
   * Nothing is claimed while a backup holds DELETIONS_LOCK. That suffices: pg_locks is read after this statement's
   * snapshot was taken. If it does not show the lock yet, then the backup's own snapshot, taken under the lock, is later
   * than this one; what is claimed was DELETING here already, and DELETING is for good, so the backup does not want it.
   * @returns how many were deleted
   */
  async deleteSome(limit: number): Promise<number> {
    const claimed = await this.db.query<{ key: string; settled: boolean }>(
      `UPDATE stored_object o SET due_at = now() + make_interval(secs => $2)
       FROM (SELECT key, coalesce(straggler_until <= now(), true) AS settled
             FROM stored_object, LATERAL (SELECT greatest(sweep_after, CASE WHEN starts_with(key, $3) THEN created_at + make_interval(secs => $4) END) AS straggler_until) s
             WHERE state = 'DELETING' AND due_at <= now()
               AND NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = $5 AND objsubid = 1 AND granted
                               AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
             ORDER BY due_at LIMIT $1 FOR UPDATE OF stored_object SKIP LOCKED) due
       WHERE o.key = due.key RETURNING o.key, due.settled`,
      [limit, RETRY_SECONDS, INCOMING, STRAGGLER_SECONDS, DELETIONS_LOCK],
    );
    if (claimed.length === 0) return 0;
    await this.storage.delete(claimed.map((row) => row.key));
    const keysOf = (settled: boolean) => claimed.filter((row) => row.settled === settled).map((row) => row.key);
    await this.db.query(`DELETE FROM stored_object WHERE key = ANY($1::text[]) AND state = 'DELETING'`, [keysOf(true)]);
    await this.db.query(
      `UPDATE stored_object SET due_at = greatest(sweep_after, CASE WHEN starts_with(key, $2) THEN created_at + make_interval(secs => $3) END)
       WHERE key = ANY($1::text[])`,
      [keysOf(false), INCOMING, STRAGGLER_SECONDS],
    );
    return claimed.length;
  }
}
