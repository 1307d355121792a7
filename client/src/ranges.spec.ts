import { covers, intersect, type Range, sizeOf, subtract, union } from './ranges.js';

test('union sorts and merges, also what only touches', () => {
  expect(
    union(
      [
        [10, 20],
        [0, 5],
      ],
      [
        [5, 7],
        [15, 30],
        [40, 40],
      ],
    ),
  ).toEqual([
    [0, 7],
    [10, 30],
  ]);
  expect(union([], [])).toEqual([]);
});

test('subtract leaves what is in the first alone', () => {
  expect(
    subtract(
      [[0, 100]],
      [
        [10, 20],
        [30, 40],
      ],
    ),
  ).toEqual([
    [0, 10],
    [20, 30],
    [40, 100],
  ]);
  expect(
    subtract(
      [
        [0, 10],
        [20, 30],
      ],
      [[5, 25]],
    ),
  ).toEqual([
    [0, 5],
    [25, 30],
  ]);
  expect(subtract([[5, 10]], [[0, 20]])).toEqual([]);
  expect(subtract([[0, 10]], [])).toEqual([[0, 10]]);
});

test('intersect, sizeOf, covers', () => {
  expect(
    intersect(
      [
        [0, 10],
        [20, 30],
      ],
      [[5, 25]],
    ),
  ).toEqual([
    [5, 10],
    [20, 25],
  ]);
  expect(
    sizeOf([
      [0, 10],
      [20, 25],
    ]),
  ).toBe(15);
  expect(
    covers(
      [
        [0, 10],
        [20, 30],
      ],
      [22, 30],
    ),
  ).toBe(true);
  expect(
    covers(
      [
        [0, 10],
        [20, 30],
      ],
      [5, 22],
    ),
  ).toBe(false);
});

test('as sets of single bytes have it, whatever the ranges', () => {
  let seed = 1;
  const random = (most: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % most;
  };
  const some = () =>
    union(
      Array.from({ length: random(6) }, (): Range => {
        const start = random(40);
        return [start, start + random(10)];
      }),
    );
  const bytes = (ranges: readonly Range[]) =>
    new Set(ranges.flatMap(([a, b]) => Array.from({ length: b - a }, (_, i) => a + i)));
  for (let round = 0; round < 2_000; round++) {
    const [a, b] = [some(), some()];
    expect(bytes(union(a, b))).toEqual(new Set([...bytes(a), ...bytes(b)].sort((x, y) => x - y)));
    expect(bytes(subtract(a, b))).toEqual(new Set([...bytes(a)].filter((byte) => !bytes(b).has(byte))));
    expect(bytes(intersect(a, b))).toEqual(new Set([...bytes(a)].filter((byte) => bytes(b).has(byte))));
  }
});
