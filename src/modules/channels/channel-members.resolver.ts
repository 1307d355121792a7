import { Args, Parent, ResolveField, Resolver } from '@nestjs/graphql';
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
import { User, UsersService } from '../users/index.js';
import {
  AcceptChannelMembershipInput,
  AcceptChannelMembershipPayload,
  AddChannelMemberInput,
  AddChannelMemberPayload,
  Channel,
  ChannelMember,
  ChannelMemberConnection,
  RemoveChannelMemberInput,
  RemoveChannelMemberPayload,
} from './channels.graphql.js';
import { canSeeMembers } from './channels.policy.js';
import { ChannelsService } from './channels.service.js';

const idsOf = (input: { channelId: string; userId: string }) =>
  [decodeId('Channel', input.channelId, ['channelId']), decodeId('User', input.userId, ['userId'])] as const;

@Resolver(() => ChannelMember)
export class ChannelMembersResolver {
  constructor(
    private readonly channels: ChannelsService,
    private readonly users: UsersService,
  ) {}

  @Authenticated()
  @Mutates(() => AddChannelMemberPayload, {
    description:
      'For owners: asks somebody to become a member, who then accepts, or gives a member another role. There is always an owner.',
  })
  async addChannelMember(
    @Args('input') input: AddChannelMemberInput,
    @CurrentActor() actor: Actor,
  ): Promise<AddChannelMemberPayload> {
    const row = await this.channels.setMember(actor, ...idsOf(input), input.role);
    return Object.assign(new AddChannelMemberPayload(), { member: ChannelMember.of(row) });
  }

  @Authenticated()
  @Mutates(() => AcceptChannelMembershipPayload, {
    description: 'For who was asked: takes the role. Repeating it is no error; removeChannelMember declines.',
  })
  async acceptChannelMembership(
    @Args('input') input: AcceptChannelMembershipInput,
    @CurrentActor() actor: Actor,
  ): Promise<AcceptChannelMembershipPayload> {
    const row = await this.channels.acceptMembership(actor, decodeId('Channel', input.channelId, ['channelId']));
    return Object.assign(new AcceptChannelMembershipPayload(), { member: ChannelMember.of(row) });
  }

  @Authenticated()
  @Mutates(() => RemoveChannelMemberPayload, {
    description:
      'For owners, and for whoever leaves: takes a role away. There is always an owner. Repeating it is no error.',
  })
  async removeChannelMember(
    @Args('input') input: RemoveChannelMemberInput,
    @CurrentActor() actor: Actor,
  ): Promise<RemoveChannelMemberPayload> {
    const [channelId, userId] = idsOf(input);
    await this.channels.removeMember(actor, channelId, userId);
    const channel = await this.channels.byId(channelId);
    return Object.assign(new RemoveChannelMemberPayload(), { channel: channel && Channel.of(channel) });
  }

  @ResolveField(() => User, { description: 'Who.' })
  async user({ row }: ChannelMember, _: unknown, { actor, loaders }: OperationContext): Promise<User> {
    const user = await loaders.load('users', (ids: readonly string[]) => this.users.byIds(ids), row.userId);
    if (!user) throw new Error(`The member ${row.userId} is gone.`);
    return User.of(user, actor);
  }
}

@Resolver(() => Channel)
export class ChannelMemberListResolver {
  constructor(private readonly channels: ChannelsService) {}

  @ResolveField(() => ChannelMember, {
    nullable: true,
    description: 'What you were asked to be in it, and have not answered. Null for nothing.',
  })
  viewerInvitation(
    { row }: Channel,
    _: unknown,
    { actor, loaders }: OperationContext,
  ): MaybePromise<ChannelMember | null> {
    if (!actor) return null;
    const load = (ids: readonly string[]) => this.channels.invitationsAmong(actor.userId, ids);
    return following(loaders.load('invitations', load, row.id), (own) => own && ChannelMember.of(own));
  }

  @ResolveField(() => ChannelMemberConnection, {
    nullable: true,
    description:
      'Who has a role in it or was asked, in the order of their being asked. Null but for its members and administrators.',
  })
  async members(
    @Parent() { row }: Channel,
    @Args() args: PageArgs,
    @CurrentActor() actor: Actor | null,
    @OperationLoaders() loaders: Loaders,
  ): Promise<Connection<ChannelMember> | null> {
    if (!canSeeMembers(actor, await this.channels.roleOfActor(actor, row.id, loaders))) return null;
    const page = await this.channels.members(row.id, args.first, args.after);
    const count = async () => (await this.channels.countOfMembers(row.id)).all;
    return toConnection(page, args, ({ place }) => place, ChannelMember.of, count);
  }
}
