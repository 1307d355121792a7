// Made from operations.graphql and schema.graphql by `npm run operations`: not to be edited.
import type { Operation } from './operation.js';

/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** Something to say. */
export type AddCommentInput = {
  /** Up to 200 characters that no other comment of yours has: repeated, it gives the comment of the first time. */
  readonly idempotencyKey?: string | null | undefined;
  /** The comment of the same video that it answers: one that answers none itself. */
  readonly parentId?: string | null | undefined;
  /** Plain text, 1 to 2,000 characters. */
  readonly text: string;
  /** Under which video. */
  readonly videoId: string;
};

/** What happened to a comment. More may be added. */
export type CommentEventKind =
  /** It is new. */
  | 'ADDED'
  /** Its text is gone; it stays in its list as long as there are replies to it. */
  | 'DELETED'
  /** It has another text. */
  | 'EDITED'
  /** It stands above all others now, and what stood there does no more. */
  | 'PINNED'
  /** It stands above all others no more. */
  | 'UNPINNED';

/** In which order comments come. */
export type CommentOrder =
  /** The latest first. */
  | 'NEWEST'
  /** What most people like first, then the latest. While likes come and go a comment may be met twice, or not at all, by who turns pages. */
  | 'TOP';

/** The comment to delete. */
export type DeleteCommentInput = {
  /** Which comment. */
  readonly commentId: string;
};

/** Another text for a comment of yours. */
export type EditCommentInput = {
  /** Which comment. */
  readonly commentId: string;
  /** Plain text, 1 to 2,000 characters. */
  readonly text: string;
};

/** What was read. */
export type MarkNotificationsReadInput = {
  /** Which, at most 100. Left out: all there are. */
  readonly ids?: ReadonlyArray<string> | null | undefined;
};

/** What a notification tells. */
export type NotificationKind =
  /** Somebody commented on a video of your channel. */
  | 'COMMENT'
  /** Somebody follows your channel. Once for each person. */
  | 'NEW_FOLLOWER'
  /** A channel that you follow has published a video. */
  | 'NEW_VIDEO'
  /** Somebody answered a comment of yours. */
  | 'REPLY'
  /** A video of yours was refused, or given up. */
  | 'UPLOAD_FAILED'
  /** A video of yours plays in all its renditions. */
  | 'UPLOAD_FINISHED';

/** Of which new videos of a channel a follower is told. All of them stand in the feed. */
export type NotifyLevel =
  /** Of every one. */
  | 'ALL'
  /** Of those that carried the mark `highlight` when they were published. */
  | 'HIGHLIGHTS'
  /** Of none. */
  | 'NONE';

/** Whether a comment stands above all others of its video. */
export type PinCommentInput = {
  /** Which comment; no reply. */
  readonly commentId: string;
  /** True: it does, in place of what did. False: it does no more. */
  readonly pinned: boolean;
};

/** Whether you like a comment. */
export type ReactToCommentInput = {
  /** Which comment. */
  readonly commentId: string;
  /** True: you like it. False: you do not, or no more. */
  readonly like: boolean;
};

/** Whether you like a video. */
export type ReactToVideoInput = {
  /** True: you like it. False: you do not, or no more. */
  readonly like: boolean;
  /** Which video. */
  readonly videoId: string;
};

/** What a browser's `PushSubscription.toJSON()` says. */
export type RegisterPushSubscriptionInput = {
  /** Its `keys.auth`. */
  readonly auth: string;
  /** Its `endpoint`: https. */
  readonly endpoint: string;
  /** Its `keys.p256dh`. */
  readonly p256dh: string;
};

/** Which browser is to be told no more. */
export type RemovePushSubscriptionInput = {
  /** Its `endpoint`. */
  readonly endpoint: string;
};

/** Which channel to follow, and how. */
export type SubscribeToChannelInput = {
  /** The channel. */
  readonly channelId: string;
  /** Of which new videos to be told. Left out: ALL for who did not follow it, else as it is. */
  readonly notify?: NotifyLevel | null | undefined;
};

/** Which channel to follow no more. */
export type UnsubscribeFromChannelInput = {
  /** The channel. */
  readonly channelId: string;
};

/** All of what is given must hold. */
export type VideoSearchFilter = {
  /** Of this channel. */
  readonly channelId?: string | null | undefined;
  /** BCP 47: `de` is also `de-CH`. */
  readonly language?: string | null | undefined;
  /** At most so long. */
  readonly maxDurationMs?: number | null | undefined;
  /** At least so long. */
  readonly minDurationMs?: number | null | undefined;
  /** In lists since then, or later. */
  readonly publishedAfter?: string | null | undefined;
  /** In lists before then. */
  readonly publishedBefore?: string | null | undefined;
  /** With all of these tags, in any case and with any accents. At most 20, of 30 characters. */
  readonly tags?: ReadonlyArray<string> | null | undefined;
};

/** In which order videos are found. */
export type VideoSearchOrder =
  /** Newest first, of what matches by title and tags; then of what matches by description. */
  | 'NEWEST'
  /** By how well title and tags match, by views and by age; then what matches by description. */
  | 'RELEVANCE';

/** Where a video stands on its way from file to stream. */
export type VideoState =
  /** A moderator or a virus scan took it off. */
  | 'BLOCKED'
  /** It was refused, or given up: `failure` says why. */
  | 'FAILED'
  /** The first rendition plays (while bytes are missing for editors alone); more are on their way. */
  | 'PLAYABLE'
  /** It is being made, perhaps while it is still sent; nothing plays yet. */
  | 'PROCESSING'
  /** All renditions play to the end. */
  | 'READY'
  /** Bytes are still missing, or being verified, and nothing is made of them yet. */
  | 'UPLOADING';

/** Who may watch a video once it plays. */
export type VideoVisibility =
  /** The channel's members alone. */
  | 'PRIVATE'
  /** Everybody; it stands in lists. */
  | 'PUBLIC'
  /** Everybody who has its address; it stands in no list. */
  | 'UNLISTED';

export type ChannelCardFragment = { readonly id: string, readonly handle: string, readonly name: string, readonly description: string, readonly avatarUrl: string | null, readonly bannerUrl: string | null, readonly subscriberCount: number, readonly videoCount: number, readonly viewerCanManage: boolean, readonly viewerSubscription: { readonly notify: NotifyLevel } | null };

export type VideoCardFragment = { readonly id: string, readonly title: string, readonly posterUrl: string | null, readonly durationMs: number | null, readonly publishedAt: string | null, readonly likeCount: number, readonly commentCount: number, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly avatarUrl: string | null } };

export type VideoTileFragment = { readonly state: VideoState, readonly visibility: VideoVisibility, readonly viewCount: number, readonly storyboardUrl: string | null, readonly id: string, readonly title: string, readonly posterUrl: string | null, readonly durationMs: number | null, readonly publishedAt: string | null, readonly likeCount: number, readonly commentCount: number, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly avatarUrl: string | null } };

export type CommentPartsFragment = { readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null };

export type OwnCommentPartsFragment = { readonly viewerHasLiked: boolean, readonly viewerCanEdit: boolean, readonly viewerCanDelete: boolean, readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null };

export type ViewerQueryVariables = Exact<{ [key: string]: never; }>;


export type ViewerQuery = { readonly viewer: { readonly id: string, readonly displayName: string } | null };

export type ChannelQueryVariables = Exact<{
  id?: string | null | undefined;
  handle?: string | null | undefined;
}>;


export type ChannelQuery = { readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly description: string, readonly avatarUrl: string | null, readonly bannerUrl: string | null, readonly subscriberCount: number, readonly videoCount: number, readonly viewerCanManage: boolean, readonly viewerSubscription: { readonly notify: NotifyLevel } | null } | null };

export type SubscriptionsQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type SubscriptionsQuery = { readonly viewer: { readonly subscriptions: { readonly nodes: ReadonlyArray<{ readonly notify: NotifyLevel, readonly createdAt: string, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly description: string, readonly avatarUrl: string | null, readonly bannerUrl: string | null, readonly subscriberCount: number, readonly videoCount: number, readonly viewerCanManage: boolean, readonly viewerSubscription: { readonly notify: NotifyLevel } | null } }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } } | null };

export type SubscriptionFeedQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type SubscriptionFeedQuery = { readonly viewer: { readonly subscriptionFeed: { readonly nodes: ReadonlyArray<{ readonly state: VideoState, readonly visibility: VideoVisibility, readonly viewCount: number, readonly storyboardUrl: string | null, readonly id: string, readonly title: string, readonly posterUrl: string | null, readonly durationMs: number | null, readonly publishedAt: string | null, readonly likeCount: number, readonly commentCount: number, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly avatarUrl: string | null } }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } } | null };

export type SearchVideosQueryVariables = Exact<{
  query: string;
  filter?: VideoSearchFilter | null | undefined;
  orderBy?: VideoSearchOrder | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type SearchVideosQuery = { readonly searchVideos: { readonly totalCount: number | null, readonly correctedQuery: string | null, readonly edges: ReadonlyArray<{ readonly highlights: ReadonlyArray<string>, readonly node: { readonly state: VideoState, readonly visibility: VideoVisibility, readonly viewCount: number, readonly storyboardUrl: string | null, readonly id: string, readonly title: string, readonly posterUrl: string | null, readonly durationMs: number | null, readonly publishedAt: string | null, readonly likeCount: number, readonly commentCount: number, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly avatarUrl: string | null } } }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type SearchChannelsQueryVariables = Exact<{
  query: string;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type SearchChannelsQuery = { readonly searchChannels: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly handle: string, readonly name: string, readonly description: string, readonly avatarUrl: string | null, readonly bannerUrl: string | null, readonly subscriberCount: number, readonly videoCount: number, readonly viewerCanManage: boolean, readonly viewerSubscription: { readonly notify: NotifyLevel } | null }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type SearchSuggestionsQueryVariables = Exact<{
  prefix: string;
  first?: number | null | undefined;
}>;


export type SearchSuggestionsQuery = { readonly searchSuggestions: ReadonlyArray<string> };

export type NewestVideosQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type NewestVideosQuery = { readonly newest: { readonly nodes: ReadonlyArray<{ readonly state: VideoState, readonly visibility: VideoVisibility, readonly viewCount: number, readonly storyboardUrl: string | null, readonly id: string, readonly title: string, readonly posterUrl: string | null, readonly durationMs: number | null, readonly publishedAt: string | null, readonly likeCount: number, readonly commentCount: number, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly avatarUrl: string | null } }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type TrendingVideosQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type TrendingVideosQuery = { readonly trending: { readonly nodes: ReadonlyArray<{ readonly state: VideoState, readonly visibility: VideoVisibility, readonly viewCount: number, readonly storyboardUrl: string | null, readonly id: string, readonly title: string, readonly posterUrl: string | null, readonly durationMs: number | null, readonly publishedAt: string | null, readonly likeCount: number, readonly commentCount: number, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly avatarUrl: string | null } }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type ChannelVideosQueryVariables = Exact<{
  id?: string | null | undefined;
  handle?: string | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ChannelVideosQuery = { readonly channel: { readonly videos: { readonly nodes: ReadonlyArray<{ readonly state: VideoState, readonly visibility: VideoVisibility, readonly viewCount: number, readonly storyboardUrl: string | null, readonly id: string, readonly title: string, readonly posterUrl: string | null, readonly durationMs: number | null, readonly publishedAt: string | null, readonly likeCount: number, readonly commentCount: number, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly avatarUrl: string | null } }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } } | null };

export type RelatedVideosQueryVariables = Exact<{
  videoId: string;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type RelatedVideosQuery = { readonly video: { readonly related: { readonly nodes: ReadonlyArray<{ readonly state: VideoState, readonly visibility: VideoVisibility, readonly viewCount: number, readonly storyboardUrl: string | null, readonly id: string, readonly title: string, readonly posterUrl: string | null, readonly durationMs: number | null, readonly publishedAt: string | null, readonly likeCount: number, readonly commentCount: number, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly avatarUrl: string | null } }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } } | null };

export type SubscribeToChannelMutationVariables = Exact<{
  input: SubscribeToChannelInput;
}>;


export type SubscribeToChannelMutation = { readonly subscribeToChannel: { readonly subscription: { readonly notify: NotifyLevel, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly description: string, readonly avatarUrl: string | null, readonly bannerUrl: string | null, readonly subscriberCount: number, readonly videoCount: number, readonly viewerCanManage: boolean, readonly viewerSubscription: { readonly notify: NotifyLevel } | null } } | null, readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type UnsubscribeFromChannelMutationVariables = Exact<{
  input: UnsubscribeFromChannelInput;
}>;


export type UnsubscribeFromChannelMutation = { readonly unsubscribeFromChannel: { readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly description: string, readonly avatarUrl: string | null, readonly bannerUrl: string | null, readonly subscriberCount: number, readonly videoCount: number, readonly viewerCanManage: boolean, readonly viewerSubscription: { readonly notify: NotifyLevel } | null } | null, readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type ReactToVideoMutationVariables = Exact<{
  input: ReactToVideoInput;
}>;


export type ReactToVideoMutation = { readonly reactToVideo: { readonly video: { readonly id: string, readonly likeCount: number, readonly viewerHasLiked: boolean } | null, readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type VideoCommentsQueryVariables = Exact<{
  videoId: string;
  orderBy?: CommentOrder | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type VideoCommentsQuery = { readonly viewer: { readonly id: string } | null, readonly video: { readonly id: string, readonly commentCount: number, readonly viewerCanEdit: boolean, readonly pinnedComment: { readonly viewerHasLiked: boolean, readonly viewerCanEdit: boolean, readonly viewerCanDelete: boolean, readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null } | null, readonly comments: { readonly nodes: ReadonlyArray<{ readonly viewerHasLiked: boolean, readonly viewerCanEdit: boolean, readonly viewerCanDelete: boolean, readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } } | null };

export type CommentRepliesQueryVariables = Exact<{
  commentId: string;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type CommentRepliesQuery = { readonly node:
    | { readonly id: string, readonly replyCount: number, readonly replies: { readonly nodes: ReadonlyArray<{ readonly viewerHasLiked: boolean, readonly viewerCanEdit: boolean, readonly viewerCanDelete: boolean, readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } }
    | Record<PropertyKey, never>
   | null };

export type AddCommentMutationVariables = Exact<{
  input: AddCommentInput;
}>;


export type AddCommentMutation = { readonly addComment: { readonly comment: { readonly viewerHasLiked: boolean, readonly viewerCanEdit: boolean, readonly viewerCanDelete: boolean, readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null } | null, readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type EditCommentMutationVariables = Exact<{
  input: EditCommentInput;
}>;


export type EditCommentMutation = { readonly editComment: { readonly comment: { readonly viewerHasLiked: boolean, readonly viewerCanEdit: boolean, readonly viewerCanDelete: boolean, readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null } | null, readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type DeleteCommentMutationVariables = Exact<{
  input: DeleteCommentInput;
}>;


export type DeleteCommentMutation = { readonly deleteComment: { readonly deletedCommentId: string | null, readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type PinCommentMutationVariables = Exact<{
  input: PinCommentInput;
}>;


export type PinCommentMutation = { readonly pinComment: { readonly comment: { readonly viewerHasLiked: boolean, readonly viewerCanEdit: boolean, readonly viewerCanDelete: boolean, readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null } | null, readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type ReactToCommentMutationVariables = Exact<{
  input: ReactToCommentInput;
}>;


export type ReactToCommentMutation = { readonly reactToComment: { readonly comment: { readonly viewerHasLiked: boolean, readonly viewerCanEdit: boolean, readonly viewerCanDelete: boolean, readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null } | null, readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type LiveChannelSubscriptionVariables = Exact<{
  channelId: string;
  after?: string | null | undefined;
}>;


export type LiveChannelSubscription = { readonly channelNotifications: { readonly cursor: string, readonly id: string | null, readonly video: { readonly id: string, readonly title: string, readonly posterUrl: string | null, readonly durationMs: number | null, readonly publishedAt: string | null, readonly likeCount: number, readonly commentCount: number, readonly channel: { readonly id: string, readonly handle: string, readonly name: string, readonly avatarUrl: string | null } } | null } };

export type LiveCommentsSubscriptionVariables = Exact<{
  videoId: string;
  after?: string | null | undefined;
}>;


export type LiveCommentsSubscription = { readonly videoComments: { readonly cursor: string, readonly id: string | null, readonly kind: CommentEventKind | null, readonly commentId: string | null, readonly commentCount: number, readonly comment: { readonly id: string, readonly parentId: string | null, readonly text: string | null, readonly likeCount: number, readonly replyCount: number, readonly createdAt: string, readonly editedAt: string | null, readonly deletedAt: string | null, readonly pinned: boolean, readonly parent: { readonly id: string, readonly replyCount: number, readonly deletedAt: string | null } | null, readonly links: ReadonlyArray<{ readonly start: number, readonly length: number, readonly url: string }>, readonly author: { readonly id: string, readonly displayName: string } | null } | null } };

export type NotificationPartsFragment = { readonly id: string, readonly kind: NotificationKind, readonly createdAt: string, readonly isRead: boolean, readonly channel: { readonly id: string, readonly handle: string, readonly name: string } | null, readonly video: { readonly id: string, readonly title: string, readonly posterUrl: string | null } | null, readonly actor: { readonly id: string, readonly displayName: string } | null };

export type NotificationsQueryVariables = Exact<{
  unreadOnly?: boolean | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type NotificationsQuery = { readonly viewer: { readonly unreadNotificationCount: number | null, readonly notifications: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly kind: NotificationKind, readonly createdAt: string, readonly isRead: boolean, readonly channel: { readonly id: string, readonly handle: string, readonly name: string } | null, readonly video: { readonly id: string, readonly title: string, readonly posterUrl: string | null } | null, readonly actor: { readonly id: string, readonly displayName: string } | null }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } } | null };

export type UnreadNotificationCountQueryVariables = Exact<{ [key: string]: never; }>;


export type UnreadNotificationCountQuery = { readonly viewer: { readonly unreadNotificationCount: number | null } | null };

export type MarkNotificationsReadMutationVariables = Exact<{
  input: MarkNotificationsReadInput;
}>;


export type MarkNotificationsReadMutation = { readonly markNotificationsRead: { readonly unreadNotificationCount: number | null, readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type PushPublicKeyQueryVariables = Exact<{ [key: string]: never; }>;


export type PushPublicKeyQuery = { readonly pushPublicKey: string };

export type RegisterPushSubscriptionMutationVariables = Exact<{
  input: RegisterPushSubscriptionInput;
}>;


export type RegisterPushSubscriptionMutation = { readonly registerPushSubscription: { readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type RemovePushSubscriptionMutationVariables = Exact<{
  input: RemovePushSubscriptionInput;
}>;


export type RemovePushSubscriptionMutation = { readonly removePushSubscription: { readonly userErrors: ReadonlyArray<
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
      | { readonly code: string, readonly message: string, readonly field: ReadonlyArray<string> | null }
    > } };

export type LiveNotificationsSubscriptionVariables = Exact<{
  after?: string | null | undefined;
}>;


export type LiveNotificationsSubscription = { readonly notificationReceived: { readonly cursor: string, readonly id: string | null, readonly notification: { readonly id: string, readonly kind: NotificationKind, readonly createdAt: string, readonly isRead: boolean, readonly channel: { readonly id: string, readonly handle: string, readonly name: string } | null, readonly video: { readonly id: string, readonly title: string, readonly posterUrl: string | null } | null, readonly actor: { readonly id: string, readonly displayName: string } | null } | null, readonly read: { readonly ids: ReadonlyArray<string> | null, readonly until: string } | null } };

const ChannelCard = "fragment ChannelCard on Channel{id handle name description avatarUrl bannerUrl subscriberCount videoCount viewerCanManage viewerSubscription{notify}}";
const VideoCard = "fragment VideoCard on Video{id title posterUrl durationMs publishedAt likeCount commentCount channel{id handle name avatarUrl}}";
const VideoTile = "fragment VideoTile on Video{...VideoCard state visibility viewCount storyboardUrl}";
const CommentParts = "fragment CommentParts on Comment{id parentId text links{start length url}author{id displayName}likeCount replyCount createdAt editedAt deletedAt pinned}";
const OwnCommentParts = "fragment OwnCommentParts on Comment{...CommentParts viewerHasLiked viewerCanEdit viewerCanDelete}";
const NotificationParts = "fragment NotificationParts on Notification{id kind createdAt isRead channel{id handle name}video{id title posterUrl}actor{id displayName}}";
export const Viewer = ("query Viewer{viewer{id displayName}}") as Operation<ViewerQuery, ViewerQueryVariables>;
export const Channel = ("query Channel($id:ID$handle:String){channel(id:$id handle:$handle){...ChannelCard}}" + ChannelCard) as Operation<ChannelQuery, ChannelQueryVariables>;
export const Subscriptions = ("query Subscriptions($first:Int$after:Cursor){viewer{subscriptions(first:$first after:$after){nodes{notify createdAt channel{...ChannelCard}}pageInfo{hasNextPage endCursor}}}}" + ChannelCard) as Operation<SubscriptionsQuery, SubscriptionsQueryVariables>;
export const SubscriptionFeed = ("query SubscriptionFeed($first:Int$after:Cursor){viewer{subscriptionFeed(first:$first after:$after){nodes{...VideoTile}pageInfo{hasNextPage endCursor}}}}" + VideoTile + VideoCard) as Operation<SubscriptionFeedQuery, SubscriptionFeedQueryVariables>;
export const SearchVideos = ("query SearchVideos($query:String!$filter:VideoSearchFilter$orderBy:VideoSearchOrder$first:Int$after:Cursor){searchVideos(query:$query filter:$filter orderBy:$orderBy first:$first after:$after){edges{node{...VideoTile}highlights}pageInfo{hasNextPage endCursor}totalCount correctedQuery}}" + VideoTile + VideoCard) as Operation<SearchVideosQuery, SearchVideosQueryVariables>;
export const SearchChannels = ("query SearchChannels($query:String!$first:Int$after:Cursor){searchChannels(query:$query first:$first after:$after){nodes{...ChannelCard}pageInfo{hasNextPage endCursor}}}" + ChannelCard) as Operation<SearchChannelsQuery, SearchChannelsQueryVariables>;
export const SearchSuggestions = ("query SearchSuggestions($prefix:String!$first:Int){searchSuggestions(prefix:$prefix first:$first)}") as Operation<SearchSuggestionsQuery, SearchSuggestionsQueryVariables>;
export const NewestVideos = ("query NewestVideos($first:Int$after:Cursor){newest(first:$first after:$after){nodes{...VideoTile}pageInfo{hasNextPage endCursor}}}" + VideoTile + VideoCard) as Operation<NewestVideosQuery, NewestVideosQueryVariables>;
export const TrendingVideos = ("query TrendingVideos($first:Int$after:Cursor){trending(first:$first after:$after){nodes{...VideoTile}pageInfo{hasNextPage endCursor}}}" + VideoTile + VideoCard) as Operation<TrendingVideosQuery, TrendingVideosQueryVariables>;
export const ChannelVideos = ("query ChannelVideos($id:ID$handle:String$first:Int$after:Cursor){channel(id:$id handle:$handle){videos(first:$first after:$after){nodes{...VideoTile}pageInfo{hasNextPage endCursor}}}}" + VideoTile + VideoCard) as Operation<ChannelVideosQuery, ChannelVideosQueryVariables>;
export const RelatedVideos = ("query RelatedVideos($videoId:ID!$first:Int$after:Cursor){video(id:$videoId){related(first:$first after:$after){nodes{...VideoTile}pageInfo{hasNextPage endCursor}}}}" + VideoTile + VideoCard) as Operation<RelatedVideosQuery, RelatedVideosQueryVariables>;
export const SubscribeToChannel = ("mutation SubscribeToChannel($input:SubscribeToChannelInput!){subscribeToChannel(input:$input){subscription{notify channel{...ChannelCard}}userErrors{code message field}}}" + ChannelCard) as Operation<SubscribeToChannelMutation, SubscribeToChannelMutationVariables>;
export const UnsubscribeFromChannel = ("mutation UnsubscribeFromChannel($input:UnsubscribeFromChannelInput!){unsubscribeFromChannel(input:$input){channel{...ChannelCard}userErrors{code message field}}}" + ChannelCard) as Operation<UnsubscribeFromChannelMutation, UnsubscribeFromChannelMutationVariables>;
export const ReactToVideo = ("mutation ReactToVideo($input:ReactToVideoInput!){reactToVideo(input:$input){video{id likeCount viewerHasLiked}userErrors{code message field}}}") as Operation<ReactToVideoMutation, ReactToVideoMutationVariables>;
export const VideoComments = ("query VideoComments($videoId:ID!$orderBy:CommentOrder$first:Int$after:Cursor){viewer{id}video(id:$videoId){id commentCount viewerCanEdit pinnedComment{...OwnCommentParts}comments(orderBy:$orderBy first:$first after:$after){nodes{...OwnCommentParts}pageInfo{hasNextPage endCursor}}}}" + OwnCommentParts + CommentParts) as Operation<VideoCommentsQuery, VideoCommentsQueryVariables>;
export const CommentReplies = ("query CommentReplies($commentId:ID!$first:Int$after:Cursor){node(id:$commentId){...on Comment{id replyCount replies(first:$first after:$after){nodes{...OwnCommentParts}pageInfo{hasNextPage endCursor}}}}}" + OwnCommentParts + CommentParts) as Operation<CommentRepliesQuery, CommentRepliesQueryVariables>;
export const AddComment = ("mutation AddComment($input:AddCommentInput!){addComment(input:$input){comment{...OwnCommentParts}userErrors{code message field}}}" + OwnCommentParts + CommentParts) as Operation<AddCommentMutation, AddCommentMutationVariables>;
export const EditComment = ("mutation EditComment($input:EditCommentInput!){editComment(input:$input){comment{...OwnCommentParts}userErrors{code message field}}}" + OwnCommentParts + CommentParts) as Operation<EditCommentMutation, EditCommentMutationVariables>;
export const DeleteComment = ("mutation DeleteComment($input:DeleteCommentInput!){deleteComment(input:$input){deletedCommentId userErrors{code message field}}}") as Operation<DeleteCommentMutation, DeleteCommentMutationVariables>;
export const PinComment = ("mutation PinComment($input:PinCommentInput!){pinComment(input:$input){comment{...OwnCommentParts}userErrors{code message field}}}" + OwnCommentParts + CommentParts) as Operation<PinCommentMutation, PinCommentMutationVariables>;
export const ReactToComment = ("mutation ReactToComment($input:ReactToCommentInput!){reactToComment(input:$input){comment{...OwnCommentParts}userErrors{code message field}}}" + OwnCommentParts + CommentParts) as Operation<ReactToCommentMutation, ReactToCommentMutationVariables>;
export const LiveChannel = ("subscription LiveChannel($channelId:ID!$after:Cursor){channelNotifications(channelId:$channelId after:$after){cursor id video{...VideoCard}}}" + VideoCard) as Operation<LiveChannelSubscription, LiveChannelSubscriptionVariables>;
export const LiveComments = ("subscription LiveComments($videoId:ID!$after:Cursor){videoComments(videoId:$videoId after:$after){cursor id kind commentId commentCount comment{...CommentParts parent{id replyCount deletedAt}}}}" + CommentParts) as Operation<LiveCommentsSubscription, LiveCommentsSubscriptionVariables>;
export const Notifications = ("query Notifications($unreadOnly:Boolean$first:Int$after:Cursor){viewer{unreadNotificationCount notifications(unreadOnly:$unreadOnly first:$first after:$after){nodes{...NotificationParts}pageInfo{hasNextPage endCursor}}}}" + NotificationParts) as Operation<NotificationsQuery, NotificationsQueryVariables>;
export const UnreadNotificationCount = ("query UnreadNotificationCount{viewer{unreadNotificationCount}}") as Operation<UnreadNotificationCountQuery, UnreadNotificationCountQueryVariables>;
export const MarkNotificationsRead = ("mutation MarkNotificationsRead($input:MarkNotificationsReadInput!){markNotificationsRead(input:$input){unreadNotificationCount userErrors{code message field}}}") as Operation<MarkNotificationsReadMutation, MarkNotificationsReadMutationVariables>;
export const PushPublicKey = ("query PushPublicKey{pushPublicKey}") as Operation<PushPublicKeyQuery, PushPublicKeyQueryVariables>;
export const RegisterPushSubscription = ("mutation RegisterPushSubscription($input:RegisterPushSubscriptionInput!){registerPushSubscription(input:$input){userErrors{code message field}}}") as Operation<RegisterPushSubscriptionMutation, RegisterPushSubscriptionMutationVariables>;
export const RemovePushSubscription = ("mutation RemovePushSubscription($input:RemovePushSubscriptionInput!){removePushSubscription(input:$input){userErrors{code message field}}}") as Operation<RemovePushSubscriptionMutation, RemovePushSubscriptionMutationVariables>;
export const LiveNotifications = ("subscription LiveNotifications($after:Cursor){notificationReceived(after:$after){cursor id notification{...NotificationParts}read{ids until}}}" + NotificationParts) as Operation<LiveNotificationsSubscription, LiveNotificationsSubscriptionVariables>;
