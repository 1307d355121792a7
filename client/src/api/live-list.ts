import { type Follower, type StreamEvent, wait } from './follow.js';
import { ApiError } from './operation.js';
import { Shown } from './shown.js';

/** What every list shows beside its items. */
export interface ListView {
  /** `loading` until the first page is there; `live`, or `waiting` for the server; `ended` when it is not theirs to see any more. */
  readonly state: 'loading' | 'live' | 'waiting' | 'ended';
  readonly hasMore: boolean;
  /** Why it ended, or why the last page could not be read. */
  readonly error: ApiError | null;
}

export interface PageInfo {
  readonly hasNextPage: boolean;
  readonly endCursor?: string | null;
}

/** Without a stream for so long, what can be had without one is shown. */
const NO_STREAM_MS = 3_000;
const RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 30_000;
/** So many items are kept, or as many as were asked for: a list that is open for a day does not grow for a day. */
const MOST = 500;
/** More than the server gives at once. */
const MOST_A_PAGE = 100;
const FINAL = new Set(['NOT_FOUND', 'UNAUTHENTICATED', 'FORBIDDEN', 'BAD_USER_INPUT']);

/**
 * A list whose pages are read and whose changes are told. Each answer shows the list as it was at some moment while it was on
 * its way: what was told in that time is applied once more after it, so that nothing is lost, nor comes back.
 */
export abstract class LiveList<
  View extends ListView,
  Item extends { readonly id: string },
  Event extends StreamEvent,
  Page,
> extends Shown<View> {
  private stopFollowing: (() => void) | null = null;
  private isLive = false;
  /** Ends all that was asked for. */
  private run = new AbortController();
  private first: Promise<void> | null = null;
  private next: Promise<void> | null = null;
  /** Where the list goes on; null: behind what is known, wherever that is. */
  private after: string | null = null;
  private most = MOST;
  private readonly unanswered = new Set<(() => void)[]>();
  private isTelling = false;

  protected constructor(
    view: View,
    private readonly pageSize: number,
  ) {
    super(view);
  }

  /** Begins to listen. @returns how to stop */
  protected abstract listen(follower: Follower<Event>): () => void;
  /** @param after null: from the beginning @throws ApiError; NOT_FOUND and UNAUTHENTICATED end it */
  protected abstract ask(first: number, after: string | null, signal: AbortSignal): Promise<Page>;
  protected abstract infoOf(page: Page): PageInfo;
  /** What the view says with the page, beside `kept` and what is new in it. */
  protected abstract shown(page: Page, kept: readonly Item[]): Partial<View>;
  protected abstract itemsOf(view: View): readonly Item[];
  protected abstract withItems(items: readonly Item[]): Partial<View>;
  /** Everything in an event is as it is now, so the same one twice does no harm. */
  protected abstract apply(event: Event): void;
  /** An event has come, once. */
  protected told(_event: Event): void {}

  /** Begins to read and to listen. */
  start(): void {
    if (this.stopFollowing) return;
    // Where no WebSocket gets through.
    const late = setTimeout(() => this.begin(), NO_STREAM_MS);
    const stop = this.listen({
      onBegin: () => {
        clearTimeout(late);
        this.begin();
      },
      onEvent: (event) => {
        this.told(event);
        this.change(() => this.apply(event));
      },
      onLive: (live) => {
        this.isLive = live;
        if (this.view.state === 'live' || this.view.state === 'waiting') this.show(this.stateNow());
      },
      onEnd: (error) => {
        clearTimeout(late);
        this.end(error);
      },
    });
    this.stopFollowing = () => {
      clearTimeout(late);
      stop();
    };
  }

  stop(): void {
    this.stopFollowing?.();
    this.stopFollowing = null;
    this.isLive = false;
    this.run.abort();
    this.first = null;
  }

  protected get isStarted(): boolean {
    return this.stopFollowing !== null;
  }

  /** The next page. Asked twice at once it is one. */
  readonly loadMore = (): Promise<void> => {
    this.next ??= this.goOn().finally(() => {
      this.next = null;
    });
    return this.next;
  };

  /** Does it, and once more after each answer that was on its way by then: that may be from before it. */
  protected change(deed: () => void): void {
    for (const later of this.unanswered) later.push(deed);
    this.together(deed);
  }

  /** Shows an answer, then what changed while it was on its way. */
  protected async answered<Answer>(asked: Promise<Answer>, take: (answer: Answer) => void, signal = this.run.signal) {
    const later: (() => void)[] = [];
    this.unanswered.add(later);
    try {
      const answer = await asked;
      if (signal.aborted) return;
      this.together(() => {
        take(answer);
        for (const deed of later) deed();
      });
    } finally {
      this.unanswered.delete(later);
    }
  }

  protected show(change: Partial<View>): void {
    this.view = { ...this.view, ...change };
    if (!this.isTelling) this.tell();
  }

  /** A new one, above all others. */
  protected putFirst(item: Item): void {
    const items = [item, ...this.itemsOf(this.view)];
    if (items.length <= this.most) this.show(this.withItems(items));
    else {
      this.after = null;
      this.show({ ...this.withItems(items.slice(0, this.most - MOST_A_PAGE)), hasMore: true } as Partial<View>);
    }
  }

  private begin(): void {
    this.run.abort();
    this.run = new AbortController();
    this.first = this.readFirst(this.run.signal);
  }

  private async readFirst(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.answered(this.ask(this.pageSize, null, signal), (page) => this.showPage(page, []), signal);
        break;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiError && FINAL.has(error.code)) {
          this.end(error);
          break;
        }
        this.show({ error } as Partial<View>);
        await wait(Math.random() * Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** attempt), signal);
      }
    }
    if (!signal.aborted) this.first = null;
  }

  private async goOn(): Promise<void> {
    // What is behind the first page is known when that is there.
    if (this.first !== null) return this.first;
    const { signal } = this.run;
    try {
      for (let isNew = false; !isNew && this.view.hasMore && !signal.aborted; ) {
        const size = this.after === null ? MOST_A_PAGE : this.pageSize;
        const before = this.itemsOf(this.view).length;
        const take = (page: Page) => {
          this.showPage(page, this.itemsOf(this.view));
          isNew = this.itemsOf(this.view).length > before;
        };
        await this.answered(this.ask(size, this.after, signal), take, signal);
      }
      this.most = Math.max(MOST, this.itemsOf(this.view).length + MOST_A_PAGE);
    } catch (error) {
      if (!signal.aborted) this.show({ error } as Partial<View>);
    }
  }

  private showPage(page: Page, kept: readonly Item[]): void {
    const { endCursor, hasNextPage } = this.infoOf(page);
    this.after = endCursor ?? this.after;
    if (kept.length === 0) this.most = MOST;
    this.show({ ...this.shown(page, kept), ...this.stateNow(), error: null, hasMore: hasNextPage } as Partial<View>);
  }

  private stateNow(): Partial<View> {
    return { state: this.isLive ? 'live' : 'waiting' } as Partial<View>;
  }

  private end(error: ApiError): void {
    this.show({ ...this.withItems([]), state: 'ended', error, hasMore: false } as Partial<View>);
  }

  /** Many changes are shown as one. */
  private together(deed: () => void): void {
    const isInner = this.isTelling;
    this.isTelling = true;
    try {
      deed();
    } finally {
      this.isTelling = isInner;
    }
    if (!isInner) this.tell();
  }
}

/** Those of `items` behind the ones that are known. */
export function joined<Item extends { readonly id: string }>(kept: readonly Item[], items: readonly Item[]): Item[] {
  const known = new Set(kept.map(({ id }) => id));
  return [...kept, ...items.filter(({ id }) => !known.has(id))];
}
