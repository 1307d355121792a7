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
  private pending: Promise<Buffer | Stop> | undefined;
  private held: Buffer | undefined;
  private stopped: Stop | undefined;
  private silent: NodeJS.Timeout | undefined;
  private readonly stopping: Promise<'STOPPED'>;
  private stopNow: () => void = () => undefined;

  constructor(private readonly chunks: AsyncIterator<Buffer>) {
    this.stopping = new Promise((resolve) => {
      this.stopNow = () => resolve('STOPPED');
    });
  }

  /** Takes no more than what has arrived. */
  stop(): void {
    if (this.silent) return;
    this.silent = setTimeout(this.stopNow, LAST_BYTES_MS);
    setTimeout(this.stopNow, LAST_WORDS_MS).unref();
  }

  /** Why there is no more; undefined while there may be. */
  get ended(): Stop | undefined {
    return this.held ? undefined : this.stopped;
  }

  /** Waits for a first byte. @returns false when none came within `ms`, or ever will */
  async any(ms: number): Promise<boolean> {
    const late = deadline(ms);
    this.held ??= (await this.next(late)) ?? undefined;
    late.clear();
    return this.held !== undefined;
  }

  /** What arrives until there are `most` bytes, or `ms` have passed since the call, or no more come. */
  async *piece(most: number, ms: number): AsyncGenerator<Buffer> {
    const late = deadline(ms);
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

  /** Drops up to `most` bytes. @returns how many it dropped before no more came */
  async skip(most: number, ms: number): Promise<number> {
    let dropped = 0;
    for await (const chunk of this.piece(most, ms)) dropped += chunk.length;
    return dropped;
  }

  private async next(late: Deadline): Promise<Buffer | null> {
    if (this.stopped) return null;
    this.pending ??= this.chunks.next().then(
      ({ done, value }) => (done ? 'END' : value),
      () => 'CUT',
    );
    const first = await Promise.race([this.pending, this.stopping, late.passed]);
    if (first === 'LATE') return null;
    this.pending = undefined;
    if (typeof first === 'string') {
      this.stopped = first;
      return null;
    }
    this.silent?.refresh();
    return first;
  }
}

interface Deadline {
  passed: Promise<'LATE'>;
  clear(): void;
}

function deadline(ms: number): Deadline {
  let timer: NodeJS.Timeout | undefined;
  const passed = new Promise<'LATE'>((resolve) => {
    timer = setTimeout(() => resolve('LATE'), ms);
  });
  return { passed, clear: () => clearTimeout(timer) };
}
