import { counter, histogram } from '../../common/metrics/index.js';

export const pushes = counter('sluice_pushes_total', 'Attempts at pushes, and what became of them', {
  outcome: ['sent', 'gone', 'later', 'refused', 'given_up'],
});
export const pushDuration = histogram(
  'sluice_push_duration_seconds',
  'From the request to the head of the answer of a push service',
  [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
);
