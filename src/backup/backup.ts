import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { CommandError } from '../commands/command.js';
import { MIGRATION_LOCK, RESTORE_MARK } from '../common/database/index.js';
import { DELETIONS_LOCK, type ObjectStorage, StorageError } from '../modules/storage/index.js';
import { type BackedUpObject, type BackupFolder, linesOf, type Manifest, writeGzip } from './backup-folder.js';
import { inOrder } from './in-order.js';

const AT_ONCE = 4;
/** What a store says of an object that is not what the database recorded: told of, and the backup goes on. */
const DAMAGE = new Set(['OBJECT_MISSING', 'SIZE_MISMATCH', 'DIGEST_MISMATCH']);

export interface BackupResult {
  readonly name: string;
  readonly rows: number;
  readonly objects: number;
  readonly bytes: number;
  /** Of the objects those that no earlier backup had. */
  readonly copiedObjects: number;
  readonly copiedBytes: number;
  /** Older backups that were removed. */
  readonly removed: readonly string[];
  readonly damaged: number;
  /** The first of them. */
  readonly damagedKeys: readonly string[];
}

export interface Progress {
  readonly done: number;
  readonly of: number;
  readonly bytes: number;
}

/**
 * One snapshot of the database, and every object that is KEPT in it, while the system works. The connection holds an
 * advisory lock from before the snapshot to the end, and nothing that was KEPT goes as long as it does (see `deleteSome`).
 * docs/decisions/0011-backup.md has the reasons.
 */
export async function backUp(options: {
  databaseUrl: string;
  storage: ObjectStorage;
  folder: BackupFolder;
  keep?: number;
  onProgress?(progress: Progress): void;
}): Promise<BackupResult> {
  const { folder, storage, keep } = options;
  const client = await longConnection(options.databaseUrl);
  try {
    await lockDeletions(client);
    const half = await client.query('SELECT to_regclass($1) AS mark', [RESTORE_MARK]);
    if (half.rows[0].mark !== null) {
      throw new CommandError('A restore into this database was not finished: there is nothing to back up yet.');
    }
    await folder.clean();
    const { name, path, manifest } = await snapshot(client, folder);

    const total = { done: 0, of: manifest.objects.count, bytes: 0 };
    const copied = { objects: 0, bytes: 0 };
    const damagedKeys: string[] = [];
    let damaged = 0;
    const copy = async (line: string): Promise<BackedUpObject> => {
      const [key = '', size, recorded] = line.split('\t');
      const object = await copyObject(storage, folder, { key, sizeBytes: Number(size), sha256: recorded || null });
      if (object.copied) {
        copied.objects++;
        copied.bytes += object.sizeBytes;
      }
      options.onProgress?.({ ...total, done: ++total.done, bytes: copied.bytes });
      return object;
    };
    const wanted = join(path, 'wanted.gz');
    const list = async function* () {
      for await (const { key, sizeBytes, sha256 } of inOrder(linesOf(wanted), AT_ONCE, copy)) {
        if (sha256 === null && ++damaged <= 20) damagedKeys.push(key);
        yield `${key}\t${sizeBytes}\t${sha256 ?? '-'}\n`;
      }
    };
    const sha256 = await writeGzip(join(path, 'objects.gz'), list());
    // A connection that was lost meanwhile protected nothing from then on.
    if (!(await holdsLock(client))) {
      throw new CommandError(
        'The connection to the database was lost, and with it what kept objects from going: repeat it.',
      );
    }
    await rm(wanted);
    await folder.finish({ name, path }, { ...manifest, objects: { ...manifest.objects, sha256 }, damaged });
    return {
      name,
      rows: manifest.tables.reduce((sum, table) => sum + table.rows, 0),
      objects: manifest.objects.count - damaged,
      bytes: manifest.objects.bytes,
      copiedObjects: copied.objects,
      copiedBytes: copied.bytes,
      removed: keep === undefined ? [] : await folder.keepNewest(keep),
      damaged,
      damagedKeys,
    };
  } finally {
    await client.end();
  }
}

/** A connection that neither the server's nor the role's time-outs cut. */
export async function longConnection(databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000, keepAlive: true });
  // Told by the query that meets it; an emitter without a listener would end the process.
  client.on('error', () => undefined);
  await client.connect();
  await client.query(
    `SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN
       ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')`,
  );
  return client;
}

/** One backup or restore of a database at a time. */
export async function lockDeletions(client: pg.Client): Promise<void> {
  const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS held', [DELETIONS_LOCK]);
  if (!rows[0].held) throw new CommandError('Another backup or restore of this database is under way.');
}

async function holdsLock(client: pg.Client): Promise<boolean> {
  const { rows } = await client
    .query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objid = $1`, [
      DELETIONS_LOCK,
    ])
    .catch(() => ({ rows: [] }));
  return rows.length === 1;
}

/** The tables of one snapshot, and `wanted.gz`: its KEPT objects, key and size. */
async function snapshot(
  client: pg.Client,
  folder: BackupFolder,
): Promise<{ name: string; path: string; manifest: Manifest }> {
  // A table that a migration rewrites would look empty in an older snapshot.
  await client.query('SELECT pg_advisory_lock_shared($1)', [MIGRATION_LOCK]);
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  const ask = async <Row extends pg.QueryResultRow>(sql: string) => (await client.query<Row>(sql)).rows;
  const [now] = await ask<{ at: Date; postgres: string }>(
    `SELECT now() AS at, current_setting('server_version') AS postgres`,
  );
  const { at, postgres } = now as { at: Date; postgres: string };
  const [own] = await ask<{ id: string }>('SELECT id FROM installation');
  const installation = own?.id ?? '';
  await folder.assertOf(installation);
  const { name, path } = await folder.begin(at);

  const tables: Manifest['tables'][number][] = [];
  for (const table of await ask<{ name: string; columns: string[] }>(TABLES)) {
    const columns = table.columns.map((column) => pg.escapeIdentifier(column)).join(', ');
    const rows = client.query(copyTo(`COPY (SELECT ${columns} FROM ${pg.escapeIdentifier(table.name)}) TO STDOUT`));
    const sha256 = await writeGzip(join(path, 'tables', `${table.name}.copy.gz`), rows);
    tables.push({ ...table, rows: (rows as unknown as { rowCount: number }).rowCount, sha256 });
  }
  await writeGzip(join(path, 'wanted.gz'), client.query(copyTo(`COPY (${WANTED} ORDER BY key COLLATE "C") TO STDOUT`)));
  const [objects] = await ask<{ count: number; bytes: number }>(
    `SELECT count(*)::float8 AS count, coalesce(sum(size_bytes), 0)::float8 AS bytes FROM (${WANTED}) wanted`,
  );
  const manifest: Manifest = {
    format: 1,
    installation,
    takenAt: at.toISOString(),
    postgres,
    migrations: await ask('SELECT name, sql_md5 AS md5 FROM migration ORDER BY run_at, name'),
    tables,
    sequences: await ask(
      'SELECT sequencename AS name, last_value::text AS last FROM pg_sequences WHERE schemaname = current_schema() AND last_value IS NOT NULL ORDER BY 1',
    ),
    objects: { count: objects?.count ?? 0, bytes: objects?.bytes ?? 0, sha256: '' },
    damaged: 0,
  };
  await client.query('COMMIT');
  await client.query('SELECT pg_advisory_unlock_shared($1)', [MIGRATION_LOCK]);
  return { name, path, manifest };
}

const WANTED = `SELECT key, size_bytes, coalesce(encode(sha256, 'hex'), '') FROM stored_object WHERE state = 'KEPT'`;

/** Partitions come with the table that they are of. What a database begins anew stays out: see the migration of each. */
const TABLES = `
  SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relpersistence <> 't' AND c.relname NOT IN ('migration', 'live_event', 'live_era', 'video_search_next', 'video_search_body_next')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  GROUP BY c.relname ORDER BY c.relname`;

async function copyObject(
  storage: ObjectStorage,
  folder: BackupFolder,
  { key, sizeBytes, sha256: recorded }: BackedUpObject,
): Promise<BackedUpObject & { copied: boolean }> {
  const there = await folder.objects.head(key);
  if (there?.sizeBytes === sizeBytes && there.sha256 === (recorded ?? there.sha256)) {
    return { key, sizeBytes, sha256: there.sha256, copied: false };
  }
  try {
    // What the folder has under this key was cut short, or is another installation's: no backup can use it.
    if (there) await folder.objects.delete([key]);
    // Recorded when it was stored; by older versions only in the store, if at all.
    const sha256 = recorded ?? (await storage.head(key))?.sha256 ?? undefined;
    const stored = await folder.objects.put(key, await storage.read(key), { sizeBytes, sha256 });
    return { key, ...stored, copied: true };
  } catch (error) {
    if (!(error instanceof StorageError && DAMAGE.has(error.code))) throw error;
    return { key, sizeBytes, sha256: null, copied: false };
  }
}
