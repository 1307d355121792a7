import { Field, ID, InputType, ObjectType, registerEnumType } from '@nestjs/graphql';
import { IsOptional } from 'class-validator';
import type { DomainError } from '../../common/errors/index.js';
import { connectionOf, GraphQLDateTime, UserError } from '../../common/graphql/index.js';
import { Channel } from '../channels/index.js';
import type { NotifyLevel, SubscriptionEntity } from './subscription.entity.js';

export const NotifyLevelEnum = { ALL: 'ALL', HIGHLIGHTS: 'HIGHLIGHTS', NONE: 'NONE' } as const;
registerEnumType(NotifyLevelEnum, {
  name: 'NotifyLevel',
  description: 'Of which new videos of a channel a follower is told. All of them stand in the feed.',
  valuesMap: {
    ALL: { description: 'Of every one.' },
    HIGHLIGHTS: { description: 'Of those that carried the mark `highlight` when they were published.' },
    NONE: { description: 'Of none.' },
  },
});

@ObjectType({ description: 'That somebody follows a channel.' })
export class ChannelSubscription {
  /** What it was made of, for field resolvers; no field. */
  row: SubscriptionEntity;

  @Field(() => NotifyLevelEnum, { description: 'Of which new videos they are told.' })
  notify: NotifyLevel;

  @Field(() => GraphQLDateTime, { description: 'Since when.' })
  createdAt: Date;

  static of(row: SubscriptionEntity): ChannelSubscription {
    return Object.assign(new ChannelSubscription(), { row, notify: row.notify, createdAt: row.createdAt });
  }
}

export const { Edge: ChannelSubscriptionEdge, Connection: ChannelSubscriptionConnection } = connectionOf(
  () => ChannelSubscription,
  { totalCount: true },
);

@InputType({ description: 'Which channel to follow, and how.' })
export class SubscribeToChannelInput {
  @Field(() => ID, { description: 'The channel.' })
  channelId: string;

  @Field(() => NotifyLevelEnum, {
    nullable: true,
    description: 'Of which new videos to be told. Left out: ALL for who did not follow it, else as it is.',
  })
  @IsOptional()
  notify?: NotifyLevel | null;
}

@ObjectType({ description: 'What subscribeToChannel answers.' })
export class SubscribeToChannelPayload {
  @Field(() => ChannelSubscription, { nullable: true, description: 'As it is now. Null when there are user errors.' })
  subscription: ChannelSubscription | null = null;

  @Field(() => [UserError], { description: 'Codes: NOT_FOUND, TOO_MANY_SUBSCRIPTIONS.' })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'Which channel to follow no more.' })
export class UnsubscribeFromChannelInput {
  @Field(() => ID, { description: 'The channel.' })
  channelId: string;
}

@ObjectType({ description: 'What unsubscribeFromChannel answers.' })
export class UnsubscribeFromChannelPayload {
  @Field(() => Channel, { nullable: true, description: 'The channel. Null when there are user errors.' })
  channel: Channel | null = null;

  @Field(() => [UserError], { description: 'Codes: NOT_FOUND.' })
  userErrors: DomainError[] = [];
}
