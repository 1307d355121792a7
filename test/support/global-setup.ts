import { join } from 'node:path';
import pg from 'pg';
import { ensureBuilt } from '../../scripts/setup.mjs';
import { migrate } from '../../src/common/database/migrations.js';
import { type EmbeddedServer, startPostgres, startRedis } from '../../src/embedded/index.js';
import { removeLeftovers, temporaryFolder } from './servers.js';

export const TEMPLATE = 'template_sluice';

export interface TestServers {
  readonly folder: string;
  readonly running: EmbeddedServer[];
}
declare global {
  var testServers: TestServers | undefined;
}

/**
 * One PostgreSQL and one Redis for the whole run, the newest schema in a database that others are copied from, and the
 * build that tests start as a process.
 */
export default async function setUp(): Promise<void> {
  ensureBuilt({ parts: ['server', 'client'] });
  await removeLeftovers();
  const folder = await temporaryFolder();
  const [postgres, redis] = await Promise.all([
    startPostgres({ dir: join(folder, 'postgres'), durable: false }),
    startRedis({ dir: join(folder, 'redis'), durable: false }),
  ]);
  globalThis.testServers = { folder, running: [postgres, redis] };

  const client = new pg.Client(postgres.url);
  await client.connect();
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await client.end();
  const template = new URL(postgres.url);
  template.pathname = TEMPLATE;
  await migrate(template.href, join(import.meta.dirname, '../../migrations'));

  // How Jest's workers learn of them.
  process.env.SLUICE_TEST_POSTGRES = postgres.url;
  process.env.SLUICE_TEST_REDIS = redis.url;
}
