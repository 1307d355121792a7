import { runsOf, type SmallChunk } from './merge-runs.js';

const chunks = (...ranges: [number, number][]): SmallChunk[] =>
  ranges.map(([start, end]) => ({ key: `${start}`, range: { start, end } }));
const keys = (runs: SmallChunk[][]) => runs.map((run) => run.map(({ key }) => Number(key)));

it('joins neighbours, up to a size', () => {
  expect(keys(runsOf(chunks([0, 4], [4, 8], [8, 12], [12, 16]), 9, 2))).toEqual([
    [0, 4],
    [8, 12],
  ]);
});

it('joins nothing over a gap', () => {
  expect(keys(runsOf(chunks([0, 4], [5, 8], [8, 12]), 100, 2))).toEqual([[5, 8]]);
});

it('leaves what is too few as it is', () => {
  expect(runsOf(chunks([0, 4], [4, 8]), 100, 3)).toEqual([]);
  expect(runsOf([], 100, 1)).toEqual([]);
});
