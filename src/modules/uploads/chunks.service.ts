import { Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { Database, type Tx } from '../../common/database/index.js';
import { traceUpload } from '../../common/tracing/index.js';
import { ObjectStorage, type PresignedRequest, StoredObjects } from '../storage/index.js';
import { formatRange, isCovered, parseMultirange } from './byte-ranges.js';
import { MAX_CHUNK_BYTES, MAX_CHUNKS, maxSignedBytes } from './chunk-size.js';
import * as ledger from './upload-ledger.js';
import { type ChunkCode, ChunkRefused, SessionEnded } from './uploads.errors.js';
import { countCommitted } from './uploads.metrics.js';
import { type UploadSessionRow, UploadsService } from './uploads.service.js';

export interface Chunk {
  offset: number;
  sizeBytes: number;
  sha256: string;
}
export type Target = Pick<Chunk, 'offset' | 'sizeBytes'> & PresignedRequest;
export interface Batch {
  stored: readonly Chunk[];
  failed: readonly { offset: number; sizeBytes: number; reason: string }[];
  next: readonly Chunk[];
}
export type Outcome = 'COMMITTED' | 'ALREADY_COVERED' | ChunkCode;

/** How many HEAD requests to the store one commit has under way at once. */
const LOOKS_AT_ONCE = 16;

const rangeOf = (chunk: { offset: number; sizeBytes: number }) => ({
  start: chunk.offset,
  end: chunk.offset + chunk.sizeBytes,
});

/** The direct lane: chunks are signed, put into the store by the client, and committed in batches. */
@Injectable()
export class ChunksService {
  constructor(
    private readonly db: Database,
    private readonly storage: ObjectStorage,
    private readonly objects: StoredObjects,
    private readonly uploads: UploadsService,
  ) {}

  /**
   * One round trip of an upload: counts what is stored, notes what failed, signs what is next.
   *
   * @returns the session as it is then, an outcome per stored chunk and a target per next one, in order
   * @throws NotFound, SessionEnded, ChunkRefused for a chunk that cannot be signed (nothing is changed then)
   */
  async commit(
    actor: Actor,
    sessionId: string,
    batch: Batch,
  ): Promise<{ session: UploadSessionRow; outcomes: Outcome[]; targets: Target[] }> {
    const session = await this.uploads.get(sessionId, actor);
    const attributes = {
      'sluice.session.id': sessionId,
      'sluice.chunks.stored': batch.stored.length,
      'sluice.chunks.failed': batch.failed.length,
      'sluice.chunks.next': batch.next.length,
    };
    return traceUpload(session.videoId, 'commitChunks', attributes, () => this.commitTo(session, batch));
  }

  private async commitTo(
    session: UploadSessionRow,
    batch: Batch,
  ): Promise<{ session: UploadSessionRow; outcomes: Outcome[]; targets: Target[] }> {
    const { id: sessionId, state } = session;
    if (state !== 'OPEN' && state !== 'COMPLETING') throw new SessionEnded(state);
    checkSignable(session, batch.next);

    const looked = await this.look(session, batch.stored);
    const outcomes = await this.db.tx(async (tx) => {
      const counted = await this.count(tx, session, looked);
      if (batch.failed.length > 0) await this.noteFailures(tx, sessionId, batch.failed);
      return counted;
    });
    const targets = state === 'OPEN' ? await this.sign(session, batch.next) : [];
    return { session: (await this.uploads.byId(sessionId)) ?? session, outcomes, targets };
  }

  /**
   * Signs a PUT for each chunk; a chunk signed before gets the same object again, unless that is being deleted.
   *
   * @throws ChunkRefused, SessionEnded
   */
  async sign(session: UploadSessionRow, chunks: readonly Chunk[]): Promise<Target[]> {
    if (chunks.length === 0) return [];
    checkSignable(session, chunks);
    const keys = await this.db.tx((tx) => this.reserve(tx, session.id, chunks));
    return Promise.all(
      chunks.map(async (chunk, index) => {
        const { sizeBytes, sha256, offset } = chunk;
        const key = keys[index];
        if (!key) throw new Error('A chunk got no key.');
        return { offset, sizeBytes, ...(await this.storage.presignPut({ key, sizeBytes, sha256 })) };
      }),
    );
  }

  /** Gives up at most `limit` of what an ended session holds. @returns false when there was nothing left */
  async free(sessionId: string, limit: number): Promise<boolean> {
    return this.db.tx(async (tx) => {
      const rows = await tx.query<{ key: string }>(
        `WITH s AS (SELECT id FROM upload_session WHERE id = $1 AND state IN ('COMPLETED', 'CANCELLED', 'EXPIRED') FOR NO KEY UPDATE),
              c AS (DELETE FROM upload_chunk WHERE object_key IN
                      (SELECT object_key FROM upload_chunk, s WHERE session_id = s.id LIMIT $2) RETURNING object_key),
              t AS (DELETE FROM upload_target WHERE object_key IN
                      (SELECT object_key FROM upload_target old, s WHERE session_id = s.id
                         -- An object is given up with the last row that names it, or it could not be deleted.
                         AND NOT EXISTS (SELECT FROM upload_chunk held WHERE held.object_key = old.object_key) LIMIT $2) RETURNING object_key),
              -- Of a process that died while it appended.
              w AS (DELETE FROM upload_writer USING s WHERE session_id = s.id)
         SELECT object_key AS key FROM c UNION SELECT object_key FROM t`,
        [sessionId, limit],
      );
      await this.objects.drop(
        tx,
        rows.map((row) => row.key),
      );
      return rows.length > 0;
    });
  }

  /** What the store says of each chunk; no transaction is open meanwhile. */
  private async look(
    session: UploadSessionRow,
    chunks: readonly Chunk[],
  ): Promise<(ledger.StoredChunk | 'ALREADY_COVERED' | ChunkCode)[]> {
    const covered = parseMultirange(session.covered);
    const keys = await this.keysOf(session.id, chunks);
    const answers: (ledger.StoredChunk | 'ALREADY_COVERED' | ChunkCode)[] = new Array(chunks.length);
    const rest = chunks.entries();
    const looker = async () => {
      for (const [index, chunk] of rest) {
        const range = rangeOf(chunk);
        const key = keys[index];
        if (range.start >= range.end || range.end > session.sizeBytes) answers[index] = 'CHUNK_OUT_OF_BOUNDS';
        else if (isCovered(range, covered)) answers[index] = 'ALREADY_COVERED';
        else if (!key) answers[index] = 'CHUNK_NOT_STORED';
        else {
          const object = await this.storage.head(key);
          if (!object) answers[index] = 'CHUNK_NOT_STORED';
          else if (object.sizeBytes !== chunk.sizeBytes) answers[index] = 'CHUNK_SIZE_MISMATCH';
          else if (object.sha256 !== chunk.sha256) answers[index] = 'CHUNK_DIGEST_MISMATCH';
          else answers[index] = { range, key, sha256: chunk.sha256 };
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(LOOKS_AT_ONCE, chunks.length) }, looker));
    return answers;
  }

  private async count(
    tx: Tx,
    session: UploadSessionRow,
    looked: readonly (ledger.StoredChunk | 'ALREADY_COVERED' | ChunkCode)[],
  ): Promise<Outcome[]> {
    const stored = looked.filter((one) => typeof one === 'object');
    const result = await ledger.commit(tx, session.id, stored);
    if (!result) {
      // Whole, or ended: only the first has an answer other than the end.
      const now = await this.uploads.byId(session.id, tx);
      if (now?.state !== 'COMPLETING') return this.uploads.ended(tx, session.id);
      return looked.map((one) => (typeof one === 'object' ? 'ALREADY_COVERED' : one));
    }
    this.uploads.tickAfter(tx, session.id);
    countCommitted(tx, 'direct', result);
    if (result.reached) await this.uploads.lookAhead(tx, session.id);
    const contributing = new Set(result.contributing);
    return looked.map((one) => {
      if (typeof one === 'string') return one;
      // One key may stand twice in a batch: only the first counted.
      if (contributing.delete(one.key)) return 'COMMITTED';
      return isCovered(one.range, result.covered) ? 'ALREADY_COVERED' : 'CHUNK_NOT_STORED';
    });
  }

  private async noteFailures(
    tx: Tx,
    sessionId: string,
    failed: readonly { offset: number; sizeBytes: number; reason: string }[],
  ): Promise<void> {
    await tx.query(
      `UPDATE upload_target t SET state = 'FAILED', failures = failures + 1, failure_reason = f.reason
       FROM unnest($2::int8range[], $3::text[]) AS f(span, reason) WHERE t.session_id = $1 AND t.span = f.span`,
      [sessionId, failed.map((one) => formatRange(rangeOf(one))), failed.map((one) => one.reason.replaceAll('\0', ''))],
    );
  }

  /** The chunks' objects, recorded before anybody can write them. In the order of the chunks. */
  private async reserve(tx: Tx, sessionId: string, chunks: readonly Chunk[]): Promise<string[]> {
    const [open] = await tx.query<{ sizeBytes: number; targets: number; bytes: number }>(
      `SELECT s.size_bytes AS "sizeBytes", t.targets, t.bytes
       FROM upload_session s, LATERAL (SELECT count(*)::int AS targets, coalesce(sum(upper(span) - lower(span)), 0)::float8 AS bytes
                                       FROM upload_target WHERE session_id = s.id) t
       WHERE s.id = $1 AND s.state = 'OPEN' FOR NO KEY UPDATE OF s`,
      [sessionId],
    );
    if (!open) return this.uploads.ended(tx, sessionId);
    if (open.targets + chunks.length > MAX_CHUNKS) {
      throw new ChunkRefused('TOO_MANY_CHUNKS', `A session may have ${MAX_CHUNKS} chunks: make them larger.`, ['next']);
    }
    const keys = await this.keysOf(sessionId, chunks, tx);
    // Signing again begins the object's grace anew; a kept object whose bytes all count is simply there already.
    const again = await tx.query<{ key: string }>(
      `UPDATE stored_object o SET created_at = now() FROM upload_target t JOIN upload_session s ON s.id = t.session_id
       WHERE o.key = ANY($2::text[]) AND t.object_key = o.key AND s.id = $1
         AND (o.state = 'PENDING' OR (o.state = 'KEPT' AND t.span <@ s.covered)) RETURNING o.key`,
      [sessionId, keys],
    );
    const usable = new Set(again.map((row) => row.key));

    const fresh = new Map<string, Chunk>();
    const result = chunks.map((chunk, index) => {
      const key = keys[index];
      if (key && usable.has(key)) return key;
      // What is deleted, or was, is never written again (a collector that slept may still delete it), and what was kept
      // counts no second time: the next generation takes its place.
      const generation = key ? Number(key.slice(key.lastIndexOf('.') + 1)) + 1 : 1;
      const made = `incoming/${sessionId}/${chunk.offset}-${chunk.sizeBytes}-${chunk.sha256}.${generation}`;
      fresh.set(made, chunk);
      return made;
    });
    const made = [...fresh];
    const bytes = made.reduce((sum, [, chunk]) => sum + chunk.sizeBytes, open.bytes);
    if (made.length > 0 && bytes > maxSignedBytes(open.sizeBytes)) {
      throw new ChunkRefused('TOO_MANY_CHUNKS', 'These ranges were signed too often with other bytes.', ['next']);
    }
    await this.objects.register(tx, [...fresh.keys()]);
    await tx.query(
      `INSERT INTO upload_target (session_id, span, sha256, object_key)
       SELECT $1, * FROM unnest($2::int8range[], $3::bytea[], $4::text[])
       ON CONFLICT (session_id, span, sha256) DO UPDATE SET object_key = excluded.object_key`,
      [
        sessionId,
        made.map(([, chunk]) => formatRange(rangeOf(chunk))),
        made.map(([, chunk]) => Buffer.from(chunk.sha256, 'hex')),
        made.map(([key]) => key),
      ],
    );
    await tx.query(
      `UPDATE upload_target SET state = 'SIGNED', signed_at = now() WHERE session_id = $1 AND object_key = ANY($2::text[])`,
      [sessionId, result],
    );
    return result;
  }

  /** In the order of the chunks; undefined for one that was never signed. */
  private async keysOf(
    sessionId: string,
    chunks: readonly Chunk[],
    sql: Tx | Database = this.db,
  ): Promise<(string | undefined)[]> {
    if (chunks.length === 0) return [];
    const rows = await sql.query<{ k: number; key: string }>(
      `SELECT n.k, t.object_key AS key
       FROM unnest($2::int8range[], $3::bytea[]) WITH ORDINALITY AS n(span, sha, k)
       JOIN upload_target t ON t.session_id = $1 AND t.span = n.span AND t.sha256 = n.sha`,
      [
        sessionId,
        // An empty range has no bounds, and nothing was signed for it.
        chunks.map((chunk) => (chunk.sizeBytes > 0 ? formatRange(rangeOf(chunk)) : 'empty')),
        chunks.map((chunk) => Buffer.from(chunk.sha256, 'hex')),
      ],
    );
    const keys: (string | undefined)[] = new Array(chunks.length).fill(undefined);
    for (const row of rows) keys[row.k - 1] = row.key;
    return keys;
  }
}

/** @throws ChunkRefused */
export function checkSignable(session: { sizeBytes: number }, chunks: readonly Chunk[]): void {
  for (const [index, chunk] of chunks.entries()) {
    const field = ['next', String(index)];
    if (chunk.sizeBytes === 0) throw new ChunkRefused('CHUNK_EMPTY', 'A chunk must have at least one byte.', field);
    if (chunk.sizeBytes > MAX_CHUNK_BYTES) {
      throw new ChunkRefused('CHUNK_TOO_LARGE', `A chunk may have at most ${MAX_CHUNK_BYTES} bytes.`, field);
    }
    if (chunk.offset + chunk.sizeBytes > session.sizeBytes) {
      throw new ChunkRefused('CHUNK_OUT_OF_BOUNDS', 'This chunk does not lie within the file.', field);
    }
  }
}
