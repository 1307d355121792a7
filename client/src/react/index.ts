import { useEffect, useState, useSyncExternalStore } from 'react';
import {
  createUpload,
  type Progress,
  type Token,
  type Upload,
  UploadError,
  type UploadOptions,
  type UploadState,
} from '../index.js';

/** What a component shows of its upload. */
export interface UploadView {
  /** `idle` until the first start. */
  readonly state: UploadState;
  readonly progress: Progress;
  /** Why it failed; null otherwise. */
  readonly error: UploadError | null;
  /** In `waiting`, what the server said; null where it does not answer. */
  readonly waitingFor: { readonly code: string; readonly message: string } | null;
  readonly sessionId: string | null;
  readonly videoId: string | null;
}
export interface UseUpload extends UploadView {
  /** Uploads this file; one that was under way is left where it is. `changes` are options for this file alone, such as its title. */
  start(file: File | Blob, changes?: Partial<UploadOptions>): void;
  pause(): void;
  resume(): void;
  cancel(): void;
}

const NOTHING: UploadView = {
  state: 'idle',
  progress: { committedBytes: 0, sizeBytes: 0, bytesPerSecond: null, secondsLeft: null },
  error: null,
  waitingFor: null,
  sessionId: null,
  videoId: null,
};

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
    const options = { ...this.options, ...changes };
    // Of the latest rendering: tokens are renewed while an upload runs.
    const token: Token = (asked) => {
      const { token: latest } = { ...this.options, ...changes };
      return typeof latest === 'function' ? latest(asked) : latest;
    };
    const upload = createUpload(file, { ...options, token });
    this.upload = upload;
    const show = () => this.show(upload);
    this.stopListening = [upload.on('state', show), upload.on('progress', show)];
    show();
    // Its outcome is in the snapshot.
    upload.start().then(show, show);
  };
  readonly pause = (): void => this.upload?.pause();
  readonly resume = (): void => this.upload?.resume();
  readonly cancel = (): void => void this.upload?.cancel();

  /** Ends it here. What is stored stays, and the same file goes on there. */
  leave(): void {
    for (const stop of this.stopListening.splice(0)) stop();
    this.upload?.leave();
    this.upload = null;
  }

  private show(upload: Upload): void {
    if (upload !== this.upload) return;
    const { state, error, waitingFor, sessionId, videoId, ...progress } = upload.snapshot;
    this.view = { state, progress, error: state === 'failed' ? error : null, waitingFor, sessionId, videoId };
    for (const listener of this.listeners) listener();
  }
}

/**
 * One upload at a time, as a component sees it. When the component goes, the upload is left: it goes on where it was
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
