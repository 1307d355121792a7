import { spawnServer, type TestRedis, type TestServer, testRedis } from '../support/index.js';
import { storageOf } from '../support/invariants.js';
import { killTests } from './kills.js';

/** The whole server as one process. */

let server: TestServer;
let redis: TestRedis;

beforeEach(async () => {
  redis = await testRedis();
  server = await spawnServer({ env: { REDIS_URL: redis.url, ENCODE_CONCURRENCY: '2' } });
});
afterEach(async () => {
  await server.remove();
  await redis.stop();
});

killTests(() => ({
  url: server.url,
  database: server.database as NonNullable<TestServer['database']>,
  redis,
  storage: storageOf(server.dataDir),
  kill: async () => {
    await server.kill();
    await server.start();
  },
}));
