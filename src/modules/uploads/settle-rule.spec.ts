import { OBJECT_BYTES, settleAfterMs } from './settle-rule.js';

it.each([
  ['a byte', 1, 10_000],
  ['less than 256 KiB', 256 * 1024 - 1, 10_000],
  ['256 KiB', 256 * 1024, 500],
  ['nearly 8 MiB', OBJECT_BYTES - 1, 500],
  ['8 MiB', OBJECT_BYTES, 0],
])('settles %s in time', (_, bytes, ms) => {
  expect(settleAfterMs(bytes)).toBe(ms);
});
