/** Browsers that give out handles of files (Chromium's) have them open a file again without choosing: after a reload. */
const STORE = 'files';

async function inStore<T>(mode: IDBTransactionMode, work: (files: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const settled = <R>(request: IDBRequest<R>) =>
    new Promise<R>((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const opening = indexedDB.open('sluice', 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: 'sessionId' });
  const database = await settled(opening);
  try {
    return await settled(work(database.transaction(STORE, mode).objectStore(STORE)));
  } finally {
    database.close();
  }
}

/** Keeps the handle of a file that is being uploaded, under its session's id. */
export async function rememberFile(sessionId: string, handle: FileSystemFileHandle): Promise<void> {
  await inStore('readwrite', (files) => files.put({ sessionId, handle }));
}

export async function forgetFile(sessionId: string): Promise<void> {
  await inStore('readwrite', (files) => files.delete(sessionId));
}

/**
 * What was remembered and not forgotten. Before `handle.getFile()` the browser wants a click, and then
 * `handle.requestPermission()`.
 */
export async function rememberedFiles(): Promise<Remembered[]> {
  return (await inStore('readonly', (files) => files.getAll())) as Remembered[];
}

interface Remembered {
  readonly sessionId: string;
  readonly handle: FileSystemFileHandle;
}
