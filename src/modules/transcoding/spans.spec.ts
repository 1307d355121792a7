import { missingOf, union } from './spans.js';

const spans = (...pairs: [number, number][]) => pairs.map(([start, end]) => ({ start, end }));

test('ranges are sorted, joined where they touch, and end with the file', () => {
  expect(union(spans([30, 50], [0, 10], [10, 20], [5, 8], [40, 99], [60, 60], [120, 130]), 70)).toEqual(
    spans([0, 20], [30, 70]),
  );
});

test('what is missing lies between what is there', () => {
  const have = spans([10, 20], [30, 40], [50, 60]);
  expect(missingOf(spans([0, 70]), have)).toEqual(spans([0, 10], [20, 30], [40, 50], [60, 70]));
  expect(missingOf(spans([12, 18], [30, 40], [55, 61]), have)).toEqual(spans([60, 61]));
  expect(missingOf(spans([0, 5], [15, 35], [35, 45]), have)).toEqual(spans([0, 5], [20, 30], [40, 45]));
  expect(missingOf(spans([0, 5]), [])).toEqual(spans([0, 5]));
  expect(missingOf([], have)).toEqual([]);
});
