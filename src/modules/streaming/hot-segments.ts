/** Of all together, those that are just being sent included. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Of one: it is read to its end before its first byte is sent. */
const LARGEST_BYTES = 8 * 1024 * 1024;
/** What nobody asked for as long goes, so a process through which nobody watches holds nothing. */
const IDLE_MS = 15_000;
const SWEEP_MS = 5_000;

interface Entry {
  readonly bytes: Promise<Buffer>;
  readonly sizeBytes: number;
  users: number;
  askedAt: number;
}

export interface Lent {
  readonly bytes: Buffer;
  /** To be called once, when they are sent or not wanted any more. */
  giveBack(): void;
}

/**
 * Segments that many ask for, in memory: handing them to the socket is all that is left to do, where a file takes turns
 * between threads and one more copy. What is being sent counts for as long as that takes, so slow clients cannot make it
 * more than it may be.
 */
export class HotSegments {
  /** Those that were asked for longest ago come first. */
  private readonly entries = new Map<string, Entry>();
  private heldBytes = 0;
  private sweeper: NodeJS.Timeout | undefined;

  /**
   * Null where there is no room, or nobody asked for them lately. Whoever asks while they are read waits for the same reading.
   *
   * @param key of bytes that never change
   * @param lastAskedAt when they were asked for before this time, by performance.now(); undefined: never
   * @param load reads them all; what it throws is thrown to all who wait, and not kept
   */
  async borrow(
    key: string,
    sizeBytes: number,
    lastAskedAt: number | undefined,
    load: () => Promise<Buffer>,
  ): Promise<Lent | null> {
    const now = performance.now();
    let entry = this.entries.get(key);
    if (!entry) {
      if (lastAskedAt === undefined || lastAskedAt <= now - IDLE_MS) return null;
      if (!this.makeRoom(sizeBytes, now - 2 * (now - lastAskedAt))) return null;
      entry = this.admit(key, sizeBytes, load);
    }
    entry.users++;
    entry.askedAt = now;
    this.entries.delete(key);
    this.entries.set(key, entry);
    const { bytes } = entry;
    return { bytes: await bytes, giveBack: () => entry.users-- };
  }

  /**
   * Only what nobody asked for in twice the time between two askings of the new one gives way to it. Otherwise, where more
   * is watched than fits, each would put out the next that is wanted, and all the reading into fresh memory be for nothing.
   */
  private makeRoom(sizeBytes: number, since: number): boolean {
    if (sizeBytes > LARGEST_BYTES) return false;
    for (const [key, entry] of this.entries) {
      if (this.heldBytes + sizeBytes <= MOST_BYTES || entry.askedAt >= since) break;
      if (entry.users === 0) this.drop(key, entry);
    }
    return this.heldBytes + sizeBytes <= MOST_BYTES;
  }

  private admit(key: string, sizeBytes: number, load: () => Promise<Buffer>): Entry {
    const entry = { bytes: load(), sizeBytes, users: 0, askedAt: 0 };
    entry.bytes.catch(() => this.drop(key, entry));
    this.heldBytes += sizeBytes;
    if (!this.sweeper) this.sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
    return entry;
  }

  private drop(key: string, entry: Entry): void {
    this.entries.delete(key);
    this.heldBytes -= entry.sizeBytes;
  }

  private sweep(): void {
    const idleSince = performance.now() - IDLE_MS;
    for (const [key, entry] of this.entries) {
      if (entry.askedAt > idleSince) break;
      if (entry.users === 0) this.drop(key, entry);
    }
    if (this.entries.size > 0) return;
    clearInterval(this.sweeper);
    this.sweeper = undefined;
  }
}
