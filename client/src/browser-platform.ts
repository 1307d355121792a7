import { blobSource } from './blob-source.js';
import { ConnectionLost, UploadError } from './errors.js';
import HashWorker from './hash-worker.js?worker&inline';
import type { Answer, Outgoing, Platform, Sending } from './platform.js';

/** Progress is told every 50 ms at best, and what was read ahead of it may be on its way as well. */
const UNTOLD_BYTES = 128 * 1024;

/** XMLHttpRequest and not fetch: only it tells how much of a body has left. */
function send({ method, url, headers = {}, body, onOpen, onHanded }: Outgoing): Sending {
  const xhr = new XMLHttpRequest();
  const answer = new Promise<Answer>((resolve, reject) => {
    const lost = () => reject(new ConnectionLost('The connection ended.'));
    xhr.onload = () =>
      resolve({ status: xhr.status, header: (name) => xhr.getResponseHeader(name), body: xhr.responseText });
    xhr.onerror = lost;
    xhr.onabort = lost;
  });
  xhr.open(method, url);
  for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
  if (body && typeof body === 'object') {
    const size = body.end - body.start;
    let isOpen = false;
    const moved = ({ loaded }: ProgressEvent) => {
      if (!isOpen) onOpen?.();
      isOpen = true;
      onHanded?.(Math.min(size, loaded + UNTOLD_BYTES));
    };
    xhr.upload.onprogress = moved;
    xhr.upload.onload = moved;
    xhr.send(body.source.blob?.(body.start, body.end));
  } else xhr.send(body);
  return { answer, abort: () => xhr.abort() };
}

type Reply = { id: number; hex: string } | { id: number; name: string; message: string };

/** SHA-256 beside the page. */
class Hashing {
  private readonly worker = new HashWorker();
  private readonly waiting = new Map<number, { resolve: (hex: string) => void; reject: (error: Error) => void }>();
  private last = 0;

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const asked = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ('hex' in data) asked?.resolve(data.hex);
      else asked?.reject(Object.assign(new Error(data.message), { name: data.name }));
    };
    this.worker.onerror = ({ message }) => {
      for (const { reject } of this.waiting.values())
        reject(new Error(message || 'The hashing worker does not start.'));
      this.waiting.clear();
    };
  }

  readonly digest = (blob: Blob): Promise<string> =>
    new Promise((resolve, reject) => {
      const id = ++this.last;
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, blob });
    });

  readonly close = async (): Promise<void> => this.worker.terminate();
}

export const browserPlatform: Platform = {
  async open(source) {
    if (!(source instanceof Blob))
      throw new UploadError('FILE_UNREADABLE', 'What is to be uploaded is a File or a Blob.');
    const hashing = new Hashing();
    return blobSource(source, hashing.digest, hashing.close);
  },
  send,
  // A browser has no say in this; its requests that are aborted take their connections along.
  forget: () => undefined,
  onOnline(listener) {
    addEventListener('online', listener);
    return () => removeEventListener('online', listener);
  },
};
