export { Api, type ApiOptions } from './api.js';
export { CommentList, type CommentListOptions, type CommentsView, type CommentView } from './comment-list.js';
export { type Feed, FeedList, type FeedView } from './feed-list.js';
export type { Follower, StreamEvent } from './follow.js';
export { highlightParts, type TextPart } from './highlight.js';
export type { ListView } from './live-list.js';
export { NotificationList, type NotificationsView, type NotificationView } from './notification-list.js';
export { ApiError, accepted, type Operation } from './operation.js';
export * from './operations.js';
export type { PagedView } from './paged-list.js';
export {
  type ChannelSearch,
  ChannelSearchList,
  type ChannelSearchView,
  SearchList,
  type SearchResult,
  type SearchView,
  type VideoSearch,
} from './search-list.js';
export { SuggestionList } from './suggestion-list.js';
