import type { JobContext } from './define-job.js';

/** What a span tells of the job that it is part of. */
export const jobAttributes = ({ jobId, attempt, waitedSeconds }: JobContext) => ({
  'sluice.job.id': jobId,
  'sluice.job.attempt': attempt,
  'sluice.job.wait_seconds': waitedSeconds,
});
