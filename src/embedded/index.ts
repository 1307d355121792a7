export { DataDirHeld, holderOf, lockDataDir } from './data-dir-lock.js';
export { embed, stopLeftovers } from './embed.js';
export { startPostgres } from './postgres.js';
export { identityOf, isRunning, type ProcessIdentity } from './process-identity.js';
export { startRedis } from './redis.js';
export type { EmbeddedServer } from './server.js';
