import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { TEMPLATE } from './global-setup.js';

export interface TestDatabase {
  readonly url: string;
  query<Row extends pg.QueryResultRow = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** Also ends whatever is still connected. */
  drop(): Promise<void>;
}

/** A database of one's own with the newest schema, copied from the template in some 30 ms. */
export async function testDatabase(): Promise<TestDatabase> {
  const server = process.env.SLUICE_TEST_POSTGRES as string;
  const name = `test_${randomBytes(8).toString('hex')}`;
  await administer(server, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
  const own = new URL(server);
  own.pathname = name;
  const pool = new pg.Pool({ connectionString: own.href, max: 4 });
  // A test may end the server's connections on purpose; the pool then makes new ones.
  pool.on('error', () => undefined);
  return {
    url: own.href,
    query: async <Row extends pg.QueryResultRow>(sql: string, values?: unknown[]) =>
      (await pool.query<Row>(sql, values)).rows,
    drop: async () => {
      await pool.end();
      await administer(server, `DROP DATABASE ${name} WITH (FORCE)`);
    },
  };
}

async function administer(server: string, sql: string): Promise<void> {
  const client = new pg.Client(server);
  await client.connect();
  try {
    // Two copies of one template at once are refused: they queue here.
    await client.query('SELECT pg_advisory_lock(1)');
    await client.query(sql);
  } finally {
    await client.end();
  }
}
