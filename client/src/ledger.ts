import { stillToCome } from './plan.js';
import { covers, type Range, type Ranges, sizeOf, union } from './ranges.js';

export type SessionState = 'OPEN' | 'COMPLETING' | 'COMPLETED' | 'CANCELLED' | 'EXPIRED';

/** `GET {tusUrl}/ranges` */
export interface Snapshot {
  readonly state: SessionState;
  readonly sizeBytes: number;
  readonly committedBytes: number;
  readonly covered: readonly Range[];
  readonly writers: readonly { readonly start: number; readonly received: number; readonly end: number }[];
  /** What the server would like first; older ones do not say. */
  readonly wanted?: readonly Range[];
}

/** A writer of another client that brings nothing for so long is a dead link's. */
const DEAD_MS = 5_000;

/** What the server is known to have of the file, by its own word. */
export class Ledger {
  covered: Ranges = [];
  state: SessionState = 'OPEN';
  /** What other clients are about to send … */
  others: Ranges = [];
  /** … and what of it has arrived already. */
  theirs: Ranges = [];
  /** Stored, or arrived and not settled yet. */
  counted = 0;
  /** What the server would like first, most urgent first. */
  wanted: readonly Range[] = [];
  /** Whether what is there already is known. */
  isKnown = false;
  private told = 0;
  private readonly strangers = new Map<number, { received: number; at: number }>();

  constructor(readonly size: number) {}

  get isWhole(): boolean {
    return covers(this.covered, [0, this.size]);
  }

  get committedBytes(): number {
    return sizeOf(this.covered);
  }

  /** The server acknowledged this. */
  add(range: Range): void {
    this.covered = union(this.covered, [range]);
    this.counted = Math.max(this.counted, this.committedBytes);
    this.told++;
  }

  /** To be given to `merge` with the answer of a question that is asked now. */
  get moment(): number {
    return this.told;
  }

  /**
   * @param moment when it was asked for: what was acknowledged since is not in it
   * @param isMine whether we send from there
   */
  merge(snapshot: Snapshot, moment: number, isMine: (start: number) => boolean, now: number): void {
    const { covered, writers, state } = snapshot;
    this.state = state;
    this.wanted = snapshot.wanted ?? [];
    this.isKnown = true;
    this.covered = moment === this.told ? union(covered) : union(this.covered, covered);
    this.counted = sizeOf(
      union(
        this.covered,
        writers.map(({ start, received }) => [start, start + received]),
      ),
    );
    const strangers = writers.filter(({ start }) => !isMine(start));
    for (const start of this.strangers.keys()) {
      if (!strangers.some((one) => one.start === start)) this.strangers.delete(start);
    }
    const alive = strangers.filter(({ start, received }) => {
      const known = this.strangers.get(start);
      if (known && known.received >= received) return now - known.at < DEAD_MS;
      this.strangers.set(start, { received, at: now });
      return true;
    });
    this.others = stillToCome(alive);
    this.theirs = union(alive.map(({ start, received }) => [start, start + received]));
  }
}
