import { Args, Int, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor } from '../../common/access/index.js';
import {
  type Connection,
  decodeId,
  following,
  type Loaders,
  type MaybePromise,
  Mutates,
  type OperationContext,
  OperationLoaders,
  PageArgs,
  toConnection,
} from '../../common/graphql/index.js';
import { RateLimits, REACTIONS } from '../../common/rate-limits/index.js';
import { Channel, ChannelsService, canOwn } from '../channels/index.js';
import { canSeeAccount, User, UsersService } from '../users/index.js';
import { Video, VideoConnection } from '../videos/index.js';
import {
  ChannelSubscription,
  ChannelSubscriptionConnection,
  SubscribeToChannelInput,
  SubscribeToChannelPayload,
  UnsubscribeFromChannelInput,
  UnsubscribeFromChannelPayload,
} from './subscriptions.graphql.js';
import { SubscriptionsService } from './subscriptions.service.js';

@Resolver(() => ChannelSubscription)
export class SubscriptionsResolver {
  constructor(
    private readonly subscriptions: SubscriptionsService,
    private readonly channels: ChannelsService,
    private readonly users: UsersService,
    private readonly limits: RateLimits,
  ) {}

  @Authenticated()
  @Mutates(() => SubscribeToChannelPayload, {
    description: 'Follows a channel, or changes of what one is told. Repeating it is no error.',
  })
  async subscribeToChannel(
    @Args('input') input: SubscribeToChannelInput,
    @CurrentActor() actor: Actor,
  ): Promise<SubscribeToChannelPayload> {
    await this.limits.spend(REACTIONS, actor.userId);
    const channelId = decodeId('Channel', input.channelId, ['channelId']);
    const row = await this.subscriptions.subscribe(actor, channelId, input.notify ?? null);
    return Object.assign(new SubscribeToChannelPayload(), { subscription: ChannelSubscription.of(row) });
  }

  @Authenticated()
  @Mutates(() => UnsubscribeFromChannelPayload, { description: 'Follows a channel no more. Repeating it is no error.' })
  async unsubscribeFromChannel(
    @Args('input') input: UnsubscribeFromChannelInput,
    @CurrentActor() actor: Actor,
  ): Promise<UnsubscribeFromChannelPayload> {
    await this.limits.spend(REACTIONS, actor.userId);
    const channelId = decodeId('Channel', input.channelId, ['channelId']);
    await this.subscriptions.unsubscribe(actor, channelId);
    const channel = await this.channels.byId(channelId);
    return Object.assign(new UnsubscribeFromChannelPayload(), { channel: channel && Channel.of(channel) });
  }

  @ResolveField(() => Channel, { description: 'What is followed.' })
  async channel({ row }: ChannelSubscription, _: unknown, { loaders }: OperationContext): Promise<Channel> {
    // It may be deleted a moment later than this row was read.
    const load = (ids: readonly string[]) => this.channels.withDeletedByIds(ids);
    const channel = await loaders.load('channels and deleted ones', load, row.channelId);
    if (!channel) throw new Error(`The followed channel ${row.channelId} is gone.`);
    return Channel.of(channel);
  }

  @ResolveField(() => User, { description: 'Who follows it.' })
  async subscriber({ row }: ChannelSubscription, _: unknown, { actor, loaders }: OperationContext): Promise<User> {
    const user = await loaders.load('users', (ids: readonly string[]) => this.users.byIds(ids), row.userId);
    if (!user) throw new Error(`The follower ${row.userId} is gone.`);
    return User.of(user, actor);
  }
}

@Resolver(() => Channel)
export class ChannelSubscriptionsResolver {
  constructor(
    private readonly subscriptions: SubscriptionsService,
    private readonly channels: ChannelsService,
  ) {}

  @ResolveField(() => Int, { description: 'How many follow it.' })
  subscriberCount({ row }: Channel, _: unknown, { actor, loaders }: OperationContext): MaybePromise<number> {
    const load = (ids: readonly string[]) =>
      actor ? this.subscriptions.countsOf(ids) : this.subscriptions.recentCountsOf(ids);
    return following(loaders.load('subscriber counts', load, row.id), (count) => count ?? 0);
  }

  @ResolveField(() => ChannelSubscription, {
    nullable: true,
    description: 'How you follow it. Null when you do not, or nobody is signed in.',
  })
  viewerSubscription(
    { row }: Channel,
    _: unknown,
    { actor, loaders }: OperationContext,
  ): MaybePromise<ChannelSubscription | null> {
    if (!actor) return null;
    const load = (ids: readonly string[]) => this.subscriptions.ofUserAmong(actor.userId, ids);
    return following(loaders.load('viewer subscriptions', load, row.id), (own) => own && ChannelSubscription.of(own));
  }

  @ResolveField(() => ChannelSubscriptionConnection, {
    nullable: true,
    description: 'Who follows it, the latest first. Null but for its owners and administrators.',
  })
  async subscribers(
    @Parent() { row }: Channel,
    @Args() args: PageArgs,
    @CurrentActor() actor: Actor | null,
    @OperationLoaders() loaders: Loaders,
  ): Promise<Connection<ChannelSubscription> | null> {
    if (!canOwn(actor, await this.channels.roleOfActor(actor, row.id, loaders))) return null;
    const page = await this.subscriptions.ofChannel(row.id, args.first, args.after);
    const count = async () => (await this.subscriptions.countsOf([row.id])).get(row.id) ?? 0;
    return toConnection(page, args, ({ place }) => place, ChannelSubscription.of, count);
  }
}

@Resolver(() => User)
export class UserSubscriptionsResolver {
  constructor(private readonly service: SubscriptionsService) {}

  @ResolveField(() => ChannelSubscriptionConnection, {
    description: 'What this person follows, followed last first. Empty but for that person and administrators.',
  })
  async subscriptions(
    @Parent() { row }: User,
    @Args() args: PageArgs,
    @CurrentActor() actor: Actor | null,
  ): Promise<Connection<ChannelSubscription>> {
    const isTheirs = canSeeAccount(actor, row.id);
    const page = isTheirs ? await this.service.ofUser(row.id, args.first, args.after) : NOTHING;
    const count = () => (isTheirs ? this.service.countOfUser(row.id) : Promise.resolve(0));
    return toConnection(page, args, ({ place }) => place, ChannelSubscription.of, count);
  }

  @ResolveField(() => VideoConnection, {
    complexity: 300,
    description:
      'What the channels that this person follows have published, the latest first. Empty but for that person and administrators.',
  })
  async subscriptionFeed(
    @Parent() { row }: User,
    @Args() args: PageArgs,
    @CurrentActor() actor: Actor | null,
  ): Promise<Connection<Video>> {
    const page = canSeeAccount(actor, row.id) ? await this.service.feed(row.id, args.first, args.after) : NOTHING;
    return toConnection(page, args, ({ place }) => place, Video.of);
  }
}

const NOTHING = { rows: [], hasNextPage: false };
