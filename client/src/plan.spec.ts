import { nextRange, prefersDirect, type Situation, stillToCome } from './plan.js';

const MIB = 1024 * 1024;
const situation = (changes: Partial<Situation>): Situation => ({
  size: 100 * MIB,
  covered: [],
  busy: [],
  others: [],
  at: 0,
  wanted: [],
  most: 90 * MIB,
  ...changes,
});

test('from the beginning, as much as a request may have', () => {
  expect(nextRange(situation({}))).toEqual([0, 90 * MIB]);
  expect(nextRange(situation({ covered: [[0, 50 * MIB]] }))).toEqual([50 * MIB, 100 * MIB]);
});

test('an earlier hole goes first, up to what is there or on its way', () => {
  expect(
    nextRange(
      situation({
        covered: [
          [0, 10],
          [30, 40],
        ],
        busy: [[60, 70]],
      }),
    ),
  ).toEqual([10, 30]);
});

test('nothing is left where all is there, or on its way', () => {
  expect(nextRange(situation({ covered: [[0, 40 * MIB]], busy: [[40 * MIB, 100 * MIB]] }))).toBeNull();
});

test('what the server wants goes first', () => {
  expect(nextRange(situation({ wanted: [[99 * MIB, 100 * MIB]] }))).toEqual([99 * MIB, 100 * MIB]);
  expect(
    nextRange(
      situation({
        wanted: [
          [0, 10],
          [50, 60],
        ],
        covered: [[0, 20]],
      }),
    ),
  ).toEqual([50, 60]);
});

test('keeps away from where others write', () => {
  expect(nextRange(situation({ others: [[0, 8 * MIB]], most: 8 * MIB }))).toEqual([8 * MIB, 16 * MIB]);
});

test('goes on where it left off before it comes back for holes', () => {
  const holes: Partial<Situation> = { covered: [[10, 30]], size: 100 };
  expect(nextRange(situation({ ...holes, others: [[50, 60]], at: 30 }))).toEqual([30, 50]);
  expect(nextRange(situation({ ...holes, others: [[50, 60]], at: 90 }))).toEqual([90, 100]);
  expect(nextRange(situation({ ...holes, others: [[50, 60]], at: 100 }))).toEqual([0, 10]);
  expect(nextRange(situation({ ...holes, at: 30 }))).toEqual([30, 100]);
  expect(nextRange(situation({ ...holes, at: 70 }))).toEqual([70, 100]);
});

test('takes half of what another client has claimed, when nothing else is left', () => {
  expect(nextRange(situation({ others: [[0, 100 * MIB]] }))).toEqual([50 * MIB, 100 * MIB]);
  expect(nextRange(situation({ covered: [[1 * MIB - 1, 100 * MIB]], others: [[0, 1 * MIB]] }))).toBeNull();
});

test('of other writers only what they have not sent yet is to come', () => {
  expect(
    stillToCome([
      { start: 0, received: 10, end: 30 },
      { start: 30, received: 10, end: 40 },
    ]),
  ).toEqual([[10, 30]]);
});

test('parts are for fast links that were calm for ten times as long as one takes, and for what is worth a change', () => {
  const fast = { bytesPerSecond: 5 * MIB, calmMs: 11_000 };
  expect(prefersDirect(fast, [[0, 100 * MIB]])).toBe(true);
  expect(prefersDirect({ ...fast, calmMs: 9_000 }, [[0, 100 * MIB]])).toBe(false);
  expect(prefersDirect({ bytesPerSecond: 100 * MIB, calmMs: 4_000 }, [[0, 100 * MIB]])).toBe(true);
  expect(prefersDirect({ bytesPerSecond: 1e6, calmMs: 1e9 }, [[0, 100 * MIB]])).toBe(false);
  expect(prefersDirect(fast, [[0, 10 * MIB]])).toBe(false);
});
