import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, recommendedChunkBytes } from './chunk-size.js';

const MIB = 1024 * 1024;

it.each([
  ['nothing known', 1e9, null, 8 * MIB],
  ['a fast link', 1e9, 1e9, 8 * MIB],
  ['512 kbit/s: 16 seconds', 1e9, 64 * 1024, MIB],
  ['a very slow link', 1e9, 1, MIN_CHUNK_BYTES],
  ['a huge file: at most 10,000 chunks', 200 * 1024 * MIB, 1, 20.5 * MIB],
  ['never above the most', 100 * 1024 * 1024 * MIB, null, MAX_CHUNK_BYTES],
])('%s', (_, size, rate, expected) => {
  expect(recommendedChunkBytes(size, rate)).toBe(expected);
});
