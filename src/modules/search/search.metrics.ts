import { counter, histogram } from '../../common/metrics/index.js';

export const searchSeconds = histogram(
  'sluice_search_seconds',
  'Time that the index took for a page',
  [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  ['of'],
);
export const searchesTooBroad = counter('sluice_searches_too_broad_total', 'Searches that were broken off');
export const indexed = counter('sluice_search_indexed_total', 'Rows that were written to the index, or taken out', {
  of: ['videos', 'channels', 'scores'],
});
