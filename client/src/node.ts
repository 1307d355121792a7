import { UploadError } from './errors.js';
import { nodePlatform } from './node-platform.js';
import { Upload, type UploadOptions } from './upload.js';

export type { Token } from './api.js';
export type { ChunkEvent } from './append.js';
export { UploadError } from './errors.js';
export type { Progress, Snapshot, Upload, UploadEvents, Uploaded, UploadOptions, UploadState } from './upload.js';

/** @param source a path, `{ path }`, or a File or Blob */
export function createUpload(source: string | { readonly path: string } | Blob, options: UploadOptions): Upload {
  const { endpoint } = options;
  if (!endpoint) throw new UploadError('PROTOCOL', 'In Node, `endpoint` says where the server is.');
  return new Upload(nodePlatform, source, { ...options, endpoint });
}
