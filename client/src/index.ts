import { browserPlatform } from './browser-platform.js';
import { Upload, type UploadOptions } from './upload.js';

export type { Token } from './api.js';
export type { ChunkEvent } from './append.js';
export { UploadError } from './errors.js';
export { forgetFile, rememberedFiles, rememberFile } from './remember.js';
export type { Progress, Snapshot, Upload, UploadEvents, Uploaded, UploadOptions, UploadState } from './upload.js';

export function createUpload(source: Blob, options: UploadOptions): Upload {
  return new Upload(browserPlatform, source, { ...options, endpoint: options.endpoint ?? location.origin });
}
