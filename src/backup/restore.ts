import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { CommandError } from '../commands/command.js';
import { migrate, RESTORE_MARK } from '../common/database/index.js';
import { ObjectExists, type ObjectStorage } from '../modules/storage/index.js';
import { lockDeletions, longConnection, type Progress } from './backup.js';
import { assertDigest, type BackedUpObject, type BackupFolder, type Manifest } from './backup-folder.js';
import { inOrder } from './in-order.js';

const AT_ONCE = 4;

export interface RestoreResult {
  readonly name: string;
  readonly takenAt: string;
  readonly rows: number;
  readonly objects: number;
  readonly bytes: number;
  /** Migrations of this build that are newer than the backup. */
  readonly migrated: readonly string[];
  /** Objects that the backup does not have, since they were lost before it was made. */
  readonly damaged: number;
}

/**
 * A backup into an empty database and an empty store. Nothing counts before the one transaction that loads the tables
 * and removes the mark; cut anywhere before, the same restore is simply repeated.
 */
export async function restore(options: {
  databaseUrl: string;
  /** Folder of this build's migrations. */
  migrations: string;
  storage: ObjectStorage;
  folder: BackupFolder;
  /** The newest unless given. */
  name?: string;
  onProgress?(progress: Progress): void;
}): Promise<RestoreResult> {
  const { databaseUrl, folder, migrations, storage } = options;
  const name = options.name ?? (await folder.names()).at(-1);
  if (name === undefined) throw new CommandError(`${folder.path} holds no backup.`);
  const { manifest, sha256 } = await folder.read(name);
  await assertWhole(folder, name, manifest);
  await assertBuildKnows(manifest, migrations);

  const client = await longConnection(databaseUrl);
  try {
    await lockDeletions(client);
    await mark(client, storage, `${name} ${sha256}`);
    const schema = manifest.migrations.map((migration) => migration.name);
    await migrate(databaseUrl, migrations, schema);

    const progress = { done: 0, of: manifest.objects.count, bytes: 0 };
    const put = async (object: BackedUpObject): Promise<void> => {
      if (object.sha256 !== null) await putObject(folder, storage, { ...object, sha256: object.sha256 });
      progress.done++;
      progress.bytes += object.sizeBytes;
      options.onProgress?.({ ...progress });
    };
    for await (const _ of inOrder(folder.objectsOf(name), AT_ONCE, put));

    await load(client, folder, name, manifest);
    const migrated = await migrate(databaseUrl, migrations);
    await client.query('ANALYZE');
    return {
      name,
      takenAt: manifest.takenAt,
      rows: manifest.tables.reduce((sum, table) => sum + table.rows, 0),
      objects: manifest.objects.count - manifest.damaged,
      bytes: progress.bytes,
      migrated,
      damaged: manifest.damaged,
    };
  } finally {
    await client.end();
  }
}

/** Before anything is touched: that the files are those of the manifest, and every object is there. */
async function assertWhole(folder: BackupFolder, name: string, manifest: Manifest): Promise<void> {
  await assertDigest(folder.listOf(name), manifest.objects.sha256);
  for (const table of manifest.tables) await assertDigest(folder.table(name, table.name), table.sha256);
  const lacking: string[] = [];
  let count = 0;
  for await (const { key, sizeBytes, sha256 } of folder.objectsOf(name)) {
    if (sha256 === null) continue;
    const found = await folder.objects.head(key);
    if ((found?.sizeBytes !== sizeBytes || found.sha256 !== sha256) && ++count <= 5) lacking.push(key);
  }
  if (count > 0) {
    throw new CommandError(
      `The backup ${name} lacks ${count} of its objects, so nothing was restored: ${lacking.join(', ')}${count > 5 ? ' …' : ''}.`,
    );
  }
}

async function assertBuildKnows(manifest: Manifest, migrations: string): Promise<void> {
  for (const { name, md5 } of manifest.migrations) {
    const sql = await readFile(join(migrations, name), 'utf8').catch(() => null);
    if (sql === null || createHash('md5').update(sql).digest('hex') !== md5) {
      throw new CommandError(
        `The backup has the migration ${name}, and this build has not: restore with the build that made it, or a newer one.`,
      );
    }
  }
}

/** Says in the database that what follows is nobody's yet. @throws CommandError when anything is there already */
async function mark(client: pg.Client, storage: ObjectStorage, backup: string): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = pg_class.oid AND d.deptype = 'e')
     ORDER BY 1`,
  );
  if (rows.some((table) => table.name === RESTORE_MARK)) {
    const found = (await client.query(`SELECT backup FROM ${RESTORE_MARK}`)).rows[0].backup;
    if (found === backup) return;
    throw new CommandError(
      `A restore of another backup (${found.split(' ')[0]}) into this database was not finished: repeat that, or take an empty database and an empty store.`,
    );
  }
  if (rows.length > 0) {
    throw new CommandError(
      `The database is not empty (it has ${rows.length} tables). Restore into a new one: an empty DATA_DIR, or another database in DATABASE_URL that no server was started on.`,
    );
  }
  const [object] = await storage.list('', { limit: 1 });
  if (object) {
    throw new CommandError(
      `The object store is not empty (it has ${object.key}). Restore into a new one: an empty DATA_DIR, or another bucket in S3_BUCKET.`,
    );
  }
  await client.query('BEGIN');
  await client.query(`CREATE TABLE ${RESTORE_MARK} (backup text NOT NULL)`);
  await client.query(`INSERT INTO ${RESTORE_MARK} VALUES ($1)`, [backup]);
  await client.query('COMMIT');
}

/** The store checks the digest of what comes; what a restore that was cut has put is compared. */
async function putObject(
  folder: BackupFolder,
  storage: ObjectStorage,
  { key, sizeBytes, sha256 }: { key: string; sizeBytes: number; sha256: string },
): Promise<void> {
  try {
    await storage.put(key, await folder.objects.read(key), { sizeBytes, sha256 });
  } catch (error) {
    if (!(error instanceof ObjectExists)) throw error;
    const found = await storage.head(key);
    const digest = found?.sha256 ?? (await digestOf(storage, key));
    if (found?.sizeBytes !== sizeBytes || digest !== sha256) {
      throw new CommandError(`${key} is in the store with other bytes: take an empty store.`);
    }
  }
}

async function digestOf(storage: ObjectStorage, key: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of await storage.read(key)) hash.update(bytes);
  return hash.digest('hex');
}

/** One transaction. Foreign keys are taken off and put on again: then the order of the tables, and circles, do not matter. */
async function load(client: pg.Client, folder: BackupFolder, name: string, manifest: Manifest): Promise<void> {
  await client.query('BEGIN');
  const { rows: keys } = await client.query<{ drop: string; add: string }>(
    `SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
            format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS add
     FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 AND connamespace = current_schema()::regnamespace`,
  );
  for (const { drop } of keys) await client.query(drop);
  for (const { name: table, columns, rows } of manifest.tables) {
    const quoted = pg.escapeIdentifier(table);
    // Migrations write rows, too; and what triggers did is in the backup already.
    await client.query(`TRUNCATE ${quoted}`);
    await client.query(`ALTER TABLE ${quoted} DISABLE TRIGGER USER`);
    const names = columns.map((column) => pg.escapeIdentifier(column)).join(', ');
    const into = client.query(copyFrom(`COPY ${quoted} (${names}) FROM STDIN`));
    await pipeline(createReadStream(folder.table(name, table)), createGunzip(), into);
    if (into.rowCount !== rows) throw new Error(`${table}: ${into.rowCount} rows of ${rows} were read.`);
    await client.query(`ALTER TABLE ${quoted} ENABLE TRIGGER USER`);
  }
  for (const { add } of keys) await client.query(add);
  for (const { name: sequence, last } of manifest.sequences) {
    await client.query('SELECT setval($1::regclass, $2::bigint)', [pg.escapeIdentifier(sequence), last]);
  }
  // Whoever held them is not here.
  await client.query(`UPDATE job SET state = 'QUEUED', lease = NULL, lease_until = NULL WHERE state = 'RUNNING'`);
  await client.query(`DROP TABLE ${RESTORE_MARK}`);
  await client.query('COMMIT');
}
