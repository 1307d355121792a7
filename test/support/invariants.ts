import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { DiskStorage } from '../../src/modules/storage/disk-storage.js';
import type { ObjectStorage } from '../../src/modules/storage/index.js';
import type { TestDatabase } from './database.js';

type Rows = Record<string, unknown>[];

/** What no fault may break, as questions whose answers are empty on a healthy system. */
const QUESTIONS: Record<string, string> = {
  'a READY video lacks a segment, an init or a piece': `
    SELECT v.id FROM video v JOIN rendition r ON r.video_id = v.id AND r.run = v.run
    WHERE v.state = 'READY' AND (r.init IS NULL OR r.codecs IS NULL OR r.segment_count <>
      (SELECT count(*) FROM segment s WHERE s.video_id = v.id AND s.run = v.run AND s.rendition = r.name))
    UNION SELECT v.id FROM video v JOIN piece p ON p.video_id = v.id AND p.run = v.run WHERE v.state = 'READY' AND p.done_at IS NULL`,
  'a segment or a still names an object that is not kept, or reaches beyond it': `
    SELECT s.object_key FROM segment s LEFT JOIN stored_object o ON o.key = s.object_key
    WHERE o.state IS DISTINCT FROM 'KEPT' OR s.byte_offset + s.byte_size > o.size_bytes
    UNION SELECT s.object_key FROM still s LEFT JOIN stored_object o ON o.key = s.object_key WHERE o.state IS DISTINCT FROM 'KEPT'`,
  'a kept object belongs to nothing': `
    SELECT key FROM stored_object o WHERE state = 'KEPT'
      AND NOT EXISTS (SELECT FROM upload_chunk WHERE object_key = o.key)
      AND NOT EXISTS (SELECT FROM upload_session WHERE master_key = o.key)
      AND NOT EXISTS (SELECT FROM segment WHERE object_key = o.key)
      AND NOT EXISTS (SELECT FROM transcode_source WHERE picture_key = o.key)
      AND NOT EXISTS (SELECT FROM still WHERE object_key = o.key)`,
  'a chunk counts whose object is not kept': `
    SELECT c.object_key FROM upload_chunk c JOIN stored_object o ON o.key = c.object_key WHERE o.state <> 'KEPT'`,
  'what the chunks contribute overlaps, or is not what the session covers': `
    SELECT u.id FROM upload_session u LEFT JOIN LATERAL (
      SELECT range_agg(r) AS union_, sum(upper(r) - lower(r)) AS bytes FROM upload_chunk c, unnest(c.covers) r WHERE c.session_id = u.id) c ON true
    WHERE u.state IN ('OPEN', 'COMPLETING') AND (coalesce(c.union_, '{}') <> u.covered OR coalesce(c.bytes, 0) <>
      (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(u.covered) r))`,
  'a session completes without every byte': `
    SELECT id FROM upload_session WHERE state IN ('COMPLETING', 'COMPLETED') AND covered <> int8multirange(int8range(0, size_bytes))`,
  'a completed session of a living video has no kept master of its size': `
    SELECT u.id FROM upload_session u JOIN video v ON v.id = u.video_id LEFT JOIN stored_object o ON o.key = u.master_key
    WHERE u.state = 'COMPLETED' AND v.deleted_at IS NULL AND v.state <> 'FAILED'
      AND (o.state IS DISTINCT FROM 'KEPT' OR o.size_bytes <> u.size_bytes)`,
  'a quota counter is not the sum': `
    SELECT a.id FROM app_user a WHERE used_bytes <> (SELECT coalesce(sum(size_bytes), 0) FROM upload_session u
      WHERE u.owner_id = a.id AND (u.state IN ('OPEN', 'COMPLETING') OR u.master_key IS NOT NULL))`,
  'something unfinished has no job': `
    SELECT id FROM upload_session u WHERE state = 'COMPLETING'
      AND NOT EXISTS (SELECT FROM job WHERE name = 'AssembleMaster' AND state <> 'DONE' AND payload->>'sessionId' = u.id::text)`,
};

/** @returns what is wrong, by name; nothing on a healthy system, at any time */
export async function brokenInvariants(database: TestDatabase): Promise<Record<string, Rows>> {
  const broken: Record<string, Rows> = {};
  for (const [name, sql] of Object.entries(QUESTIONS)) {
    const rows = await database.query(sql);
    if (rows.length > 0) broken[name] = rows;
  }
  return broken;
}

/** Where disk storage of a server with this DATA_DIR keeps its objects. */
export function storageOf(dataDir: string): DiskStorage {
  return new DiskStorage({ root: join(dataDir, 'storage'), publicUrl: 'http://localhost', signingSecret: '' });
}

/**
 * Every difference between the store and the rows that say what it holds; rows that are not settled (being written,
 * being deleted) may or may not have an object.
 */
export async function storeDifferences(database: TestDatabase, storage: ObjectStorage): Promise<string[]> {
  const rows = await database.query<{ key: string; state: string; size_bytes: number | null }>(
    'SELECT key, state, size_bytes::float8 FROM stored_object',
  );
  const known = new Map(rows.map((row) => [row.key, row]));
  const objects = new Map((await storage.list('', { limit: 100_000 })).map((object) => [object.key, object.sizeBytes]));
  return [
    ...[...objects.keys()].filter((key) => !known.has(key)).map((key) => `no row: ${key}`),
    ...rows
      .filter((row) => row.state === 'KEPT' && objects.get(row.key) !== row.size_bytes)
      .map((row) => `${objects.has(row.key) ? 'other size' : 'no object'}: ${row.key}`),
  ];
}

export async function digestOf(storage: ObjectStorage, key: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of await storage.read(key)) hash.update(bytes);
  return hash.digest('hex');
}
