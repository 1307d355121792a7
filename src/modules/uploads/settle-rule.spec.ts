import { OBJECT_BYTES, settleAfterMs } from './settle-rule.js';

const KIB = 1024;

it.each([
  ['a byte', 1, 1, 10_000],
  ['less than 64 KiB', 64 * KIB - 1, 1, 10_000],
  ['64 KiB', 64 * KIB, 1, 250],
  ['64 KiB of one of 20', 64 * KIB, 20, 600],
  ['64 KiB of one of 256', 64 * KIB, 256, 1_000],
  ['nearly 8 MiB', OBJECT_BYTES - 1, 1, 250],
  ['8 MiB', OBJECT_BYTES, 256, 0],
])('settles %s in time', (_, bytes, writers, ms) => {
  expect(settleAfterMs(bytes, writers)).toBe(ms);
});
