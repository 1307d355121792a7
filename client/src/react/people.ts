import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import {
  type Api,
  CommentList,
  type CommentListOptions,
  type CommentsView,
  NotificationList,
  type NotificationsView,
  type NotificationView,
} from '../api/index.js';

export interface UseComments extends CommentsView {
  /** The next page. */
  loadMore(): Promise<void>;
  /** The next page of replies to a comment. */
  loadReplies(commentId: string): Promise<void>;
  /** Says something, or answers a comment that answers none. Sent until it is answered, and said once. */
  add(text: string, parentId?: string | null): Promise<void>;
  edit(commentId: string, text: string): Promise<void>;
  remove(commentId: string): Promise<void>;
  like(commentId: string, like?: boolean): Promise<void>;
  /** For owners and editors of the channel. */
  pin(commentId: string, pinned?: boolean): Promise<void>;
}

/**
 * The comments of a video as they are on the server, for as long as the component is there. Nothing is missed over a break:
 * it goes on where it was. What a deed throws is an ApiError.
 */
export function useComments(api: Api, { videoId, orderBy, pageSize }: CommentListOptions): UseComments {
  const list = useMemo(() => new CommentList(api, { videoId, orderBy, pageSize }), [api, videoId, orderBy, pageSize]);
  useEffect(() => {
    list.start();
    return () => list.stop();
  }, [list]);
  const view = useSyncExternalStore(list.subscribe, list.read, list.read);
  const { loadMore, loadReplies, add, edit, remove, like, pin } = list;
  return { ...view, loadMore, loadReplies, add, edit, remove, like, pin };
}

export interface UseNotifications extends NotificationsView {
  /** The next page. */
  loadMore(): Promise<void>;
  /** Marks these as read, or all, on all devices. */
  markRead(ids?: readonly string[] | null): Promise<void>;
}

export interface UseNotificationsOptions {
  /** 20 unless given; 100 at most. */
  pageSize?: number;
  /** Told of each that comes, once: for a toast. */
  onNews?: (notification: NotificationView) => void;
}

/** The inbox of whoever is signed in, in step with their other devices. Nothing is missed over a break. */
export function useNotifications(api: Api, { pageSize, onNews }: UseNotificationsOptions = {}): UseNotifications {
  const latest = useRef(onNews);
  useEffect(() => {
    latest.current = onNews;
  });
  const list = useMemo(() => new NotificationList(api, pageSize, (one) => latest.current?.(one)), [api, pageSize]);
  useEffect(() => {
    list.start();
    return () => list.stop();
  }, [list]);
  const view = useSyncExternalStore(list.subscribe, list.read, list.read);
  const { loadMore, markRead } = list;
  return { ...view, loadMore, markRead };
}
