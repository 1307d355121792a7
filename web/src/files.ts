/** Files with the handles that some browsers give out, by which a file can be opened again after a reload. */
export interface ChosenFile {
  file: File;
  handle: FileSystemFileHandle | null;
}

// Chromium's, and not in TypeScript's library: https://wicg.github.io/file-system-access/
declare global {
  interface Window {
    showOpenFilePicker?(options: { multiple: boolean }): Promise<FileSystemFileHandle[]>;
  }
  interface DataTransferItem {
    getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
  }
  interface FileSystemFileHandle {
    queryPermission?(asked: { mode: 'read' }): Promise<PermissionState>;
    requestPermission?(asked: { mode: 'read' }): Promise<PermissionState>;
  }
}

export const picksHandles = (): boolean => window.showOpenFilePicker !== undefined;

const opened = async (handle: FileSystemFileHandle): Promise<ChosenFile> => ({ file: await handle.getFile(), handle });

/** Asks for files; none where nothing was chosen. */
export async function pick(multiple: boolean): Promise<ChosenFile[]> {
  try {
    const handles = (await window.showOpenFilePicker?.({ multiple })) ?? [];
    return await Promise.all(handles.map(opened));
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return [];
    throw error;
  }
}

/** What was dropped; folders are left out. */
export async function dropped(data: DataTransfer): Promise<ChosenFile[]> {
  const files = [...data.items].filter(({ kind }) => kind === 'file');
  const chosen = files.map(async (item) => {
    // Both are asked for at once: what is dropped is gone after the event.
    const file = item.getAsFile();
    const handle = (await item.getAsFileSystemHandle?.()) ?? null;
    if (handle) return handle.kind === 'file' ? opened(handle as FileSystemFileHandle) : null;
    return file && { file, handle: null };
  });
  return (await Promise.all(chosen)).filter((one) => one !== null);
}

/** Opens it again, if whoever sits there agrees. */
export async function reopen(handle: FileSystemFileHandle): Promise<ChosenFile | null> {
  const asked = { mode: 'read' } as const;
  if ((await handle.queryPermission?.(asked)) === 'granted') return opened(handle);
  return (await handle.requestPermission?.(asked)) === 'denied' ? null : opened(handle);
}

/** A private window may keep nothing: then the same file is chosen again. */
export const isKept = (keeping: Promise<void>): Promise<boolean> =>
  keeping.then(
    () => true,
    () => false,
  );
