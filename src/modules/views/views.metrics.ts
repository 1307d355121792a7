import { counter, gauge, histogram } from '../../common/metrics/index.js';

export const beacons = counter(
  'sluice_views_total',
  'Beacons for videos that may be watched, and what became of them',
  {
    outcome: ['counted', 'known', 'refused', 'unavailable'],
  },
);
export const written = counter(
  'sluice_views_written_total',
  'Views that this process brought from Redis into the database',
);
export const flushDuration = histogram(
  'sluice_views_flush_duration_seconds',
  'From reading what waits in Redis until it stands in the database',
  [0.005, 0.02, 0.1, 0.5, 2, 10],
);
export const waiting = gauge(
  'sluice_views_waiting_buckets',
  'Hours of videos whose count in Redis is not yet in the database',
);
export const lag = gauge(
  'sluice_views_flush_lag_seconds',
  'How long ago all that waited was brought into the database',
);
