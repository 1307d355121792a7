import { ArgsType, Field, ID, InputType, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { ArrayMaxSize, IsOptional } from 'class-validator';
import type { DomainError } from '../../common/errors/index.js';
import {
  connectionOf,
  encodeId,
  GraphQLCursor,
  GraphQLDateTime,
  Node,
  PageArgs,
  SameForAll,
  UserError,
} from '../../common/graphql/index.js';
import { NOTIFICATION_KINDS, type NotificationKind, type NotificationRow, type Ways } from './notification-kinds.js';
import { COUNTED } from './notifications.service.js';

/** Marked as read in one mutation. */
const MARKED_AT_ONCE = 100;

export const NotificationKindEnum = Object.fromEntries(NOTIFICATION_KINDS.map((kind) => [kind, kind]));
registerEnumType(NotificationKindEnum, {
  name: 'NotificationKind',
  description: 'What a notification tells.',
  valuesMap: {
    NEW_VIDEO: { description: 'A channel that you follow has published a video.' },
    UPLOAD_FINISHED: { description: 'A video of yours plays in all its renditions.' },
    UPLOAD_FAILED: { description: 'A video of yours was refused, or given up.' },
    COMMENT: { description: 'Somebody commented on a video of your channel.' },
    REPLY: { description: 'Somebody answered a comment of yours.' },
    NEW_FOLLOWER: { description: 'Somebody follows your channel. Once for each person.' },
  },
});

@ObjectType({ implements: () => Node, description: 'That somebody was told of something, once.' })
export class Notification extends Node {
  /** What it was made of, for field resolvers; no field. */
  row: NotificationRow;

  @Field(() => NotificationKindEnum, { description: 'What it tells.' })
  kind: NotificationKind;

  @Field(() => GraphQLDateTime, { description: 'When it was told.' })
  createdAt: Date;

  @Field(() => Boolean, { description: 'On any device.' })
  isRead: boolean;

  static of(row: NotificationRow): Notification {
    const { cause, kind, createdAt, isRead } = row;
    return Object.assign(new Notification(), { row, id: encodeId('Notification', cause), kind, createdAt, isRead });
  }
}

export const { Edge: NotificationEdge, Connection: NotificationConnection } = connectionOf(() => Notification);

@ArgsType()
export class NotificationsArgs extends PageArgs {
  @Field(() => Boolean, { nullable: true, defaultValue: false, description: 'Leave out what was read.' })
  @IsOptional()
  unreadOnly?: boolean | null;
}

@ObjectType({ description: 'That something was read, on whatever device.' })
export class NotificationsRead {
  @Field(() => [ID], { nullable: true, description: 'Which. Null: all up to `until`.' })
  ids: string[] | null;

  @Field(() => GraphQLDateTime, { description: 'When.' })
  until: Date;
}

@ObjectType({
  description:
    'What happened in your inbox. Without a notification and without what was read: only where the stream stands, at its beginning and now and then.',
})
export class InboxChange {
  @Field(() => GraphQLCursor, { description: 'Pass the last one as `after` to go on from there.' })
  cursor: string;

  @Field(() => ID, { nullable: true, description: 'The same change may come again after a break: it has the same id.' })
  id: string | null;

  @Field(() => Notification, { nullable: true, description: 'A new one.' })
  notification: Notification | null;

  @Field(() => NotificationsRead, { nullable: true, description: 'What is unread no more.' })
  read: NotificationsRead | null;
}

@ObjectType({
  description:
    'What everybody may hear of a channel. Without an id: only where the stream stands, at its beginning and now and then.',
})
export class ChannelNotification {
  videoId: string | null;

  @SameForAll()
  @Field(() => GraphQLCursor, { description: 'Pass the last one as `after` to go on from there.' })
  cursor: string;

  @SameForAll()
  @Field(() => ID, { nullable: true, description: 'The same may come again after a break: it has the same id.' })
  id: string | null;
}

@ObjectType({ description: 'By which ways you are told of one kind. All of them unless you said otherwise.' })
export class NotificationPreference {
  @Field(() => NotificationKindEnum, { description: 'Of what.' })
  kind: NotificationKind;

  @Field(() => Boolean, { description: 'It stands in the inbox, and counts as unread.' })
  inbox: boolean;

  @Field(() => Boolean, { description: '`notificationReceived` tells it at once.' })
  live: boolean;

  @Field(() => Boolean, { description: 'Browsers that are registered for pushes are told.' })
  push: boolean;

  static of(kind: NotificationKind, ways: Ways): NotificationPreference {
    return Object.assign(new NotificationPreference(), { kind, ...ways });
  }
}

@InputType({ description: 'What was read.' })
export class MarkNotificationsReadInput {
  @Field(() => [ID], { nullable: true, description: `Which, at most ${MARKED_AT_ONCE}. Left out: all there are.` })
  @IsOptional()
  @ArrayMaxSize(MARKED_AT_ONCE)
  ids?: string[] | null;
}

@ObjectType({ description: 'What markNotificationsRead answers.' })
export class MarkNotificationsReadPayload {
  @Field(() => Int, {
    nullable: true,
    description: `How many are unread now, counted up to ${COUNTED}. Null when there are user errors.`,
  })
  unreadNotificationCount: number | null = null;

  @Field(() => [UserError], { description: 'Codes: INVALID_INPUT, NOT_FOUND.' })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'What is left out stays as it is.' })
export class UpdateNotificationPreferenceInput {
  @Field(() => NotificationKindEnum, { description: 'Of what.' })
  kind: NotificationKind;

  @Field(() => Boolean, { nullable: true, description: 'Whether it stands in the inbox.' })
  @IsOptional()
  inbox?: boolean | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether it is told live.' })
  @IsOptional()
  live?: boolean | null;

  @Field(() => Boolean, { nullable: true, description: 'Whether it is pushed.' })
  @IsOptional()
  push?: boolean | null;
}

@ObjectType({ description: 'What updateNotificationPreference answers.' })
export class UpdateNotificationPreferencePayload {
  @Field(() => [NotificationPreference], { description: 'All of them, as they are now.' })
  preferences: NotificationPreference[] = [];

  @Field(() => [UserError], { description: 'Codes: INVALID_INPUT.' })
  userErrors: DomainError[] = [];
}

@InputType({ description: "What a browser's `PushSubscription.toJSON()` says." })
export class RegisterPushSubscriptionInput {
  @Field(() => String, { description: 'Its `endpoint`: https.' })
  endpoint: string;

  @Field(() => String, { description: 'Its `keys.p256dh`.' })
  p256dh: string;

  @Field(() => String, { description: 'Its `keys.auth`.' })
  auth: string;
}

@ObjectType({ description: 'What registerPushSubscription answers.' })
export class RegisterPushSubscriptionPayload {
  @Field(() => [UserError], { description: 'Codes: INVALID_INPUT, PUSH_ENDPOINT_REFUSED.' })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'Which browser is to be told no more.' })
export class RemovePushSubscriptionInput {
  @Field(() => String, { description: 'Its `endpoint`.' })
  endpoint: string;
}

@ObjectType({ description: 'What removePushSubscription answers.' })
export class RemovePushSubscriptionPayload {
  @Field(() => [UserError], { description: 'Empty: what is not there is gone.' })
  userErrors: DomainError[] = [];
}
