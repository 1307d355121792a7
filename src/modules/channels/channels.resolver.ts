import { Args, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor, Public } from '../../common/access/index.js';
import { InvalidInput } from '../../common/errors/index.js';
import {
  type Connection,
  decodeCursor,
  decodeId,
  encodeCursor,
  Mutates,
  NodeResolver,
  type OperationContext,
  PageArgs,
  toConnection,
} from '../../common/graphql/index.js';
import { canSeeAccount, User } from '../users/index.js';
import {
  Channel,
  ChannelArgs,
  ChannelConnection,
  CreateChannelInput,
  CreateChannelPayload,
} from './channels.graphql.js';
import { canManage } from './channels.policy.js';
import { ChannelsService } from './channels.service.js';

@Resolver(() => Channel)
export class ChannelsResolver {
  constructor(private readonly channels: ChannelsService) {}

  @Public()
  @Query(() => Channel, { nullable: true, description: 'A channel by its id or by its handle: give one of the two.' })
  async channel(@Args() { id, handle }: ChannelArgs, @CurrentActor() actor: Actor | null): Promise<Channel | null> {
    if ((id == null) === (handle == null)) throw new InvalidInput('Give either id or handle.', ['id']);
    if (id != null) return this.channelNode(decodeId('Channel', id), actor);
    const channel = await this.channels.byHandle(handle as string);
    return channel && Channel.of(channel);
  }

  @NodeResolver('Channel')
  async channelNode(id: string, _actor: Actor | null): Promise<Channel | null> {
    const channel = await this.channels.byId(id);
    return channel && Channel.of(channel);
  }

  @Authenticated()
  @Mutates(() => CreateChannelPayload, { description: 'Makes a channel; who makes it owns it.' })
  async createChannel(
    @Args('input') input: CreateChannelInput,
    @CurrentActor() actor: Actor,
  ): Promise<CreateChannelPayload> {
    const channel = await this.channels.create(actor.userId, input);
    return Object.assign(new CreateChannelPayload(), { channel: Channel.of(channel) });
  }

  @ResolveField(() => Boolean, { description: 'The viewer may change the channel and its videos.' })
  async viewerCanManage(channel: Channel, _: unknown, { actor, loaders }: OperationContext): Promise<boolean> {
    return canManage(await this.channels.roleOfActor(actor, channel.row.id, loaders));
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
    const userId = user.row.id;
    if (!canSeeAccount(actor, userId))
      return toConnection({ rows: [], hasNextPage: false }, args, () => '', Channel.of, 0);
    const [time, channelId] = args.after ? decodeCursor(args.after, 'time', 'uuid') : [];
    const page = await this.service.ofUser(userId, args.first, time && channelId ? { time, channelId } : null);
    return toConnection(
      page,
      args,
      ({ place }) => encodeCursor(place.time, place.channelId),
      ({ channel }) => Channel.of(channel),
      () => this.service.countOfUser(userId),
    );
  }
}
