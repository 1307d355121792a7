import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError, Refusal } from '../errors/index.js';
import type { LiveTail, Page } from './live-tail.js';
import { isNews, type KeptEvent, type LiveEvent, type LiveTopic, type Place } from './live-topic.js';
import type { Snapshot } from './snapshot.js';

const PAGE = 500;
const ASK_AGAIN_MS = 1_000;

export interface EventStreamOptions {
  /** As it is appended to: `comments:<videoId>`. Several are told in one order, with one cursor for all. */
  topic: string | readonly string[];
  /** Leaves out the events whose body says that they are for others: `to` (ids), or `lo` and `hi` (between which ids). */
  reader?: string;
  /** The `cursor` of the last event that the reader had. Without it the stream begins now, and first says so. */
  after?: string | null;
  /** Who may read, where that can change: asked before the first event, and again after each event of other topics. */
  access?: {
    /** Appended to in the transaction that makes the change: then nothing that happens after it gets out. */
    topic: string | readonly string[];
    /** Throws the DomainError or Refusal that ends the stream. While it fails otherwise nothing is handed on. */
    ask: () => Promise<unknown>;
  };
}

interface Access {
  readonly ask: () => Promise<unknown>;
  readonly topic: LiveTopic;
  /** Up to here the answer holds. */
  place: Place;
}

/**
 * One reader of a topic: what `after` lacks, then each event as it comes, in the order in which they came to light. Where it
 * cannot go on (the database has become another one, the process stops) it ends: begin it again at the last cursor.
 */
export class EventStream<Body extends object = object> implements AsyncGenerator<LiveEvent<Body>, void, undefined> {
  private onOver: (() => void) | null = null;
  private isOver = false;
  private failure: { error: unknown } | null = null;
  private readonly missed = this.replay();
  /** In memory, once `missed` has got there. */
  private at: Place | null = null;
  private asking: Promise<void> | null = null;
  private wake: (() => void) | null = null;
  /** The reader's cursor lies before what had to be looked through, and nothing behind it was for him so far. */
  private isBehind = false;
  private readonly undo: (() => void)[];

  private constructor(
    private readonly tail: LiveTail,
    readonly topic: LiveTopic,
    private readonly access: Access | null,
    /** All that it shows was handed on before, or is not wanted. */
    private after: Snapshot,
    private beginning: LiveEvent | null,
    undo: readonly (() => void)[],
  ) {
    // Ends it also while nothing happens in the topic itself.
    this.undo = [...undo, ...(access ? [access.topic.listen(() => void this.mayGoOn())] : [])];
  }

  /** @throws CursorExpired, and what `access.ask` throws */
  static async open<Body extends object>(tail: LiveTail, options: EventStreamOptions): Promise<EventStream<Body>> {
    const { after, reader } = options;
    const { topic, close } = await tail.open({ topics: [options.topic].flat(), reader });
    const undo = [close];
    try {
      let access: Access | null = null;
      if (options.access) {
        const { ask } = options.access;
        const changes = await tail.open({ topics: [options.access.topic].flat() });
        undo.push(changes.close);
        access = { ask, topic: changes.topic, place: changes.topic.end };
        // What changes from here on is seen as news of `place`.
        await ask();
      }
      if (after != null) return new EventStream<Body>(tail, topic, access, await tail.snapshotOf(after), null, undo);
      const now = tail.now();
      return new EventStream<Body>(tail, topic, access, now.snapshot, now.event, undo);
    } catch (error) {
      for (const step of undo) step();
      throw error;
    }
  }

  async next(): Promise<IteratorResult<LiveEvent<Body>, void>> {
    return (await this.take(true)) as IteratorResult<LiveEvent<Body>, void>;
  }

  /** Like `next`, but null where that would wait for something to happen. */
  async nextMissed(): Promise<IteratorResult<LiveEvent<Body>, void> | null> {
    return this.take(false);
  }

  private async take(waits: boolean): Promise<IteratorResult<LiveEvent<Body>, void> | null> {
    try {
      const event = await this.following(waits);
      if (event) return { value: event as LiveEvent<Body>, done: false };
      if (!waits && !this.isOver && !this.topic.isOver) return null;
    } catch (error) {
      this.fail(error);
    }
    const failure = this.failure;
    this.failure = null;
    this.end();
    if (failure) throw failure.error;
    return { value: undefined, done: true };
  }

  /**
   * For whoever hands the events of a topic to many at once: where this one stands in the topic's memory when it has handed on
   * all that is there. It then holds none of what comes, until `goOnAt`. Null while `next` would do anything but wait.
   */
  rest(): Place | null {
    const { at } = this;
    if (!at || at.kept || this.beginning || this.isBehind || this.isInDoubt || this.isOver || this.topic.isOver)
      return null;
    this.at = {};
    return at;
  }

  /** All that happened before `place` has been handed on otherwise. */
  goOnAt(place: Place): void {
    this.at = place;
  }

  /** Nothing may be handed on before `next` has asked again. */
  get isInDoubt(): boolean {
    return this.access?.place.kept !== undefined;
  }

  private async following(waits: boolean): Promise<LiveEvent | null> {
    const event = await this.upcoming(waits);
    if (event) this.isBehind = false;
    return event;
  }

  /** Null when the stream is over, or has nothing now and is not to wait. */
  private async upcoming(waits: boolean): Promise<LiveEvent | null> {
    if (this.beginning) {
      const { beginning } = this;
      this.beginning = null;
      return this.isOver ? null : beginning;
    }
    while (!this.isOver) {
      if (!this.at) {
        const { value } = await this.missed.next();
        if (value && (await this.mayGoOn())) return value.event;
      } else if (this.isInDoubt) {
        // And look anew: between an answer and what is handed on nothing else must have happened.
        await this.mayGoOn();
      } else {
        const { kept, next } = this.at;
        if (kept && next) {
          this.at = next;
          if (isNews(kept, this.after)) return kept.event;
        } else {
          if (this.topic.isOver) return null;
          // Else it would be looked through again after the next break.
          if (this.isBehind) return this.tail.now().event;
          if (!waits) return null;
          const standing = await this.topic.arrival((cut) => {
            this.wake = cut;
          });
          if (standing && !this.isOver && !this.isInDoubt && !this.at.kept) return standing;
        }
      }
    }
    return null;
  }

  /** Ends with `at` set. */
  private async *replay(): AsyncGenerator<KeptEvent, void> {
    const { topic } = this;
    for (;;) {
      this.at = topic.placeAfter(this.after);
      if (this.at) return;
      this.isBehind = true;
      const few = async (to: Snapshot) => {
        const { events, isLast } = await this.tail.replay(topic, this.after, to);
        return isLast ? events : null;
      };
      if (await topic.reachBack(this.after, few)) continue;
      const to = topic.reachesBackTo;
      let page: Page | undefined;
      do {
        page = await this.tail.replay(topic, this.after, to, { limit: PAGE, after: page?.last });
        yield* page.events;
      } while (!page.isLast);
      this.after = to;
    }
  }

  /** False when the stream is over. */
  private async mayGoOn(): Promise<boolean> {
    while (!this.isOver && this.access && this.isInDoubt) {
      this.asking ??= this.askAgain(this.access);
      await this.asking;
    }
    return !this.isOver;
  }

  private async askAgain(access: Access): Promise<void> {
    let { place } = access;
    while (place.next) place = place.next;
    try {
      await access.ask();
      access.place = place;
    } catch (error) {
      if (error instanceof DomainError || error instanceof Refusal) this.fail(error);
      else await sleep(ASK_AGAIN_MS);
    } finally {
      this.asking = null;
    }
  }

  /** Calls it once, when it has ended, whyever: `next` then tells. */
  whenOver(call: () => void): void {
    if (this.isOver) call();
    else this.onOver = call;
  }

  private fail(error: unknown): void {
    if (!this.isOver) this.failure = { error };
    this.end();
  }

  private end(): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const step of this.undo) step();
    this.wake?.();
    this.onOver?.();
  }

  async return(): Promise<IteratorResult<LiveEvent<Body>, void>> {
    this.end();
    return { value: undefined, done: true };
  }

  async throw(error: unknown): Promise<never> {
    this.end();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end();
  }
}
