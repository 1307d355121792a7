export const NOTIFICATION_KINDS = [
  'NEW_VIDEO',
  'UPLOAD_FINISHED',
  'UPLOAD_FAILED',
  'COMMENT',
  'REPLY',
  'NEW_FOLLOWER',
] as const;
export type NotificationKind = (typeof NOTIFICATION_KINDS)[number];

/** A row, or what was told to all followers as one person has it. */
export interface NotificationRow {
  cause: string;
  kind: NotificationKind;
  channelId: string | null;
  videoId: string | null;
  commentId: string | null;
  actorId: string | null;
  createdAt: Date;
  isRead: boolean;
}

/** By which ways somebody is told of a kind. */
export interface Ways {
  readonly inbox: boolean;
  readonly live: boolean;
  readonly push: boolean;
}
export const ALL_WAYS: Ways = { inbox: true, live: true, push: true };

/** The condition, on a follower `s` and what was told to a channel's followers `c`, for who is told. */
export const IS_TOLD = `(s.notify_since <= c.created_at AND (s.notify = 'ALL' OR s.notify = 'HIGHLIGHTS' AND c.is_highlight))`;
