import { rm } from 'node:fs/promises';
import { stopLeftovers } from '../../src/embedded/index.js';
import { freePort } from './app.js';
import { type TestDatabase, testDatabase } from './database.js';
import { type GraphqlAnswer, graphql } from './graphql.js';
import { deleteKeys } from './redis.js';
import { type ServerProcess, serverProcess, sharedOptions } from './server-process.js';
import { temporaryFolder } from './servers.js';

export interface TestServer extends ServerProcess {
  readonly dataDir: string;
  /** Null with `embedded`. */
  readonly database: TestDatabase | null;
  graphql<Data = Record<string, unknown>>(
    query: string,
    variables?: Record<string, unknown>,
    accessToken?: string,
  ): Promise<GraphqlAnswer<Data>>;
  /** Ends it however it is and removes whatever it had. */
  remove(): Promise<void>;
}

/**
 * The built server (`dist/main.js`) as a process of its own, for tests that kill it.
 * @param options.embedded with its own PostgreSQL and Redis on its DATA_DIR, as `npm start` has it; otherwise with a
 * database of its own on the run's servers
 * @param options.env further options, such as REDIS_URL
 */
export async function spawnServer(
  options: { embedded?: boolean; env?: Record<string, string> } = {},
): Promise<TestServer> {
  const database = options.embedded ? null : await testDatabase();
  const dataDir = await temporaryFolder();
  const shared = database && sharedOptions(database.url);
  const child = serverProcess(await freePort(), { DATA_DIR: dataDir, ...shared, ...options.env });
  await child.start();
  return {
    ...child,
    dataDir,
    database,
    graphql: (query, variables, accessToken) => graphql(child.url, query, variables, accessToken),
    remove: async () => {
      await child.kill();
      await stopLeftovers(dataDir);
      if (database && shared) {
        await database.drop();
        await deleteKeys(shared.REDIS_PREFIX);
      }
      await rm(dataDir, { recursive: true });
    },
  };
}
