import { counter } from '../../common/metrics/index.js';

export const rankings = counter(
  'sluice_trending_rankings_total',
  'Looks at what is watched now, by what came of them',
  {
    outcome: ['made', 'unchanged'],
  },
);
