export { Cache, type CacheOptions } from './cache.js';
export { CacheModule } from './cache.module.js';
export { Caches, type Layers } from './caches.js';
