import { useEffect, useState, useSyncExternalStore } from 'react';
import {
  createUpload,
  type Progress,
  type Upload,
  UploadError,
  type UploadOptions,
  type UploadState,
} from '../index.js';

/** What a component shows of its upload. */
export interface UploadView {
  /** `idle` until the first start. */
  readonly state: UploadState;
  /** As the server counts; null until it has said so. */
  readonly progress: Progress | null;
  /** Why it failed; null otherwise. */
  readonly error: UploadError | null;
  readonly sessionId: string | null;
  /** Of the video, from when the upload is done. */
  readonly videoId: string | null;
}
export interface UseUpload extends UploadView {
  /** Uploads this file; one that was under way is paused. `changes` are options for this file alone, such as its title. */
  start(file: File | Blob, changes?: Partial<UploadOptions>): void;
  pause(): void;
  resume(): void;
  cancel(): void;
}

const NOTHING: UploadView = { state: 'idle', progress: null, error: null, sessionId: null, videoId: null };

/** Outside of React, so that what happens between two renderings is not lost. */
class UploadStore {
  options: UploadOptions;
  private view = NOTHING;
  private upload: Upload | null = null;
  private stopListening: (() => void)[] = [];
  private readonly listeners = new Set<() => void>();

  constructor(options: UploadOptions) {
    this.options = options;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
  readonly read = (): UploadView => this.view;

  readonly start = (file: File | Blob, changes: Partial<UploadOptions> = {}): void => {
    this.leave();
    const upload = createUpload(file, { ...this.options, ...changes });
    this.upload = upload;
    this.view = NOTHING;
    this.stopListening = [
      upload.on('state', (state) => this.change({ state })),
      upload.on('progress', (progress) => this.change({ progress })),
    ];
    const mine = () => this.upload === upload;
    upload.start().then(
      (result) => mine() && this.change(result),
      (error) => mine() && upload.snapshot.state === 'failed' && this.change({ error: asUploadError(error) }),
    );
  };
  readonly pause = (): void => this.upload?.pause();
  readonly resume = (): void => this.upload?.resume();
  readonly cancel = (): void => this.upload?.cancel();

  /** Stops sending. What is stored stays, and the same file goes on there. */
  leave(): void {
    for (const stop of this.stopListening.splice(0)) stop();
    this.upload?.pause();
    this.upload = null;
  }

  private change(part: Partial<UploadView>): void {
    this.view = { ...this.view, ...part };
    for (const listener of this.listeners) listener();
  }
}

/**
 * One upload at a time, as a component sees it. When the component goes, the upload is paused: it goes on where it was
 * when the same file is started again, here or on another page. An upload that outlives its component is `createUpload`.
 */
export function useUpload(options: UploadOptions): UseUpload {
  const [store] = useState(() => new UploadStore(options));
  useEffect(() => {
    store.options = options;
  });
  useEffect(() => () => store.leave(), [store]);
  const view = useSyncExternalStore(store.subscribe, store.read, store.read);
  const { start, pause, resume, cancel } = store;
  return { ...view, start, pause, resume, cancel };
}

function asUploadError(error: unknown): UploadError {
  return error instanceof UploadError ? error : new UploadError('FAILED', String(error));
}
