/** Why bytes stop: the body is whole, its link was cut, or somebody asked to stop. */
export type Stop = 'END' | 'CUT' | 'STOPPED';

/** Once it is to stop: what has arrived comes without such a pause … */
const LAST_BYTES_MS = 30;
/** … and who sends on is not heard to the end. */
const LAST_WORDS_MS = 200;

/**
 * The body of a request, taken in pieces of a bounded size or age, so that each can be settled while the rest still
 * arrives. Holds at most what one read gave.
 */
export class IncomingBytes {
  private reading: Promise<Buffer | Stop> | undefined;
  private held: Buffer | undefined;
  private stopped: Stop | undefined;
  private silent: NodeJS.Timeout | undefined;
  private over = false;
  /** Wakes who waits for the next read. Not a promise that is raced: those keep every read until they settle. */
  private wake: (() => void) | undefined;

  constructor(private readonly chunks: AsyncIterator<Buffer>) {}

  /** Takes no more than what has arrived. */
  stop(): void {
    if (this.silent) return;
    const end = () => {
      this.over = true;
      this.wake?.();
    };
    this.silent = setTimeout(end, LAST_BYTES_MS);
    setTimeout(end, LAST_WORDS_MS).unref();
  }

  /** Why there is no more; undefined while there may be. */
  get ended(): Stop | undefined {
    return this.held ? undefined : this.stopped;
  }

  /** Waits for a first byte. @returns false when none came within `ms`, or ever will */
  async any(ms: number): Promise<boolean> {
    const late = new Deadline(ms);
    this.held ??= (await this.next(late)) ?? undefined;
    late.clear();
    return this.held !== undefined;
  }

  /** What arrives until there are `most` bytes, or `ms` have passed since the call, or no more come. */
  async *piece(most: number, ms: number): AsyncGenerator<Buffer> {
    const late = new Deadline(ms);
    try {
      for (let left = most; left > 0; ) {
        const chunk = this.held ?? (await this.next(late));
        this.held = undefined;
        if (!chunk) return;
        if (chunk.length > left) this.held = chunk.subarray(left);
        left -= Math.min(left, chunk.length);
        yield this.held ? chunk.subarray(0, chunk.length - this.held.length) : chunk;
      }
    } finally {
      late.clear();
    }
  }

  private async next(late: Deadline): Promise<Buffer | null> {
    if (this.stopped) return null;
    this.reading ??= this.chunks.next().then(
      ({ done, value }) => (done ? 'END' : value),
      () => 'CUT',
    );
    const reading = this.reading;
    const read = await new Promise<Buffer | Stop | null>((resolve) => {
      const look = () => {
        if (this.over) resolve('STOPPED');
        else if (late.passed) resolve(null);
      };
      this.wake = look;
      late.tell = look;
      void reading.then(resolve);
      look();
    });
    this.wake = undefined;
    late.tell = undefined;
    if (read === null) return null;
    this.reading = undefined;
    if (typeof read === 'string') {
      this.stopped = read;
      return null;
    }
    this.silent?.refresh();
    return read;
  }
}

class Deadline {
  passed = false;
  tell: (() => void) | undefined;
  private readonly timer: NodeJS.Timeout;

  constructor(ms: number) {
    this.timer = setTimeout(() => {
      this.passed = true;
      this.tell?.();
    }, ms);
  }

  clear(): void {
    clearTimeout(this.timer);
  }
}
