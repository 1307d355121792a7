import { isVisible, isWithin, type Snapshot } from './snapshot.js';

/**
 * What a stream hands on. `cursor` is where it stands after it; all that came before has been handed on. After a break
 * the same event may come again: it is known by its `id`. With neither `id` nor `body` it only says where the stream stands: where it
 * begins without a cursor, so that its reader misses nothing if it breaks before the first event, and now and then where nothing happens.
 */
export type LiveEvent<Body extends object = object> = { readonly cursor: string } & (
  | { readonly id: string; readonly body: Body }
  | { readonly id: null; readonly body: null }
);

export interface KeptEvent {
  readonly xid: number;
  readonly event: LiveEvent;
}

/** One event, or the place where the next one will be. Each points to the next, so readers need no queue of their own. */
export interface Place {
  kept?: KeptEvent;
  next?: Place;
}

/** What an event says of whom it is for: these, or all whose ids are between these two. It may say nothing. */
interface Recipients {
  readonly to?: readonly string[];
  readonly lo?: string;
  readonly hi?: string;
}

function isFor({ to, lo, hi }: Recipients, reader: string): boolean {
  return to ? to.includes(reader) : !lo || !hi || (lo <= reader && reader <= hi);
}

/** Of a topic that much happens in; with less, readers that come back are served from memory. */
export const KEPT_EVENTS = 500;

/** The latest events of one topic, or of some together: all that is not visible in `base`, as far as the tail has read. */
export class LiveTopic {
  private first: Place = {};
  private last = this.first;
  /** Of each batch how many events it has, and where the tail stood after it. */
  private batches: { count: number; to: Snapshot; since: number }[] = [];
  private count = 0;
  private readonly listeners = new Set<() => void>();
  private reading: Promise<unknown> | undefined;
  readers = 0;
  isOver = false;
  /** When the last reader left, on the monotonic clock. */
  idleSince = performance.now();

  constructor(
    readonly names: readonly string[],
    private base: Snapshot,
    /** Whose it is: others' events are left out. Null for everybody's. */
    readonly reader: string | null,
    private readonly quiet: { readonly ms: number; readonly standing: () => LiveEvent },
  ) {}

  wants(body: object): boolean {
    return this.reader === null || isFor(body, this.reader);
  }

  /** What `after` lacks begins here. Null when it is no longer, or not yet, in memory. */
  placeAfter(after: Snapshot): Place | null {
    return isWithin(this.base, after) ? this.first : null;
  }

  /** The place where the next event will be. */
  get end(): Place {
    return this.last;
  }

  /**
   * Readers are to be woken when all topics have theirs: a change of access must not come behind what it is to keep back.
   * @param to where the tail stands after them
   */
  push(events: readonly KeptEvent[], to: Snapshot): void {
    for (const kept of events) {
      this.last.kept = kept;
      this.last.next = {};
      this.last = this.last.next;
    }
    this.batches.push({ count: events.length, to, since: performance.now() });
    this.count += events.length;
    while (this.count > KEPT_EVENTS) this.dropBatch();
  }

  /** Calls `wake` whenever there is something new, and at the end, until the returned function is called. */
  listen(wake: () => void): () => void {
    this.listeners.add(wake);
    return () => this.listeners.delete(wake);
  }

  /**
   * Resolves to null when there may be something new. After a while in which nothing was: to where a reader stands who has had
   * all that there is, so that it need not look for itself through what was not for it when it comes back.
   *
   * @param cutBy is given what ends it early
   */
  arrival(cutBy?: (cut: () => void) => void): Promise<LiveEvent | null> {
    return new Promise((resolve) => {
      const done = (standing: LiveEvent | null) => {
        clearTimeout(timer);
        unlisten();
        resolve(standing);
      };
      const { ms, standing } = this.quiet;
      const timer = setTimeout(() => done(standing()), ms * (0.5 + Math.random())).unref();
      const cut = () => done(null);
      const unlisten = this.listen(cut);
      cutBy?.(cut);
    });
  }

  /** Nothing will be added to it any more. */
  close(): void {
    this.isOver = true;
    this.wakeAll();
  }

  wakeAll(): void {
    for (const wake of [...this.listeners]) wake();
  }

  /**
   * Has the events between `after` and what is in memory read, once for all who ask at the same time, and keeps them
   * unless they are too many.
   *
   * @param read the events that are visible in `to` and not in `after`; null when they are more than KEPT_EVENTS
   * @returns false when they are too many to keep: then read on your own
   */
  async reachBack(after: Snapshot, read: (to: Snapshot) => Promise<KeptEvent[] | null>): Promise<boolean> {
    while (this.reading !== undefined) {
      await Promise.allSettled([this.reading]);
      if (this.placeAfter(after)) return true;
    }
    const { base } = this;
    const reading = read(base);
    this.reading = reading;
    try {
      const events = await reading;
      // Dropped from meanwhile: what was read does not reach to what is in memory now.
      if (this.base !== base) return false;
      if (!events || events.length + this.count > KEPT_EVENTS) return false;
      let place = this.first;
      for (const kept of events.toReversed()) place = { kept, next: place };
      this.first = place;
      this.base = after;
      this.count += events.length;
      if (events.length > 0) this.batches.unshift({ count: events.length, to: base, since: performance.now() });
      return true;
    } finally {
      this.reading = undefined;
    }
  }

  /** Where what is in memory begins. */
  get reachesBackTo(): Snapshot {
    return this.base;
  }

  /** @param time on the monotonic clock */
  forgetBefore(time: number): void {
    for (let [oldest] = this.batches; oldest && oldest.since < time; [oldest] = this.batches) this.dropBatch();
  }

  private dropBatch(): void {
    const batch = this.batches.shift();
    if (!batch) throw new Error('There is no batch to drop.');
    for (let left = batch.count; left > 0; left--) this.first = this.first.next as Place;
    this.base = batch.to;
    this.count -= batch.count;
  }
}

/** Whether a reader that has had all of `after` still lacks it. */
export const isNews = (kept: KeptEvent, after: Snapshot): boolean => !isVisible(kept.xid, after);
