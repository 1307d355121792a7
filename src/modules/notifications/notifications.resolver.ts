import { Args, ID, Int, Parent, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor, Public } from '../../common/access/index.js';
import {
  type Connection,
  decodeId,
  encodeId,
  GraphQLCursor,
  Mutates,
  NodeResolver,
  type OperationContext,
  SameForAll,
  toConnection,
} from '../../common/graphql/index.js';
import type { LiveEvent } from '../../common/live/index.js';
import { Channel, ChannelsService } from '../channels/index.js';
import { Comment, CommentsService } from '../comments/index.js';
import { canSeeAccount, User, UsersService } from '../users/index.js';
import { canWatch, Video, type VideoRow, VideosService } from '../videos/index.js';
import { ALL_WAYS, NOTIFICATION_KINDS } from './notification-kinds.js';
import { NotificationStreams, type Told } from './notification-streams.js';
import {
  ChannelNotification,
  InboxChange,
  MarkNotificationsReadInput,
  MarkNotificationsReadPayload,
  Notification,
  NotificationConnection,
  NotificationPreference,
  NotificationsArgs,
  UpdateNotificationPreferenceInput,
  UpdateNotificationPreferencePayload,
} from './notifications.graphql.js';
import { COUNTED, NotificationsService } from './notifications.service.js';
import type { ChannelEvent } from './tell-followers.js';

@Resolver(() => Notification)
export class NotificationsResolver {
  constructor(
    private readonly notifications: NotificationsService,
    private readonly streams: NotificationStreams,
    private readonly channels: ChannelsService,
    private readonly users: UsersService,
    private readonly videos: VideosService,
    private readonly comments: CommentsService,
  ) {}

  @NodeResolver('Notification')
  async notificationNode(cause: string, actor: Actor | null): Promise<Notification | null> {
    const row = actor && (await this.notifications.byCauses(actor.userId, [cause])).get(cause);
    return row ? Notification.of(row) : null;
  }

  @Authenticated()
  @Mutates(() => MarkNotificationsReadPayload, { description: 'On all devices. What is read already stays so.' })
  async markNotificationsRead(
    @Args('input') input: MarkNotificationsReadInput,
    @CurrentActor() actor: Actor,
  ): Promise<MarkNotificationsReadPayload> {
    const causes = input.ids?.map((id) => decodeId('Notification', id, ['ids'])) ?? null;
    await this.notifications.markRead(actor, causes);
    const unreadNotificationCount = await this.notifications.unreadCount(actor.userId);
    return Object.assign(new MarkNotificationsReadPayload(), { unreadNotificationCount });
  }

  @Authenticated()
  @Mutates(() => UpdateNotificationPreferencePayload, { description: 'By which ways you are told of one kind.' })
  async updateNotificationPreference(
    @Args('input') input: UpdateNotificationPreferenceInput,
    @CurrentActor() actor: Actor,
  ): Promise<UpdateNotificationPreferencePayload> {
    await this.notifications.prefer(actor, input.kind, input);
    const preferences = preferencesOf(await this.notifications.preferences(actor.userId));
    return Object.assign(new UpdateNotificationPreferencePayload(), { preferences });
  }

  @Authenticated()
  @Subscription(() => InboxChange, {
    description:
      'An event stream: what happens in your inbox, on all your devices. With `after` what you missed comes first. CURSOR_EXPIRED when that is too long ago. When it completes, begin it again at the last cursor.',
    resolve: ({ cursor, id, row, read }: Told): InboxChange => ({
      cursor,
      id,
      notification: row && Notification.of(row),
      read: read && {
        ids: read.causes?.map((cause) => encodeId('Notification', cause)) ?? null,
        until: read.until,
      },
    }),
  })
  notificationReceived(
    @CurrentActor() actor: Actor,
    @Args('after', { type: () => GraphQLCursor, nullable: true, description: 'The last cursor that you had.' })
    after?: string | null,
  ) {
    return this.streams.ofUser(actor, after ?? null);
  }

  @Public()
  @SameForAll()
  @Subscription(() => ChannelNotification, {
    description:
      'An event stream: the videos that a channel publishes. With `after` what you missed comes first. CURSOR_EXPIRED when that is too long ago. When it completes, begin it again at the last cursor.',
    resolve: ({ cursor, id, body }: LiveEvent<ChannelEvent>) =>
      Object.assign(new ChannelNotification(), { cursor, id, videoId: body?.videoId ?? null }),
  })
  channelNotifications(
    @Args('channelId', { type: () => ID, description: 'The channel.' }) channelId: string,
    @Args('after', { type: () => GraphQLCursor, nullable: true, description: 'The last cursor that you had.' })
    after?: string | null,
  ) {
    return this.streams.ofChannel(decodeId('Channel', channelId, ['channelId']), after ?? null);
  }

  @ResolveField(() => Channel, { nullable: true, description: 'Which channel it is about. Null when it is gone.' })
  async channel({ row }: Notification, _: unknown, { loaders }: OperationContext): Promise<Channel | null> {
    if (!row.channelId) return null;
    const load = (ids: readonly string[]) => this.channels.byIds(ids);
    const channel = await loaders.load('channels', load, row.channelId);
    return channel && Channel.of(channel);
  }

  @ResolveField(() => Video, {
    nullable: true,
    description: 'Which video it is about. Null for none, and when it is not yours to see any more.',
  })
  async video({ row }: Notification, _: unknown, context: OperationContext): Promise<Video | null> {
    return this.visibleVideo(row.videoId, context);
  }

  @ResolveField(() => Comment, {
    nullable: true,
    description:
      'The comment or reply. Null for none, when it was deleted, and when its video is not yours to see any more.',
  })
  async comment({ row }: Notification, _: unknown, context: OperationContext): Promise<Comment | null> {
    if (!row.commentId || !(await this.visibleVideo(row.videoId, context))) return null;
    const load = (ids: readonly string[]) => this.comments.byIds(ids);
    const comment = await context.loaders.load('comments', load, row.commentId);
    return comment && !comment.deletedAt ? Comment.of(comment) : null;
  }

  private async visibleVideo(id: string | null, { actor, loaders }: OperationContext): Promise<Video | null> {
    if (!id) return null;
    const video = await loaders.load('videos', (ids: readonly string[]) => this.videos.byIds(ids), id);
    if (!video) return null;
    const role = await this.channels.roleOfActor(actor, video.channelId, loaders);
    return canWatch(video, actor, role, video.readAt) ? Video.of(video) : null;
  }

  @ResolveField(() => User, {
    nullable: true,
    description: 'Whose doing it is. Null for nobody in particular, and when the account is gone.',
  })
  async actor({ row }: Notification, _: unknown, { actor, loaders }: OperationContext): Promise<User | null> {
    if (!row.actorId) return null;
    const user = await loaders.load('users', (ids: readonly string[]) => this.users.byIds(ids), row.actorId);
    return user && User.of(user, actor);
  }
}

@Resolver(() => ChannelNotification)
export class ChannelNotificationResolver {
  constructor(private readonly videos: VideosService) {}

  /** What everybody may see, whoever asks: so one answer is everybody's. */
  @SameForAll()
  @ResolveField(() => Video, { nullable: true, description: 'The new video. Null when it is not public any more.' })
  async video({ videoId }: ChannelNotification, _: unknown, { loaders }: OperationContext): Promise<Video | null> {
    if (!videoId) return null;
    const load = (ids: readonly string[]) => this.videos.byIds(ids);
    const video: VideoRow | null = await loaders.load('videos', load, videoId);
    const isPublic = video?.visibility === 'PUBLIC' && canWatch(video, null, null, video.readAt);
    return isPublic ? Video.of(video) : null;
  }
}

@Resolver(() => User)
export class UserNotificationsResolver {
  constructor(private readonly service: NotificationsService) {}

  @ResolveField(() => NotificationConnection, {
    complexity: 5,
    description: "This person's inbox, the newest first. Empty but for that person.",
  })
  async notifications(
    @Parent() { row }: User,
    @Args() args: NotificationsArgs,
    @CurrentActor() actor: Actor | null,
  ): Promise<Connection<Notification>> {
    const isTheirs = actor?.userId === row.id;
    const page = isTheirs
      ? await this.service.inbox(row.id, args.unreadOnly ?? false, args.first, args.after)
      : NOTHING;
    return toConnection(page, args, ({ place }) => place, Notification.of);
  }

  @ResolveField(() => Int, {
    nullable: true,
    complexity: 5,
    description: `How many of them are unread, counted up to ${COUNTED}. Null but for that person.`,
  })
  async unreadNotificationCount({ row }: User, _: unknown, { actor }: OperationContext): Promise<number | null> {
    return actor?.userId === row.id ? this.service.unreadCount(row.id) : null;
  }

  @ResolveField(() => [NotificationPreference], {
    description: 'By which ways this person is told of each kind. Empty but for that person and administrators.',
  })
  async notificationPreferences(
    { row }: User,
    _: unknown,
    { actor }: OperationContext,
  ): Promise<NotificationPreference[]> {
    return canSeeAccount(actor, row.id) ? preferencesOf(await this.service.preferences(row.id)) : [];
  }
}

const NOTHING = { rows: [], hasNextPage: false };

function preferencesOf(known: Awaited<ReturnType<NotificationsService['preferences']>>): NotificationPreference[] {
  return NOTIFICATION_KINDS.map((kind) => NotificationPreference.of(kind, known.get(kind) ?? ALL_WAYS));
}
