import { Args, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor, Public } from '../../common/access/index.js';
import { InvalidInput } from '../../common/errors/index.js';
import {
  type Connection,
  decodeId,
  following,
  GraphQLUrl,
  type Loaders,
  type MaybePromise,
  Mutates,
  NodeResolver,
  type OperationContext,
  PageArgs,
  toConnection,
} from '../../common/graphql/index.js';
import { type RateLimit, RateLimits } from '../../common/rate-limits/index.js';
import { canSeeAccount, User } from '../users/index.js';
import { ChannelImages } from './channel-images.service.js';
import {
  Channel,
  ChannelArgs,
  ChannelConnection,
  CreateChannelInput,
  CreateChannelPayload,
  DeleteChannelInput,
  DeleteChannelPayload,
  UpdateChannelInput,
  UpdateChannelPayload,
} from './channels.graphql.js';
import { canManage } from './channels.policy.js';
import { ChannelsService } from './channels.service.js';

/** A handle is gone for good: nobody takes all the good ones. Also those who look for one that is free have enough. */
const CHANNELS: RateLimit = { name: 'createChannel', points: 100, seconds: 86_400 };

@Resolver(() => Channel)
export class ChannelsResolver {
  constructor(
    private readonly channels: ChannelsService,
    private readonly images: ChannelImages,
    private readonly limits: RateLimits,
  ) {}

  @Public()
  @Query(() => Channel, { nullable: true, description: 'A channel by its id or by its handle: give one of the two.' })
  async channel(@Args() { id, handle }: ChannelArgs, @CurrentActor() actor: Actor | null): Promise<Channel | null> {
    if ((id == null) === (handle == null)) throw new InvalidInput('Give either id or handle.', ['id']);
    if (id != null) return this.channelNode(decodeId('Channel', id), actor);
    const of = handle as string;
    const channel = await (actor ? this.channels.byHandle(of) : this.channels.recentByHandle(of));
    return channel && Channel.of(channel);
  }

  @NodeResolver('Channel')
  async channelNode(id: string, actor: Actor | null): Promise<Channel | null> {
    const channel = await (actor ? this.channels.byId(id) : this.channels.recentById(id));
    return channel && Channel.of(channel);
  }

  @Authenticated()
  @Mutates(() => CreateChannelPayload, { description: 'Makes a channel; who makes it owns it.' })
  async createChannel(
    @Args('input') input: CreateChannelInput,
    @CurrentActor() actor: Actor,
  ): Promise<CreateChannelPayload> {
    await this.limits.spend(CHANNELS, actor.userId);
    const channel = await this.channels.create(actor.userId, input);
    return Object.assign(new CreateChannelPayload(), { channel: Channel.of(channel) });
  }

  @Authenticated()
  @Mutates(() => UpdateChannelPayload, { description: 'For owners and editors of the channel.' })
  async updateChannel(
    @Args('input') input: UpdateChannelInput,
    @CurrentActor() actor: Actor,
  ): Promise<UpdateChannelPayload> {
    const row = await this.channels.update(actor, decodeId('Channel', input.channelId, ['channelId']), input);
    return Object.assign(new UpdateChannelPayload(), { channel: Channel.of(row) });
  }

  @Authenticated()
  @Mutates(() => DeleteChannelPayload, {
    description:
      'For owners: takes the channel off for good, with its videos, which go within moments. Nobody gets its handle. Repeated it is NOT_FOUND.',
  })
  async deleteChannel(
    @Args('input') input: DeleteChannelInput,
    @CurrentActor() actor: Actor,
  ): Promise<DeleteChannelPayload> {
    await this.channels.delete(actor, decodeId('Channel', input.channelId, ['channelId']));
    return Object.assign(new DeleteChannelPayload(), { deletedChannelId: input.channelId });
  }

  @ResolveField(() => GraphQLUrl, {
    nullable: true,
    description:
      'A square JPEG that stands for it, 400 pixels wide. Null for none. Another picture has another address.',
  })
  avatarUrl({ row }: Channel, _: unknown, { loaders }: OperationContext): MaybePromise<string | null> {
    return following(this.imagesOf(row.id, loaders), (images) => images?.AVATAR ?? null);
  }

  @ResolveField(() => GraphQLUrl, {
    nullable: true,
    description: 'A wide JPEG, 1600 × 400 pixels. Null for none. Another picture has another address.',
  })
  bannerUrl({ row }: Channel, _: unknown, { loaders }: OperationContext): MaybePromise<string | null> {
    return following(this.imagesOf(row.id, loaders), (images) => images?.BANNER ?? null);
  }

  private imagesOf(channelId: string, loaders: Loaders) {
    return loaders.load('channel images', (ids: readonly string[]) => this.images.urlsOf(ids), channelId);
  }

  @ResolveField(() => Boolean, { description: 'The viewer may change the channel and its videos.' })
  async viewerCanManage(channel: Channel, _: unknown, { actor, loaders }: OperationContext): Promise<boolean> {
    return canManage(actor, await this.channels.roleOfActor(actor, channel.row.id, loaders));
  }
}

@Resolver(() => User)
export class UserChannelsResolver {
  constructor(private readonly service: ChannelsService) {}

  @ResolveField(() => ChannelConnection, {
    description:
      'The channels in which this person has a role, newest first. Empty but for that person and administrators.',
  })
  async channels(
    @Parent() user: User,
    @Args() args: PageArgs,
    @CurrentActor() actor: Actor | null,
  ): Promise<Connection<Channel>> {
    return this.list('member', user, args, actor);
  }

  @ResolveField(() => ChannelConnection, {
    description:
      'The channels that asked this person to become a member: see `viewerInvitation`. Empty but for that person and administrators.',
  })
  async channelInvitations(
    @Parent() user: User,
    @Args() args: PageArgs,
    @CurrentActor() actor: Actor | null,
  ): Promise<Connection<Channel>> {
    return this.list('invited', user, args, actor);
  }

  private async list(which: 'member' | 'invited', { row }: User, args: PageArgs, actor: Actor | null) {
    if (!canSeeAccount(actor, row.id)) return toConnection(NOTHING, args, () => '', Channel.of, 0);
    const page = await this.service.ofUser(row.id, which, args.first, args.after);
    const count = () => this.service.countOfUser(row.id, which);
    return toConnection(page, args, ({ place }) => place, Channel.of, count);
  }
}

const NOTHING = { rows: [], hasNextPage: false };
