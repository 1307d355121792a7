import { counter } from '../../common/metrics/index.js';

export const rankings = counter(
  'sluice_trending_rankings_total',
  'Looks at what is watched now, by what came of them',
  {
    outcome: ['made', 'unchanged'],
  },
);

export const relatedLists = counter(
  'sluice_related_lists_total',
  'Lists of what goes with a video that were asked for, by where they came from',
  { outcome: ['kept', 'made'] },
);
