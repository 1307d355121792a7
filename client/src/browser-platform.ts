import { blobSource } from './blob-source.js';
import { ConnectionLost, UploadError } from './errors.js';
import { hashing } from './hashing.js';
import { type Answer, every, type Outgoing, type Platform, type Sending } from './platform.js';

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

interface Reply {
  readonly id: number;
  readonly hex?: string;
  readonly name?: string;
  readonly message?: string;
}

let workerUrl: string | undefined;
function startWorker(): Worker | null {
  workerUrl ??= URL.createObjectURL(new Blob([`(${hashing})().serve()`], { type: 'text/javascript' }));
  try {
    return new Worker(workerUrl);
  } catch {
    // Some pages may have none.
    return null;
  }
}

/** SHA-256 beside the page; in it where the page may have no worker, or the worker's code was broken on its way here. */
class Hashing {
  private readonly worker = startWorker();
  private readonly waiting = new Map<number, (reply: Reply) => void>();
  private readonly ticks = new Map<number, () => void>();
  private isBroken = this.worker === null;
  private last = 0;

  constructor() {
    if (!this.worker) return;
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      this.ticks.get(data.id)?.();
      this.waiting.get(data.id)?.(data);
    };
    this.worker.onerror = () => {
      this.isBroken = true;
      for (const [id, settle] of this.waiting) settle({ id });
    };
  }

  readonly every = (ms: number, tick: () => void): (() => void) => {
    const id = ++this.last;
    // Both: the page's own timers slow down while nobody sees it, and the worker may be none.
    const stop = every(ms, tick);
    this.ticks.set(id, tick);
    this.worker?.postMessage({ id, ms });
    return () => {
      stop();
      this.ticks.delete(id);
      this.worker?.postMessage({ id });
    };
  };

  readonly digest = async (blob: Blob): Promise<string> => {
    if (!this.isBroken) {
      const id = ++this.last;
      const { hex, name, message } = await new Promise<Reply>((resolve) => {
        this.waiting.set(id, resolve);
        this.worker?.postMessage({ id, blob });
      });
      this.waiting.delete(id);
      if (hex) return hex;
      if (name?.startsWith('Not')) throw Object.assign(new Error(message), { name });
    }
    return hashing().digest(blob);
  };

  readonly close = async (): Promise<void> => this.worker?.terminate();
}

export const browserPlatform: Platform = {
  async open(source) {
    if (!(source instanceof Blob)) throw new UploadError('FILE_UNREADABLE', 'Only a File or a Blob is uploaded.');
    const hashing = new Hashing();
    return blobSource(source, hashing.digest, hashing);
  },
  send,
  sockets: 6,
  // From another origin it first asks whether it may send one, and that question takes such a connection.
  repeats: (url) => new URL(url).origin === origin,
  knock(tusUrl, onOpen) {
    const socket = new WebSocket(tusUrl.replace(/^http(.*)\/tus\/.*/, 'ws$1/graphql'), 'graphql-transport-ws');
    const end = () => {
      socket.onopen = null;
      socket.close();
    };
    socket.onopen = () => {
      end();
      onOpen();
    };
    return end;
  },
  report: (error) => reportError(error),
  // A browser has no say in this; its requests that are aborted take their connections along.
  forget: () => undefined,
  onOnline(listener) {
    addEventListener('online', listener);
    return () => removeEventListener('online', listener);
  },
};
