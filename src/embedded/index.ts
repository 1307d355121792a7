export { DataDirHeld, holderOf, lockDataDir } from './data-dir-lock.js';
export { embed } from './embed.js';
export { startPostgres } from './postgres.js';
export { startRedis } from './redis.js';
export type { EmbeddedServer } from './server.js';
