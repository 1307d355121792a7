import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';

/** Any number that nobody else's advisory lock uses in this database. */
export const MIGRATION_LOCK = 7_481_920_113;
/** Exists while a restore is under way: what is in the database then is nobody's yet. */
export const RESTORE_MARK = 'restore_under_way';
const FILE_NAME = /^(\d{14})-([a-z0-9-]+)\.sql$/;

/**
 * Brings the database to the newest schema: runs each file of `folder` that was not run yet, in order of its time
 * stamp, in a transaction of its own. Any number of processes may call it at once; an advisory lock lets one work.
 *
 * @param only names of the only files to know of, in the order to run them: a restore makes the schema of its backup
 * @returns the names of the files that were run now
 * @throws when a file that was run before is gone or changed: an older build must not start on a newer schema
 */
export async function migrate(databaseUrl: string, folder: string, only?: readonly string[]): Promise<string[]> {
  const files = only ?? (await readdir(folder)).filter((name) => FILE_NAME.test(name)).sort();
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const [mark] = (await client.query('SELECT to_regclass($1) AS found', [RESTORE_MARK])).rows;
    if (mark.found !== null && !only) {
      throw new Error(
        'A restore into this database was not finished: repeat it (npm run restore), or start on an empty one.',
      );
    }
    await client.query(
      'CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, sql_md5 text NOT NULL, run_at timestamptz NOT NULL DEFAULT now())',
    );
    const { rows } = await client.query<{ name: string; sql_md5: string }>('SELECT name, sql_md5 FROM migration');
    const before = new Map(rows.map((row) => [row.name, row.sql_md5]));
    const unknown = [...before.keys()].filter((name) => !files.includes(name));
    if (unknown.length > 0) {
      throw new Error(
        `The database is newer than this build: it has run ${unknown.join(', ')}. Start the newer build.`,
      );
    }
    const run: string[] = [];
    for (const name of files) {
      const sql = await readFile(join(folder, name), 'utf8');
      const md5 = (await client.query<{ md5: string }>('SELECT md5($1)', [sql])).rows[0]?.md5;
      if (before.has(name)) {
        if (before.get(name) !== md5) throw new Error(`The migration ${name} was changed after it was run.`);
        continue;
      }
      await client.query('BEGIN');
      await client.query(sql);
      await client.query('INSERT INTO migration (name, sql_md5) VALUES ($1, $2)', [name, md5]);
      await client.query('COMMIT');
      run.push(name);
    }
    return run;
  } finally {
    // Closing the connection rolls back what is open and frees the lock.
    await client.end();
  }
}
