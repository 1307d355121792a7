export { decoratedMethods } from './decorated-methods.js';
export { BEHIND, defineJob, type JobContext, type JobDefinition, type QueueName } from './define-job.js';
export { HandlesJob, Periodically } from './handles-job.js';
export { jobAttributes } from './job-attributes.js';
export { JobWorker } from './job-worker.js';
export { type EnqueueOptions, type JobRequest, Jobs, type Share } from './jobs.js';
export { JobsModule } from './jobs.module.js';
