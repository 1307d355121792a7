/**
 * What tests stand on. One PostgreSQL and one Redis run for the whole of `jest`; each test file takes parts of its own:
 *
 *   const app = await startApp();        // the application in this process:  beforeAll → afterAll(() => app.stop())
 *   const database = await testDatabase();   // just a database:              afterAll(() => database.drop())
 *   const server = await spawnServer();  // the built server, to be killed:   afterAll(() => server.remove())
 *   const redis = await testRedis();     // a Redis to be taken away:         afterAll(() => redis.stop())
 */
export * from './addresses.js';
export * from './app.js';
export * from './client.js';
export * from './cluster.js';
export * from './database.js';
export * from './edge.js';
export * from './graphql.js';
export * from './held-api.js';
export * from './link.js';
export * from './name-server.js';
export * from './people.js';
export * from './push-service.js';
export * from './redis.js';
export * from './server.js';
export type { ServerProcess } from './server-process.js';
export { temporaryFolder } from './servers.js';
