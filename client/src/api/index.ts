export { Api, type ApiOptions } from './api.js';
export { CommentList, type CommentListOptions, type CommentsView, type CommentView } from './comment-list.js';
export type { Follower, StreamEvent } from './follow.js';
export type { ListView } from './live-list.js';
export { NotificationList, type NotificationsView, type NotificationView } from './notification-list.js';
export { ApiError, accepted, type Operation } from './operation.js';
export * from './operations.js';
