export { Cache, type CacheOptions, RECENT_MS, SHARED_MS } from './cache.js';
export { CacheModule } from './cache.module.js';
export { Caches } from './caches.js';
