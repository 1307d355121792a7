export type { ByteRange } from './byte-ranges.js';
export { UploadWriters } from './upload-writers.service.js';
export { NotArrived, type UploadedFile, UploadedFiles } from './uploaded-files.service.js';
export { IdempotencyKeyReused } from './uploads.errors.js';
export { UploadCompleted, UploadExpiring } from './uploads.events.js';
export { UploadSession } from './uploads.graphql.js';
export { LookAhead } from './uploads.jobs.js';
export { UploadsModule } from './uploads.module.js';
export { UploadsService } from './uploads.service.js';
