import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { StorageUnavailable } from './storage.errors.js';

const SILENCE_MS = 30_000;
const MOST_RESUMES = 5;

/**
 * The bytes of an object from `start` to `end` (half-open), over as many requests as that takes: objects never change, so a connection that
 * breaks is taken up where it broke. Memory is bounded by the socket's buffers, and a slow reader is not a silent store.
 */
export class S3Read extends Readable {
  private response: IncomingMessage | undefined;
  private timer: NodeJS.Timeout | undefined;
  private resumes = 0;

  /** @param open asks for the bytes from there on */
  constructor(
    first: IncomingMessage,
    private position: number,
    private readonly end: number,
    private readonly open: (start: number) => Promise<IncomingMessage>,
  ) {
    super();
    this.follow(first);
  }

  override _read(): void {
    this.watch();
    this.response?.resume();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    clearTimeout(this.timer);
    this.response?.destroy();
    callback(error);
  }

  private follow(response: IncomingMessage): void {
    this.response = response;
    // The request's own time-out would also end a response that nobody reads just now.
    response.setTimeout(0);
    response.on('data', (chunk: Buffer) => {
      if (response !== this.response) return;
      this.position += chunk.length;
      if (this.push(chunk)) return this.watch();
      clearTimeout(this.timer);
      response.pause();
    });
    // Told by the 'close' that follows.
    response.on('error', () => undefined);
    response.on('close', () => {
      if (response !== this.response || this.destroyed) return;
      clearTimeout(this.timer);
      if (this.position >= this.end) this.push(null);
      else void this.resumeFrom(this.position);
    });
    response.pause();
  }

  private async resumeFrom(position: number): Promise<void> {
    this.response = undefined;
    if (++this.resumes > MOST_RESUMES) {
      this.destroy(new StorageUnavailable('The object store cut the answer too often.'));
      return;
    }
    try {
      const response = await this.open(position);
      if (this.destroyed) response.destroy();
      else {
        this.follow(response);
        this._read();
      }
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  private watch(): void {
    clearTimeout(this.timer);
    const response = this.response;
    this.timer = setTimeout(() => response?.destroy(), SILENCE_MS);
  }
}
