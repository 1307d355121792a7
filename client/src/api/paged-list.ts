import { wait } from './follow.js';
import { joined, type PageInfo } from './live-list.js';
import { ApiError } from './operation.js';
import { Shown } from './shown.js';

/** What every list that is read by pages shows beside its items. */
export interface PagedView {
  /**
   * `idle`: nothing is asked for. `loading` until the first page is there, then `ready`. `waiting` for a server that is away or
   * wants to be left alone: it is asked again by itself. `failed`: refused, and asked again by `retry` alone.
   */
  readonly state: 'idle' | 'loading' | 'ready' | 'waiting' | 'failed';
  readonly hasMore: boolean;
  readonly isLoadingMore: boolean;
  /** Why it waits, or failed. */
  readonly error: ApiError | null;
}

/** A page as it is shown. */
export interface Page<View, Item> {
  readonly nodes: readonly Item[];
  readonly pageInfo: PageInfo;
  /** What the view says with a first page, beside its items. */
  readonly besides?: Partial<View>;
}

/** @internal */
export const NOTHING: PagedView = { state: 'idle', hasMore: false, isLoadingMore: false, error: null };
const RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 30_000;
/** More than the server gives at once. */
const MOST_A_PAGE = 100;
/** So often places end while one page is turned; then it is no accident. */
const MOST_EXPIRED = 3;
/** What another try may change. */
const PASSING = ['OFFLINE', 'RATE_LIMITED', 'INTERNAL'];

/**
 * A list of which pages are read, and nothing is told. Whatever begins it anew ends all that was asked for, and an answer that
 * comes all the same is dropped.
 */
export abstract class PagedList<View extends PagedView, Item extends { readonly id: string }> extends Shown<View> {
  private run = new AbortController();
  private next: Promise<void> | null = null;
  /** Its first page is there. */
  private isRead = false;
  /** Where the list goes on; null: behind what is shown, wherever that is. */
  private after: string | null = null;
  /** Until then the server wants to be left alone, and said so with this. */
  private quietUntil = 0;
  private limit: unknown;

  /** @param name what the items are called in the view */
  protected constructor(
    view: View,
    private readonly name: keyof View,
    private readonly pageSize: number,
  ) {
    super(view);
  }

  /** @param after null: from the beginning @throws ApiError */
  protected abstract ask(first: number, after: string | null, signal: AbortSignal): Promise<Page<View, Item>>;

  /** Begins to read; what was read before it was stopped stays. */
  start(): void {
    if (!this.isRead) this.begin();
  }

  stop(): void {
    this.newRun();
    this.show({ isLoadingMore: false, ...(this.isRead && { state: 'ready' }) } as Partial<View>);
  }

  /** The next page. Asked twice at once it is one. */
  readonly loadMore = (): Promise<void> => {
    const next = this.next ?? this.goOn();
    this.next = next;
    return next.finally(() => {
      if (this.next === next) this.next = null;
    });
  };

  /** Tries what failed once more, or now what waits; not sooner than the server wants it. */
  readonly retry = (): void => {
    if (this.view.error === null) return;
    if (this.isRead) {
      this.newRun();
      void this.loadMore();
    } else this.begin();
  };

  /** Ends what was asked for, and reads from the beginning. What is shown stays until the answer is there. */
  protected begin(): void {
    this.forget('loading');
    void this.turn(this.run.signal);
  }

  /** Begins with a page that is there. */
  protected beginWith(page: Page<View, Item>): void {
    this.forget('ready');
    this.showPage(page);
  }

  /** Ends what was asked for: nothing is. */
  protected clear(): void {
    this.forget('idle');
    this.showItems([]);
  }

  /** The first page as it is now, to be held against what is shown; null: there is no answer, and the next time will do. */
  protected async peek(): Promise<Page<View, Item> | null> {
    const { signal } = this.run;
    if (!this.isRead) return null;
    const page = await this.asked(this.pageSize, null, signal).catch(() => null);
    return signal.aborted ? null : page;
  }

  protected show(change: Partial<View>): void {
    this.view = { ...this.view, ...change };
    this.tell();
  }

  /** Ends all that was asked for. */
  private newRun(): void {
    this.run.abort();
    this.run = new AbortController();
    this.next = null;
  }

  private forget(state: PagedView['state']): void {
    this.newRun();
    this.isRead = false;
    this.after = null;
    this.show({ ...NOTHING, state } as Partial<View>);
  }

  private async goOn(): Promise<void> {
    if (!this.view.hasMore) return;
    this.show({ isLoadingMore: true } as Partial<View>);
    await this.turn(this.run.signal);
  }

  /** Reads pages until there is something new on one. */
  private async turn(signal: AbortSignal): Promise<void> {
    let expired = 0;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const first = this.isRead && this.after === null ? MOST_A_PAGE : this.pageSize;
        const page = await this.asked(first, this.after, signal);
        if (signal.aborted || this.showPage(page)) return;
        attempt = 0;
      } catch (error) {
        if (signal.aborted) return;
        const { code } = error as ApiError;
        // A ranking of long ago is no more: what follows what is shown is found from the beginning.
        if (code === 'CURSOR_EXPIRED' && expired++ < MOST_EXPIRED) this.after = null;
        else {
          const isPassing = !(error instanceof ApiError) || PASSING.includes(code);
          const state = isPassing ? 'waiting' : 'failed';
          this.showItems(this.items, { state, isLoadingMore: isPassing && this.isRead, error } as Partial<View>);
          if (!isPassing) return;
          const ms = Math.random() * Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** attempt);
          // All who were limited together would come back together.
          await wait(Math.max(0, this.quietUntil - performance.now()) + ms, signal);
        }
      }
    }
  }

  /** Leaves the server alone as long as it wants, whoever asks. @throws ApiError */
  private async asked(first: number, after: string | null, signal: AbortSignal): Promise<Page<View, Item>> {
    if (performance.now() < this.quietUntil) throw this.limit;
    try {
      return await this.ask(first, after, signal);
    } catch (error) {
      const { retryAfterMs } = error as ApiError;
      if (retryAfterMs) {
        this.quietUntil = performance.now() + retryAfterMs;
        this.limit = error;
      }
      throw error;
    }
  }

  /** @returns whether it shows anything new, or there is nothing more */
  private showPage({ nodes, pageInfo, besides }: Page<View, Item>): boolean {
    const { items: kept, isRead } = this;
    const items = joined(kept, nodes);
    const hasMore = pageInfo.hasNextPage;
    const isOver = items.length > kept.length || !hasMore;
    this.isRead = true;
    this.after = pageInfo.endCursor ?? this.after;
    const shown = { hasMore, isLoadingMore: isRead && !isOver, error: null, ...(isOver && { state: 'ready' }) };
    this.showItems(items, { ...(!isRead && besides), ...shown } as Partial<View>);
    return isOver;
  }

  /** What is shown before the first page is of something else. */
  private get items(): readonly Item[] {
    return this.isRead ? (this.view[this.name] as readonly Item[]) : [];
  }

  private showItems(items: readonly Item[], change: Partial<View> = {}): void {
    this.show({ [this.name]: items, ...change } as Partial<View>);
  }
}
