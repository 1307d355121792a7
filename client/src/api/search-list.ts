import type { Api } from './api.js';
import { highlightParts, type TextPart } from './highlight.js';
import {
  type ChannelCardFragment,
  SearchChannels,
  SearchVideos,
  type SearchVideosQueryVariables,
  type VideoTileFragment,
} from './operations.js';
import { NOTHING, PagedList, type PagedView } from './paged-list.js';

/** What is searched for. */
export type VideoSearch = Pick<SearchVideosQueryVariables, 'query' | 'filter' | 'orderBy'>;
export type ChannelSearch = Pick<VideoSearch, 'query'>;

/** A video that was found. */
export interface SearchResult {
  readonly id: string;
  readonly video: VideoTileFragment;
  /** Its title, with what was searched for. */
  readonly title: readonly TextPart[];
  /** A piece of its description where that matched. */
  readonly excerpt: readonly TextPart[] | null;
}

export interface SearchView extends PagedView {
  /** What is searched for. */
  readonly query: string;
  /** While it is `loading`, those of the query before, so that nothing flickers. */
  readonly results: readonly SearchResult[];
  /** Null where counting costs too much. */
  readonly totalCount: number | null;
  /** What was searched for in place of the query, which has a typo. */
  readonly correctedQuery: string | null;
}

export interface ChannelSearchView extends PagedView {
  /** What is searched for. */
  readonly query: string;
  /** While it is `loading`, those of the query before, so that nothing flickers. */
  readonly channels: readonly ChannelCardFragment[];
}

const NO_ANSWER = { totalCount: null, correctedQuery: null };

/** Each search ends the one before it: its answer is not waited for, nor shown. */
export abstract class QueryList<
  View extends PagedView & { readonly query: string },
  Item extends { readonly id: string },
  Wanted extends { readonly query: string },
> extends PagedList<View, Item> {
  protected wanted = { query: '' } as Wanted;
  /** What no answer says. */
  protected readonly unknown: Partial<View> = {};

  /** Searches for this from now on; for nothing where the query is empty. */
  readonly search = (wanted: Wanted): void => {
    this.wanted = wanted;
    this.show({ ...this.unknown, query: wanted.query });
    if (wanted.query.trim() === '') this.clear();
    else this.begin();
  };
}

/** Videos that are searched for. */
export class SearchList extends QueryList<SearchView, SearchResult, VideoSearch> {
  protected override readonly unknown = NO_ANSWER;

  constructor(
    private readonly api: Api,
    pageSize = 20,
  ) {
    super({ ...NOTHING, ...NO_ANSWER, query: '', results: [] }, 'results', pageSize);
  }

  protected async ask(first: number, after: string | null, signal: AbortSignal) {
    const { searchVideos } = await this.api.request(SearchVideos, { ...this.wanted, first, after }, signal);
    const { edges, pageInfo, ...besides } = searchVideos;
    return { nodes: edges.map(({ node, highlights }) => resultOf(node, highlights)), pageInfo, besides };
  }
}

/** Channels that are searched for. */
export class ChannelSearchList extends QueryList<ChannelSearchView, ChannelCardFragment, ChannelSearch> {
  constructor(
    private readonly api: Api,
    pageSize = 20,
  ) {
    super({ ...NOTHING, query: '', channels: [] }, 'channels', pageSize);
  }

  protected async ask(first: number, after: string | null, signal: AbortSignal) {
    return (await this.api.request(SearchChannels, { ...this.wanted, first, after }, signal)).searchChannels;
  }
}

function resultOf(video: VideoTileFragment, [title = '', excerpt]: readonly string[]): SearchResult {
  return { id: video.id, video, title: highlightParts(title), excerpt: excerpt ? highlightParts(excerpt) : null };
}
