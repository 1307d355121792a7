import type { Api } from './api.js';
import { joined } from './live-list.js';
import { ApiError } from './operation.js';
import {
  ChannelVideos,
  NewestVideos,
  RelatedVideos,
  SubscriptionFeed,
  TrendingVideos,
  type VideoTileFragment,
} from './operations.js';
import { NOTHING, type Page, PagedList, type PagedView } from './paged-list.js';

/** Which videos: of everybody, of the channels that one follows, of a channel (its id or handle), or like a video (its id). */
export type Feed =
  | 'newest'
  | 'trending'
  | 'subscriptions'
  | { readonly channel: string }
  | { readonly related: string };

export interface FeedView extends PagedView {
  readonly videos: readonly VideoTileFragment[];
  /** So many that are not shown stood ahead when it was read anew: `showNew` shows them. */
  readonly newCount: number;
}

/** Ids are longer. */
const LONGEST_HANDLE = 30;

/** The videos of a feed, each once. What comes ahead of them is offered, and moves nothing that somebody looks at. */
export class FeedList extends PagedList<FeedView, VideoTileFragment> {
  private offered: Page<FeedView, VideoTileFragment> | null = null;

  constructor(
    private readonly api: Api,
    private readonly feed: Feed,
    pageSize = 20,
  ) {
    super({ ...NOTHING, state: 'loading', videos: [], newCount: 0 }, 'videos', pageSize);
  }

  /** Looks what stands ahead by now, and tells it as `newCount`. What cannot be read is left to the next time. */
  readonly refresh = async (): Promise<void> => {
    const page = await this.peek();
    if (!page) return;
    const { videos } = this.read();
    const newCount = joined(videos, page.nodes).length - videos.length;
    this.offered = newCount > 0 ? page : null;
    this.show({ newCount });
  };

  /** Begins anew with what stood ahead. */
  readonly showNew = (): void => {
    if (this.offered) this.beginWith(this.offered);
    this.offered = null;
  };

  protected async ask(first: number, after: string | null, signal: AbortSignal) {
    const connection = await this.connection({ first, after }, signal);
    if (connection) return { ...connection, besides: { newCount: 0 } };
    const code = this.feed === 'subscriptions' ? 'UNAUTHENTICATED' : 'NOT_FOUND';
    throw new ApiError(code, 'No such feed.');
  }

  /** Null: of nobody, or nothing that they may see. */
  private async connection(page: { first: number; after: string | null }, signal: AbortSignal) {
    const { feed } = this;
    const ask: Api['request'] = (operation, variables) => this.api.request(operation, variables, signal);
    if (feed === 'newest') return (await ask(NewestVideos, page)).newest;
    if (feed === 'trending') return (await ask(TrendingVideos, page)).trending;
    if (feed === 'subscriptions') return (await ask(SubscriptionFeed, page)).viewer?.subscriptionFeed;
    if ('related' in feed) return (await ask(RelatedVideos, { videoId: feed.related, ...page })).video?.related;
    const which = feed.channel.length > LONGEST_HANDLE ? { id: feed.channel } : { handle: feed.channel };
    return (await ask(ChannelVideos, { ...which, ...page })).channel?.videos;
  }
}
