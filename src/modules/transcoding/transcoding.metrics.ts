import { counter, gauge, histogram } from '../../common/metrics/index.js';

const KINDS = ['FIRST', 'VIDEO', 'AUDIO', 'STILLS', 'RUNG'] as const;

export const piecesRunning = gauge('sluice_pieces_running', 'Pieces that this process makes now', { kind: KINDS });
export const pieces = counter(
  'sluice_pieces_total',
  'Attempts at pieces that ended: done; struck, by the input; interrupted, by the surroundings',
  { kind: KINDS, outcome: ['done', 'struck', 'interrupted'] },
);
export const encodeSpeed = histogram(
  'sluice_piece_speed_ratio',
  'Seconds of video that were made a second, of a piece that was done',
  [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32],
  ['kind'],
);
export const videosEnded = counter('sluice_videos_processed_total', 'Runs that ended, with the code of a failure', {
  outcome: ['ready', 'failed'],
  code: [''],
});
export const processing = histogram(
  'sluice_video_processing_seconds',
  'From the verified original until the video plays, and until it is ready',
  [1, 2, 5, 10, 30, 60, 300, 1800, 7200],
  ['until'],
);
export const onDemandAsks = counter(
  'sluice_on_demand_requests_total',
  'Rungs that may be left out: a player began to load one that is there; one that is not begins to be made; is being made; refused',
  { outcome: ['hit', 'begun', 'under_way', 'refused'] },
);
export const onDemandFreed = counter(
  'sluice_on_demand_freed_bytes_total',
  'Bytes of rungs that were deleted since nobody had watched',
);
