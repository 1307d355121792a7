// The built server, with the layers of its caches that BENCH_CACHE names (none, process, redis, both; else as it is), and none
// for the cache that BENCH_WITHOUT names.
import { Caches } from '../../src/common/cache/index.js';

const { BENCH_CACHE = '', BENCH_WITHOUT } = process.env;
if (['none', 'process', 'redis', 'both'].includes(BENCH_CACHE)) {
  Caches.layersOf = (name) => ({
    process: name !== BENCH_WITHOUT && ['process', 'both'].includes(BENCH_CACHE),
    redis: name !== BENCH_WITHOUT && ['redis', 'both'].includes(BENCH_CACHE),
  });
}
await import('../../src/main.js');
