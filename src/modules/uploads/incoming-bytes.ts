import type { Readable } from 'node:stream';
import { noteBodyBytes } from '../../common/http/index.js';

/** Why bytes stop: the body is whole, its link was cut, or somebody asked to stop. */
export type Stop = 'END' | 'CUT' | 'STOPPED';

/** Once it is to stop: what has arrived comes without such a pause … */
const LAST_BYTES_MS = 30;
/** … and who sends on is not heard to the end. */
const LAST_WORDS_MS = 200;
const EVENTS = ['readable', 'end', 'error', 'close'] as const;

export interface PieceBounds {
  /** Bytes. */
  readonly most: number;
  /** When it is to end, in milliseconds since the call, by how many bytes it has. */
  readonly dueMs: (bytes: number) => number;
  /** Until this resolves (it never rejects) the piece is not due, and takes `ahead` bytes at most. */
  readonly earlier?: Promise<unknown> | undefined;
  readonly ahead?: number;
}

/**
 * The body of a request, taken in pieces of a bounded size or age, so that each can be settled while the rest still
 * arrives. Holds at most what one read gave. Reads the stream itself: its iterator would lose what was read from the socket
 * before a cut and not from the stream.
 */
export class IncomingBytes {
  private held: Buffer | undefined;
  private stopped: Stop | undefined;
  private stopping = false;
  /** When somebody first waited for bytes after that. */
  private stopAt: number | undefined;
  private count = 0;
  /** Wakes who waits for the next read. Not a promise that is raced: those keep every read until they settle. */
  private wake: (() => void) | undefined;
  private readonly happened = () => this.wake?.();

  constructor(private readonly stream: Readable) {
    for (const event of EVENTS) stream.on(event, this.happened);
  }

  /** Leaves the rest of the stream to others. */
  release(): void {
    for (const event of EVENTS) this.stream.off(event, this.happened);
  }

  /** Takes no more than what has arrived. */
  stop(): void {
    this.stopping = true;
    this.wake?.();
  }

  /** Why there is no more; undefined while there may be. */
  get ended(): Stop | undefined {
    return this.held ? undefined : this.stopped;
  }

  /** Bytes of the body that have arrived here so far. */
  get received(): number {
    return this.count + this.stream.readableLength;
  }

  /** Waits for a first byte. @returns false when none came within `ms`, or ever will */
  async any(ms: number): Promise<boolean> {
    const late = performance.now() + ms;
    this.held ??= (await this.next(() => late)) ?? undefined;
    return this.held !== undefined;
  }

  /** What arrives until it is as large or as old as it may be, or no more comes. */
  async *piece({ most, dueMs, earlier, ahead = most }: PieceBounds): AsyncGenerator<Buffer> {
    const begun = performance.now();
    let waits = earlier !== undefined;
    let taken = 0;
    const settled = () => {
      waits = false;
      this.wake?.();
    };
    earlier?.then(settled, settled);
    const due = () => (waits ? Number.POSITIVE_INFINITY : begun + dueMs(taken));
    while (taken < most) {
      if (waits && taken >= ahead) await earlier;
      if (performance.now() >= due()) return;
      const chunk = this.held ?? (await this.next(due));
      this.held = undefined;
      if (!chunk) return;
      const left = (waits ? Math.min(ahead, most) : most) - taken;
      if (chunk.length > left) this.held = chunk.subarray(left);
      taken += Math.min(left, chunk.length);
      yield this.held ? chunk.subarray(0, left) : chunk;
    }
  }

  /** @param until asked anew whenever something happens: by `performance.now()` */
  private async next(until: () => number): Promise<Buffer | null> {
    if (this.stopped) return null;
    const asked = performance.now();
    for (;;) {
      const chunk: Buffer | null = this.stream.read();
      if (chunk) {
        this.count += chunk.length;
        noteBodyBytes(chunk.length);
        return chunk;
      }
      if (this.stream.readableEnded) this.stopped = 'END';
      else if (this.stream.destroyed) this.stopped = 'CUT';
      if (this.stopped) return null;
      const now = performance.now();
      if (this.stopping) this.stopAt ??= now;
      const last =
        this.stopAt === undefined
          ? Number.POSITIVE_INFINITY
          : Math.min(this.stopAt + LAST_WORDS_MS, Math.max(this.stopAt, asked) + LAST_BYTES_MS);
      if (now >= last) {
        this.stopped = 'STOPPED';
        return null;
      }
      const end = Math.min(until(), last);
      if (now >= end) return null;
      await this.more(end - now);
    }
  }

  private more(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = Number.isFinite(ms) ? setTimeout(() => this.wake?.(), Math.ceil(ms)) : undefined;
      this.wake = () => {
        this.wake = undefined;
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
