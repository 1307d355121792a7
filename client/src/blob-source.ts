import { UploadError } from './errors.js';
import { every, type Source } from './platform.js';

/** A File or Blob. Both read what they were when they were made, or fail. */
export function blobSource(
  blob: Blob,
  digest: (part: Blob) => Promise<string>,
  { every: ticks, close }: Pick<Source, 'every' | 'close'> = { every, close: async () => {} },
): Source {
  const failing = <T>(reading: Promise<T>): Promise<T> =>
    reading.catch((error: Error) =>
      Promise.reject(
        error.name === 'NotReadableError' || error.name === 'NotFoundError'
          ? new UploadError('FILE_CHANGED', 'The file was changed or taken away meanwhile.')
          : new UploadError('FILE_UNREADABLE', error.message),
      ),
    );
  return {
    size: blob.size,
    name: (blob as Partial<File>).name ?? 'upload',
    type: blob.type,
    read: async (start, end) => new Uint8Array(await failing(blob.slice(start, end).arrayBuffer())),
    blob: (start, end) => blob.slice(start, end),
    digest: (start, end) => failing(digest(blob.slice(start, end))),
    check: async () => {
      await failing(blob.slice(0, 1).arrayBuffer());
    },
    every: ticks,
    close,
  };
}
