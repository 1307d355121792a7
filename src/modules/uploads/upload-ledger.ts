/*
 * The statements that decide what counts of an upload; docs/uploads-ledger.md says why they are as they are.
 * Each is one statement on one session's row, locked FOR NO KEY UPDATE: a weaker lock would let chunks in after the end.
 */
import type { Sql } from '../../common/database/index.js';
import { type ByteRange, formatRange, formatRanges, parseMultirange } from './byte-ranges.js';

/** A chunk whose object the store has, with the size and digest that were signed. */
export interface StoredChunk {
  range: ByteRange;
  key: string;
  sha256: string;
}

export interface Counted {
  covered: ByteRange[];
  contributing: string[];
  addedBytes: number;
  /** With this batch all is there that processing waits for. */
  reached: boolean;
}

/**
 * Counts stored chunks, or only renews the session when there are none.
 *
 * @param verified whether the client told the digests, or a checksum of the whole; false: they are the server's own
 * @returns what is covered now, the keys of this batch that contribute to it and how much, or null when the session is
 * not OPEN
 */
export async function commit(
  sql: Sql,
  sessionId: string,
  chunks: readonly StoredChunk[],
  verified = true,
): Promise<Counted | null> {
  // A chunk contributes what neither the session nor an earlier chunk of this batch covers. Only objects that are
  // still PENDING count: one that was counted before adds nothing, one that is being deleted is gone.
  const [row] = await sql.query<Omit<Counted, 'covered'> & { covered: string }>(
    `WITH s AS MATERIALIZED (SELECT id, covered FROM upload_session WHERE id = $1 AND state = 'OPEN' FOR NO KEY UPDATE),
          n AS (SELECT * FROM unnest($2::int8range[], $3::text[], $4::bytea[]) WITH ORDINALITY AS n(span, key, sha, k)),
          o AS (UPDATE stored_object o SET state = 'KEPT', size_bytes = upper(n.span) - lower(n.span), sha256 = n.sha,
                  changed_at = now()
                FROM s, n
                WHERE o.key = n.key AND o.state = 'PENDING' AND NOT int8multirange(n.span) <@ s.covered RETURNING n.*),
          i AS (INSERT INTO upload_chunk (session_id, object_key, span, sha256, verified, covers)
                SELECT s.id, o.key, o.span, o.sha, $5, int8multirange(o.span) - s.covered
                       - coalesce(range_agg(o.span) OVER (ORDER BY o.k ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '{}')
                FROM s, o RETURNING object_key, span, covers)
     UPDATE upload_session u SET covered = s.covered + (SELECT coalesce(range_agg(span), '{}') FROM i),
                                 expires_at = now() + interval '7 days'
     FROM s WHERE u.id = s.id
     RETURNING u.covered, (SELECT coalesce(array_agg(object_key), '{}') FROM i WHERE NOT isempty(covers)) AS contributing,
               (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM i, unnest(covers) r)::float8 AS "addedBytes",
               coalesce(u.wanted <@ u.covered AND NOT u.wanted <@ s.covered, false) AS reached`,
    [
      sessionId,
      chunks.map((chunk) => formatRange(chunk.range)),
      chunks.map((chunk) => chunk.key),
      chunks.map((chunk) => Buffer.from(chunk.sha256, 'hex')),
      verified,
    ],
  );
  return row ? { ...row, covered: parseMultirange(row.covered) } : null;
}

/**
 * Takes back whole chunks that contribute to any of these ranges; they must be sent again.
 *
 * @returns whose bytes they are and whether any went; null when the session is not OPEN
 */
export async function discard(
  sql: Sql,
  sessionId: string,
  ranges: readonly ByteRange[],
): Promise<{ videoId: string; any: boolean } | null> {
  const [row] = await sql.query<{ videoId: string; any: boolean }>(
    `WITH s AS MATERIALIZED (SELECT id, covered FROM upload_session WHERE id = $1 AND state = 'OPEN' FOR NO KEY UPDATE),
          d AS (DELETE FROM upload_chunk c USING s
                WHERE c.session_id = s.id AND c.covers && $2::int8multirange RETURNING c.object_key, c.covers),
          o AS (UPDATE stored_object x SET state = 'DELETING', changed_at = now() FROM d WHERE x.key = d.object_key)
     UPDATE upload_session u
     SET covered = s.covered - coalesce((SELECT range_agg(r) FROM d, unnest(d.covers) r), '{}'), epoch = u.epoch + 1
     FROM s WHERE u.id = s.id RETURNING u.video_id AS "videoId", u.covered <> s.covered AS any`,
    [sessionId, formatRanges(ranges)],
  );
  return row ?? null;
}

/** Whoever still reads a chunk that was merged has stopped by then. */
const MERGED_GO_AFTER_SECONDS = 60;

/**
 * Puts one object in the place of chunks that contribute all of their bytes, and together exactly its range. What is covered
 * stays the same. Also the digest is `verified` only if all of theirs were.
 *
 * @param tx a transaction: its lock on the session is what makes the second statement see all that came before
 * @returns false, with nothing changed, when one of the chunks is gone, or the session is not OPEN
 */
export async function merge(tx: Sql, sessionId: string, into: StoredChunk, keys: readonly string[]): Promise<boolean> {
  const open = await tx.query(`SELECT id FROM upload_session WHERE id = $1 AND state = 'OPEN' FOR NO KEY UPDATE`, [
    sessionId,
  ]);
  if (open.length === 0) return false;
  const rows = await tx.query(
    `WITH whole AS (SELECT bool_and(verified) AS verified, max(committed_at) AS committed_at FROM upload_chunk
                    WHERE session_id = $1 AND object_key = ANY($2::text[]) AND covers = int8multirange(span)
                    HAVING count(*) = cardinality($2::text[]) AND range_agg(span) = int8multirange($3::int8range)),
          o AS (UPDATE stored_object o SET state = 'KEPT', size_bytes = upper($3::int8range) - lower($3::int8range),
                  sha256 = $5, changed_at = now()
                FROM whole WHERE o.key = $4 AND o.state = 'PENDING' RETURNING o.key),
          d AS (DELETE FROM upload_chunk c USING o WHERE c.object_key = ANY($2::text[])),
          i AS (INSERT INTO upload_chunk (session_id, object_key, span, sha256, verified, covers, committed_at)
                SELECT $1, o.key, $3, $5, whole.verified, int8multirange($3::int8range), whole.committed_at FROM o, whole),
          x AS (UPDATE stored_object x SET state = 'DELETING', changed_at = now(),
                  due_at = now() + $6 * interval '1 s' FROM o WHERE x.key = ANY($2::text[]))
     SELECT key FROM o`,
    [sessionId, keys, formatRange(into.range), into.key, Buffer.from(into.sha256, 'hex'), MERGED_GO_AFTER_SECONDS],
  );
  return rows.length === 1;
}

/**
 * OPEN → COMPLETING, if every byte is there and the digest is not another than the one declared. After a mismatch
 * the client may correct what it declared.
 *
 * @returns the new epoch, or null with nothing changed
 */
export async function complete(sql: Sql, sessionId: string, sha256: string | null): Promise<number | null> {
  const [row] = await sql.query<{ epoch: number }>(
    `UPDATE upload_session SET state = 'COMPLETING', epoch = epoch + 1, sha256 = coalesce($2::bytea, sha256),
            failure_code = NULL, failure_message = NULL
     WHERE id = $1 AND state = 'OPEN' AND covered = int8multirange(int8range(0, size_bytes))
       AND ($2::bytea IS NULL OR sha256 IS NULL OR sha256 = $2::bytea OR failure_code IS NOT NULL)
     RETURNING epoch`,
    [sessionId, sha256 === null ? null : Buffer.from(sha256, 'hex')],
  );
  return row?.epoch ?? null;
}

/** COMPLETING → COMPLETED. @returns false, with nothing changed, when the session went another way meanwhile */
export async function finish(sql: Sql, sessionId: string, epoch: number, masterKey: string): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE upload_session SET state = 'COMPLETED', epoch = epoch + 1, master_key = $3, completed_at = now()
     WHERE id = $1 AND state = 'COMPLETING' AND epoch = $2 RETURNING id`,
    [sessionId, epoch, masterKey],
  );
  return rows.length === 1;
}

/** COMPLETING → OPEN, since the digest was wrong. Nothing is processed early any more: nobody knows which bytes are wrong. */
export async function reopen(
  sql: Sql,
  sessionId: string,
  epoch: number,
  failure: { code: string; message: string },
): Promise<boolean> {
  const rows = await sql.query(
    `UPDATE upload_session SET state = 'OPEN', epoch = epoch + 1, failure_code = $3, failure_message = $4, wanted = NULL,
            expires_at = now() + interval '7 days'
     WHERE id = $1 AND state = 'COMPLETING' AND epoch = $2 RETURNING id`,
    [sessionId, epoch, failure.code, failure.message],
  );
  return rows.length === 1;
}

/**
 * What a master is put together from, in order: each part a piece of one chunk's object. Together they are exactly
 * the file, since contributions never overlap.
 */
export async function parts(sql: Sql, sessionId: string): Promise<{ key: string; start: number; end: number }[]> {
  return sql.query(
    `SELECT object_key AS key, lower(r) - lower(span) AS start, upper(r) - lower(span) AS end
     FROM upload_chunk, unnest(covers) r WHERE session_id = $1 ORDER BY lower(r)`,
    [sessionId],
  );
}

/** As `parts`, of one range of the file; what has not arrived is left out. `at`: where in the file a part begins. */
export async function partsIn(
  sql: Sql,
  sessionId: string,
  range: ByteRange,
): Promise<{ key: string; at: number; start: number; end: number }[]> {
  return sql.query(
    `SELECT object_key AS key, lower(r) AS at, lower(r) - lower(span) AS start, upper(r) - lower(span) AS end
     FROM upload_chunk, unnest(covers * int8multirange($2::int8range)) r
     WHERE session_id = $1 AND span && $2::int8range ORDER BY lower(r)`,
    [sessionId, formatRange(range)],
  );
}

/**
 * Says what processing waits for, null for nothing more.
 *
 * @returns whether all of that is there already; else the commit that completes it tells (`reached`). Null, with nothing
 * changed, when the session is not OPEN, its bytes are others by now, or nothing is to be waited for any more
 */
export async function want(
  sql: Sql,
  sessionId: string,
  epoch: number,
  ranges: readonly ByteRange[] | null,
): Promise<boolean | null> {
  const [row] = await sql.query<{ there: boolean }>(
    `UPDATE upload_session SET wanted = $3::int8multirange
     WHERE id = $1 AND epoch = $2 AND state = 'OPEN' AND wanted IS NOT NULL RETURNING coalesce(wanted <@ covered, false) AS there`,
    [sessionId, epoch, ranges && formatRanges(ranges)],
  );
  return row?.there ?? null;
}
