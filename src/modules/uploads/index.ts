export { UploadWriters } from './upload-writers.service.js';
export { UploadCompleted, UploadExpiring } from './uploads.events.js';
export { UploadSession } from './uploads.graphql.js';
export { UploadsModule } from './uploads.module.js';
export { UploadsService } from './uploads.service.js';
