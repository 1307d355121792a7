import { Args, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor, Public } from '../../common/access/index.js';
import { InvalidInput } from '../../common/errors/index.js';
import {
  type Connection,
  decodeCursor,
  decodeId,
  encodeCursor,
  Loaders,
  Mutates,
  NodeResolver,
  OperationLoaders,
  PageArgs,
  parseId,
  toConnection,
} from '../../common/graphql/index.js';
import { canSeeAccount, User } from '../users/index.js';
import { Channel, ChannelArgs, ChannelConnection, CreateChannelInput, CreateChannelPayload, toChannel } from './channels.graphql.js';
import { canManage } from './channels.policy.js';
import { ChannelsService } from './channels.service.js';

@Resolver(() => Channel)
export class ChannelsResolver {
  constructor(private readonly channels: ChannelsService) {}

  @Public()
  @Query(() => Channel, { nullable: true, description: 'A channel by its id or by its handle: give one of the two.' })
  async channel(@Args() { id, handle }: ChannelArgs): Promise<Channel | null> {
    if ((id == null) === (handle == null)) throw new InvalidInput('Give either id or handle.', ['id']);
    if (handle != null) return shown(await this.channels.byHandle(handle));
    const parsed = parseId(id as string);
    return parsed?.type === 'Channel' ? this.channelNode(parsed.uuid) : null;
  }

  @NodeResolver('Channel')
  async channelNode(id: string): Promise<Channel | null> {
    return shown(await this.channels.byId(id));
  }

  @Authenticated()
  @Mutates(() => CreateChannelPayload, { description: 'Makes a channel; who makes it owns it.' })
  async createChannel(
    @Args('input') input: CreateChannelInput,
    @CurrentActor() actor: Actor,
  ): Promise<CreateChannelPayload> {
    const channel = await this.channels.create(actor.userId, input);
    return Object.assign(new CreateChannelPayload(), { channel: toChannel(channel) });
  }

  @ResolveField(() => Boolean, { description: 'The viewer may change the channel and its videos.' })
  async viewerCanManage(
    @Parent() channel: Channel,
    @CurrentActor() actor: Actor | null,
    @OperationLoaders() loaders: Loaders,
  ): Promise<boolean> {
    if (!actor) return false;
    const roles = loaders.loader('channels.viewerRole', (ids: readonly string[]) => this.channels.rolesOf(actor.userId, ids));
    return canManage(await roles.load(decodeId('Channel', channel.id)));
  }
}

@Resolver(() => User)
export class UserChannelsResolver {
  constructor(private readonly channels: ChannelsService) {}

  @ResolveField(() => ChannelConnection, {
    description: 'The channels in which this person has a role, newest first. Empty but for that person and administrators.',
  })
  async channels_(): Promise<void> {}
}

function shown(channel: Parameters<typeof toChannel>[0] | null): Channel | null {
  return channel && toChannel(channel);
}
