import type { Api } from './api.js';
import type { Follower } from './follow.js';
import { joined, type ListView, LiveList } from './live-list.js';
import { ApiError, accepted } from './operation.js';
import {
  LiveNotifications,
  type LiveNotificationsSubscription,
  MarkNotificationsRead,
  type NotificationPartsFragment,
  Notifications,
  type NotificationsQuery,
  UnreadNotificationCount,
} from './operations.js';

export type NotificationView = NotificationPartsFragment;

export interface NotificationsView extends ListView {
  /** The newest first. */
  readonly notifications: readonly NotificationView[];
  /** As far as the server counts. */
  readonly unreadCount: number;
}

type News = LiveNotificationsSubscription['notificationReceived'];
type Page = NonNullable<NotificationsQuery['viewer']>;

const NOTHING: NotificationsView = { state: 'loading', notifications: [], unreadCount: 0, hasMore: false, error: null };
/** Much that comes at once is counted once. */
const COUNT_MS = 300;

/** Somebody's inbox, kept as it is on the server and on their other devices as long as it runs. */
export class NotificationList extends LiveList<NotificationsView, NotificationView, News, Page> {
  private counting: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly api: Api,
    pageSize = 20,
    /** Told of each that comes while it runs, once: for a toast. */
    private readonly onNews?: (notification: NotificationView) => void,
  ) {
    super(NOTHING, pageSize);
  }

  override stop(): void {
    super.stop();
    clearTimeout(this.counting);
    this.counting = undefined;
  }

  /** On all devices. @param ids null: all there are @throws ApiError */
  readonly markRead = async (ids: readonly string[] | null = null): Promise<void> => {
    const { markNotificationsRead } = await this.api.request(MarkNotificationsRead, { input: { ids } });
    const { unreadNotificationCount } = accepted(markNotificationsRead);
    this.change(() => {
      this.readThem((one) => ids === null || ids.includes(one.id));
      this.show({ unreadCount: unreadNotificationCount ?? 0 });
    });
  };

  protected listen(follower: Follower<News>): () => void {
    return this.api.follow(LiveNotifications, {}, follower);
  }

  protected async ask(first: number, after: string | null, signal: AbortSignal): Promise<Page> {
    const { viewer } = await this.api.request(Notifications, { first, after }, signal);
    if (!viewer) throw new ApiError('UNAUTHENTICATED', 'Sign in first.');
    return viewer;
  }

  protected infoOf(page: Page) {
    return page.notifications.pageInfo;
  }

  protected shown(page: Page, kept: readonly NotificationView[]): Partial<NotificationsView> {
    return {
      notifications: joined(kept, page.notifications.nodes),
      unreadCount: page.unreadNotificationCount ?? 0,
    };
  }

  protected itemsOf(view: NotificationsView): readonly NotificationView[] {
    return view.notifications;
  }

  protected withItems(notifications: readonly NotificationView[]): Partial<NotificationsView> {
    return notifications.length === 0 ? { notifications, unreadCount: 0 } : { notifications };
  }

  protected override told({ notification }: News): void {
    if (notification) this.onNews?.(notification);
    this.countSoon();
  }

  protected apply({ notification, read }: News): void {
    if (notification && !this.read().notifications.some(({ id }) => id === notification.id))
      this.putFirst(notification);
    if (read) {
      const { ids, until } = read;
      const end = Date.parse(until);
      this.readThem((one) => (ids ? ids.includes(one.id) : Date.parse(one.createdAt) <= end));
    }
  }

  private readThem(which: (notification: NotificationView) => boolean): void {
    this.show({
      notifications: this.read().notifications.map((one) =>
        which(one) && !one.isRead ? { ...one, isRead: true } : one,
      ),
    });
  }

  /** Not counted here: what is not in the inbox does not count, and other devices read. */
  private countSoon(): void {
    this.counting ??= setTimeout(async () => {
      this.counting = undefined;
      try {
        const { viewer } = await this.api.request(UnreadNotificationCount, {});
        if (this.isStarted && viewer) this.show({ unreadCount: viewer.unreadNotificationCount ?? 0 });
      } catch (error) {
        // The next event, or the next beginning, counts anew.
        this.show({ error: error as ApiError });
      }
    }, COUNT_MS);
  }
}
