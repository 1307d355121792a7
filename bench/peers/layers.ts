// The built server, with the layers of its caches that BENCH_CACHE names (none, process, redis, both; else as it is).
import { Caches } from '../../src/common/cache/index.js';

const { BENCH_CACHE = '' } = process.env;
if (['none', 'process', 'redis', 'both'].includes(BENCH_CACHE)) {
  Caches.layers = {
    process: ['process', 'both'].includes(BENCH_CACHE),
    redis: ['redis', 'both'].includes(BENCH_CACHE),
  };
}
await import('../../src/main.js');
