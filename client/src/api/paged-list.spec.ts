import { ApiError } from './operation.js';
import { type Page, PagedList, type PagedView } from './paged-list.js';

interface Item {
  readonly id: string;
}
interface View extends PagedView {
  readonly items: readonly Item[];
  readonly total: number | null;
}
interface Asked {
  readonly first: number;
  readonly after: string | null;
  readonly signal: AbortSignal;
  answer(ids: string, hasNextPage?: boolean): Promise<void>;
  refuse(code: string, retryAfterMs?: number): Promise<void>;
}

const NOTHING: View = { state: 'idle', items: [], total: null, hasMore: false, isLoadingMore: false, error: null };
/** What was promised is done. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Letters, of which the test says when and how they are answered. */
class Letters extends PagedList<View, Item> {
  readonly requests: Asked[] = [];

  constructor() {
    super(NOTHING, 'items', 2);
  }

  begins = () => this.begin();
  beginsWith = (page: Page<View, Item>) => this.beginWith(page);
  clears = () => this.clear();
  peeks = () => this.peek();

  protected ask(first: number, after: string | null, signal: AbortSignal): Promise<Page<View, Item>> {
    return new Promise((resolve, reject) => {
      const answer = (ids: string, hasNextPage = false) => {
        resolve(pageOf(ids, hasNextPage));
        return settled();
      };
      const refuse = (code: string, retryAfterMs?: number) => {
        reject(new ApiError(code, code, null, retryAfterMs));
        return settled();
      };
      this.requests.push({ first, after, signal, answer, refuse });
    });
  }
}
const pageOf = (ids: string, hasNextPage = false): Page<View, Item> => ({
  nodes: [...ids].map((id) => ({ id })),
  pageInfo: { hasNextPage, endCursor: `after ${ids.at(-1)}` },
  // Another one for each page.
  besides: { total: ids.charCodeAt(0) },
});

let list: Letters;
beforeEach(() => {
  list = new Letters();
});
afterEach(() => list.stop());

const ids = () =>
  list
    .read()
    .items.map(({ id }) => id)
    .join('');
const last = () => list.requests.at(-1) as Asked;
async function first(letters: string, hasNextPage = true): Promise<void> {
  list.start();
  await last().answer(letters, hasNextPage);
}

describe('PagedList', () => {
  it('reads page after page, each once', async () => {
    list.start();
    expect(list.read()).toMatchObject({ state: 'loading', items: [] });
    await last().answer('ab', true);
    expect(list.read()).toMatchObject({ state: 'ready', hasMore: true, total: 97, error: null });
    const more = [list.loadMore(), list.loadMore()];
    expect(list.read().isLoadingMore).toBe(true);
    expect(list.requests).toHaveLength(2);
    expect(last()).toMatchObject({ first: 2, after: 'after b' });
    await last().answer('cd');
    await Promise.all(more);
    expect(ids()).toBe('abcd');
    // What is said of the whole is said once.
    expect(list.read()).toMatchObject({ state: 'ready', hasMore: false, isLoadingMore: false, total: 97 });
    await list.loadMore();
    expect(list.requests).toHaveLength(2);
  });

  it('shows nothing twice, and goes on over a page of what is known', async () => {
    await first('ab');
    const more = list.loadMore();
    await last().answer('ab', true);
    await last().answer('bc', true);
    await more;
    expect(ids()).toBe('abc');
    expect(list.requests).toHaveLength(3);
  });

  it('goes on over a first page that is empty', async () => {
    await first('', true);
    expect(list.read()).toMatchObject({ state: 'loading', isLoadingMore: false });
    await last().answer('a');
    expect(ids()).toBe('a');
    expect(list.read()).toMatchObject({ state: 'ready', isLoadingMore: false });
  });

  it('drops what is answered after it began anew', async () => {
    await first('ab');
    const more = list.loadMore();
    const [, old] = list.requests as [Asked, Asked];
    list.begins();
    expect(old.signal.aborted).toBe(true);
    expect(last()).toMatchObject({ first: 2, after: null });
    expect(list.read()).toMatchObject({ state: 'loading', isLoadingMore: false });
    // Until there is an answer, what was there.
    expect(ids()).toBe('ab');
    await last().answer('xy', true);
    const next = list.loadMore();
    expect(last().after).toBe('after y');
    await old.answer('cd', true);
    await more;
    expect(ids()).toBe('xy');
    // It is still the one that is asked for.
    void list.loadMore();
    expect(list.requests).toHaveLength(4);
    await last().answer('z');
    await next;
    expect(ids()).toBe('xyz');
  });

  it('drops what is refused after it began anew', async () => {
    list.start();
    const { refuse } = last();
    list.begins();
    await refuse('FORBIDDEN');
    expect(list.read()).toMatchObject({ state: 'loading', error: null });
    await last().answer('ab', true);
    void list.loadMore();
    const old = last();
    list.begins();
    await old.refuse('CURSOR_EXPIRED');
    expect(list.requests).toHaveLength(4);
    await last().answer('xy');
    expect(ids()).toBe('xy');
  });

  it('drops an answer that comes in the same moment', async () => {
    list.start();
    const [old] = list.requests as [Asked];
    void old.answer('ab');
    list.begins();
    await last().answer('xy');
    expect(ids()).toBe('xy');
  });

  it('shows nothing once it is cleared', async () => {
    await first('ab');
    list.begins();
    const { answer } = last();
    list.clears();
    await answer('cd');
    expect(list.read()).toMatchObject({ state: 'idle', items: [], hasMore: false });
    // There is nothing to try.
    list.retry();
    expect(list.requests).toHaveLength(2);
  });

  it('waits for a server that is away, and asks at once when it is told to', async () => {
    await first('ab');
    list.begins();
    await last().refuse('OFFLINE');
    expect(list.read()).toMatchObject({ state: 'waiting', items: [], error: { code: 'OFFLINE' } });
    list.retry();
    await last().answer('ab', true);
    expect(list.read()).toMatchObject({ state: 'ready', error: null });
    void list.loadMore();
    await last().refuse('INTERNAL');
    // What was read stays.
    expect(list.read()).toMatchObject({ state: 'waiting', isLoadingMore: true, error: { code: 'INTERNAL' } });
    expect(ids()).toBe('ab');
    list.retry();
    await last().answer('cd');
    expect(ids()).toBe('abcd');
    expect(list.read()).toMatchObject({ state: 'ready', isLoadingMore: false, error: null });
  });

  it('asks again by itself', async () => {
    jest.spyOn(Math, 'random').mockReturnValue(0);
    list.start();
    await last().refuse('OFFLINE');
    while (list.requests.length < 2) await settled();
    await last().answer('a');
    expect(ids()).toBe('a');
    jest.restoreAllMocks();
  });

  it('says what is refused for good, and asks again when it is told to', async () => {
    list.start();
    await last().refuse('BAD_USER_INPUT');
    expect(list.read()).toMatchObject({ state: 'failed', error: { code: 'BAD_USER_INPUT' } });
    list.retry();
    await last().answer('ab', true);
    void list.loadMore();
    await last().refuse('FORBIDDEN');
    expect(list.read()).toMatchObject({ state: 'failed', isLoadingMore: false, error: { code: 'FORBIDDEN' } });
    expect(ids()).toBe('ab');
    list.retry();
    await last().answer('cd');
    expect(ids()).toBe('abcd');
  });

  it('leaves the server alone as long as it wants', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate'] });
    jest.spyOn(Math, 'random').mockReturnValue(0.5);
    try {
      list.start();
      await last().refuse('RATE_LIMITED', 5_000);
      expect(list.read()).toMatchObject({ state: 'waiting', error: { code: 'RATE_LIMITED' } });
      // Neither a wish to hurry nor something else to read changes that.
      list.retry();
      list.begins();
      await settled();
      expect(list.read()).toMatchObject({ state: 'waiting', error: { code: 'RATE_LIMITED' } });
      // And then not all at once: between 5 and 7 s.
      jest.advanceTimersByTime(5_999);
      await settled();
      expect(list.requests).toHaveLength(1);
      jest.advanceTimersByTime(1);
      await settled();
      expect(list.requests).toHaveLength(2);
      await last().answer('a');
      expect(list.read()).toMatchObject({ state: 'ready', error: null });
    } finally {
      jest.restoreAllMocks();
      jest.useRealTimers();
    }
  });

  it('finds what follows from the beginning when its place is no more', async () => {
    await first('ab');
    void list.loadMore();
    await last().answer('cd', true);
    const more = list.loadMore();
    await last().refuse('CURSOR_EXPIRED');
    expect(last()).toMatchObject({ first: 100, after: null });
    // The ranking is another one: each once, and nothing moves that is shown.
    await last().answer('cabed', true);
    await more;
    expect(ids()).toBe('abcde');
    expect(list.read()).toMatchObject({ state: 'ready', error: null });
    void list.loadMore();
    expect(last()).toMatchObject({ first: 2, after: 'after d' });
  });

  it('gives up where every place is no more', async () => {
    await first('ab');
    const more = list.loadMore();
    while (list.read().state !== 'failed') await last().refuse('CURSOR_EXPIRED');
    await more;
    expect(list.read().error).toMatchObject({ code: 'CURSOR_EXPIRED' });
    expect(list.requests.length).toBeLessThan(10);
  });

  it('keeps what it has when it is stopped, and goes on', async () => {
    await first('ab');
    void list.loadMore();
    await last().refuse('OFFLINE');
    list.stop();
    expect(list.read()).toMatchObject({ state: 'ready', isLoadingMore: false });
    list.start();
    void list.loadMore();
    await last().answer('cd');
    expect(ids()).toBe('abcd');
  });

  it('begins anew when it was stopped before there was anything', async () => {
    list.start();
    const { answer } = last();
    list.stop();
    await answer('ab');
    expect(ids()).toBe('');
    list.start();
    await last().answer('cd');
    expect(ids()).toBe('cd');
  });

  it('looks at what stands ahead, and begins with it', async () => {
    await first('ab');
    const peek = list.peeks();
    await last().answer('xa', true);
    expect(await peek).toMatchObject({ nodes: [{ id: 'x' }, { id: 'a' }] });
    expect(ids()).toBe('ab');
    void list.loadMore();
    const { answer } = last();
    list.beginsWith(pageOf('xa', true));
    await answer('cd', true);
    expect(ids()).toBe('xa');
    void list.loadMore();
    expect(last().after).toBe('after a');
    const refused = list.peeks();
    await last().refuse('OFFLINE');
    expect(await refused).toBeNull();
    expect(list.read()).toMatchObject({ state: 'ready', error: null });
  });
});
