import { useEffect, useMemo, useSyncExternalStore } from 'react';
import {
  type Api,
  type ChannelSearch,
  ChannelSearchList,
  type ChannelSearchView,
  type Feed,
  FeedList,
  type FeedView,
  type PagedView,
  SearchList,
  type SearchView,
  SuggestionList,
  type VideoSearch,
} from '../api/index.js';
import type { QueryList } from '../api/search-list.js';
import type { Shown } from '../api/shown.js';

/** What is typed is asked for when the typing rests so long. */
const REST_MS = 150;
/** What stands ahead is looked for no sooner than so long after the last time, however often somebody comes back. */
const LOOK_AGAIN_MS = 60_000;

interface PagedOptions {
  /** 20 unless given; 100 at most. */
  pageSize?: number;
}

interface TypedOptions {
  /** So long the typing has to rest before it is asked for, in milliseconds; 150 unless given. The first query does not wait. */
  restMs?: number;
}

/** How one goes on with a list. */
export interface Paging {
  /** The next page. */
  loadMore(): Promise<void>;
  /** Tries what failed once more, or now what waits. */
  retry(): void;
}

export interface UseSearchOptions extends VideoSearch, PagedOptions, TypedOptions {}

export interface UseSearch extends SearchView, Paging {}

/**
 * Videos that are searched for, as somebody types: a newer query ends the one before it, and answers out of order are never shown.
 * Nothing is asked for an empty query.
 */
export function useSearch(api: Api, options: UseSearchOptions): UseSearch {
  const { query, filter, orderBy, pageSize, restMs } = options;
  const list = useMemo(() => new SearchList(api, pageSize), [api, pageSize]);
  return useTyped(list, { query, filter, orderBy }, restMs);
}

export interface UseChannelSearchOptions extends PagedOptions, TypedOptions {
  query: string;
}

export interface UseChannelSearch extends ChannelSearchView, Paging {}

/** Channels that are searched for, as somebody types. */
export function useChannelSearch(api: Api, options: UseChannelSearchOptions): UseChannelSearch {
  const { query, pageSize, restMs } = options;
  const list = useMemo(() => new ChannelSearchList(api, pageSize), [api, pageSize]);
  return useTyped(list, { query }, restMs);
}

export interface UseSuggestionsOptions extends TypedOptions {
  /** 8 unless given; 20 at most. */
  first?: number;
}

/** What somebody may want to search for who has typed so far; none where there is no answer. */
export function useSuggestions(api: Api, prefix: string, options: UseSuggestionsOptions = {}): readonly string[] {
  const { first, restMs = REST_MS } = options;
  const list = useMemo(() => new SuggestionList(api, first), [api, first]);
  useEffect(() => later(() => void list.suggest(prefix), prefix.trim() === '' ? 0 : restMs), [list, prefix, restMs]);
  return useShown(list);
}

export interface UseFeedOptions extends PagedOptions {
  /** Looks what stands ahead whenever somebody comes back to the page, once a minute at most. Not unless given. */
  offersNew?: boolean;
}

export interface UseFeed extends FeedView, Paging {
  /** Looks what stands ahead by now. It is offered as `newCount`. */
  refresh(): Promise<void>;
  /** Begins anew with what stood ahead. */
  showNew(): void;
}

/** The videos of a feed, each once, by pages. What comes ahead of them is offered, and moves nothing. */
export function useFeed(api: Api, feed: Feed, options: UseFeedOptions = {}): UseFeed {
  const { pageSize, offersNew = false } = options;
  // As text: a feed that says the same is the same.
  const which = JSON.stringify(feed);
  const list = useMemo(() => new FeedList(api, JSON.parse(which) as Feed, pageSize), [api, which, pageSize]);
  useEffect(() => {
    list.start();
    return () => list.stop();
  }, [list]);
  useEffect(() => {
    if (!offersNew) return;
    let lookedAt = performance.now();
    const seen = () => {
      if (document.visibilityState === 'hidden' || performance.now() - lookedAt < LOOK_AGAIN_MS) return;
      lookedAt = performance.now();
      void list.refresh();
    };
    document.addEventListener('visibilitychange', seen);
    return () => document.removeEventListener('visibilitychange', seen);
  }, [list, offersNew]);
  const view = useSyncExternalStore(list.subscribe, list.read, list.read);
  const { loadMore, retry, refresh, showNew } = list;
  return { ...view, loadMore, retry, refresh, showNew };
}

function useTyped<View extends PagedView & ChannelSearch, Wanted extends ChannelSearch>(
  list: QueryList<View, { readonly id: string }, Wanted>,
  wanted: Wanted,
  restMs = REST_MS,
): View & Paging {
  // As text: a filter that says the same is the same.
  const text = JSON.stringify(wanted);
  useEffect(() => {
    const search = JSON.parse(text) as Wanted;
    const isFirst = list.read().state === 'idle';
    return later(() => list.search(search), isFirst || search.query.trim() === '' ? 0 : restMs);
  }, [list, text, restMs]);
  const view = useShown(list);
  const { loadMore, retry } = list;
  return { ...view, loadMore, retry };
}

/** What a list shows, until the component goes, or has another list. */
function useShown<View>(list: Shown<View> & { stop(): void }): View {
  useEffect(() => () => list.stop(), [list]);
  return useSyncExternalStore(list.subscribe, list.read, list.read);
}

/** @returns how to call it off */
function later(deed: () => void, ms: number): () => void {
  const timer = setTimeout(deed, ms);
  return () => clearTimeout(timer);
}
