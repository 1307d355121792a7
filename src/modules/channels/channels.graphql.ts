import { ArgsType, Field, ID, InputType, ObjectType, registerEnumType } from '@nestjs/graphql';
import { IsOptional } from 'class-validator';
import type { DomainError } from '../../common/errors/index.js';
import { connectionOf, encodeId, GraphQLDateTime, Node, UserError } from '../../common/graphql/index.js';
import type { ChannelEntity } from './channel.entity.js';
import type { ChannelMemberEntity } from './channel-member.entity.js';
import type { ChannelRole } from './channels.policy.js';

@ObjectType({ implements: () => Node, description: 'Where videos are published. Anybody may see it.' })
export class Channel extends Node {
  /** What it was made of, for field resolvers; no field. */
  row: ChannelEntity;

  @Field(() => String, {
    description: 'The name in its address, 3 to 30 characters, unique whatever the case, as its maker wrote it.',
  })
  handle: string;

  @Field(() => String, { description: 'The name shown, 1 to 100 characters.' })
  name: string;

  @Field(() => String, { description: 'What it is about: plain text of several lines. Empty when nothing is said.' })
  description: string;

  static of(row: ChannelEntity): Channel {
    const { id, handle, name, description } = row;
    return Object.assign(new Channel(), {
      row,
      id: encodeId('Channel', id),
      handle,
      name,
      description: description ?? '',
    });
  }
}

export const { Edge: ChannelEdge, Connection: ChannelConnection } = connectionOf(() => Channel, { totalCount: true });

@ArgsType()
export class ChannelArgs {
  @Field(() => ID, { nullable: true, description: "The channel's id." })
  id?: string | null;

  @Field(() => String, { nullable: true, description: "The channel's handle, in any case." })
  handle?: string | null;
}

@InputType({ description: 'A new channel.' })
export class CreateChannelInput {
  @Field(() => String, {
    description:
      '3 to 30 letters a to z and digits, with single `_`, `.` and `-` between them. Case makes no difference.',
  })
  handle: string;

  @Field(() => String, { description: '1 to 100 characters.' })
  name: string;

  @Field(() => String, { nullable: true, description: 'Plain text, at most 5,000 characters.' })
  description?: string | null;
}

@ObjectType({ description: 'What createChannel answers.' })
export class CreateChannelPayload {
  @Field(() => Channel, { nullable: true, description: 'The new channel. Null when there are user errors.' })
  channel: Channel | null = null;

  @Field(() => [UserError], { description: 'Codes: INVALID_INPUT, HANDLE_TAKEN, HANDLE_RESERVED.' })
  userErrors: DomainError[] = [];
}

@ObjectType('NotAnEditor', {
  implements: () => UserError,
  description: 'You may see it, but only owners and editors of its channel may change it.',
})
export class NotAnEditorError extends UserError {}

export const ChannelRoleEnum = { OWNER: 'OWNER', EDITOR: 'EDITOR', VIEWER: 'VIEWER' } as const;
registerEnumType(ChannelRoleEnum, {
  name: 'ChannelRole',
  description: 'What a member of a channel may do.',
  valuesMap: {
    OWNER: { description: 'Everything: also say who its members are, and delete it.' },
    EDITOR: { description: 'Upload, and change the channel, its videos and what is said under them.' },
    VIEWER: { description: 'See what is private.' },
  },
});

@ObjectType({ description: 'Somebody who has a role in a channel, or was asked to take one.' })
export class ChannelMember {
  /** What it was made of, for field resolvers; no field. */
  row: ChannelMemberEntity;

  @Field(() => ChannelRoleEnum, { description: 'What they may do.' })
  role: ChannelRole;

  @Field(() => GraphQLDateTime, { description: 'When they were asked.' })
  createdAt: Date;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Since when they are a member. Null for who has not answered yet, and may do nothing.',
  })
  acceptedAt: Date | null;

  static of(row: ChannelMemberEntity): ChannelMember {
    const { role, createdAt, acceptedAt } = row;
    return Object.assign(new ChannelMember(), { row, role, createdAt, acceptedAt });
  }
}

export const { Edge: ChannelMemberEdge, Connection: ChannelMemberConnection } = connectionOf(() => ChannelMember, {
  totalCount: true,
});

@InputType({ description: 'What is left out stays as it is.' })
export class UpdateChannelInput {
  @Field(() => ID, { description: 'Which channel.' })
  channelId: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  @IsOptional()
  name?: string | null;

  @Field(() => String, { nullable: true, description: 'Plain text, at most 5,000 characters.' })
  @IsOptional()
  description?: string | null;
}

@ObjectType({ description: 'The channel after the change.' })
export class UpdateChannelPayload {
  @Field(() => Channel, { nullable: true, description: 'As it is now. Null when nothing was changed.' })
  channel: Channel | null = null;

  @Field(() => [UserError], { description: 'Codes: INVALID_INPUT, NOT_FOUND, NOT_AN_EDITOR.' })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'The channel to delete.' })
export class DeleteChannelInput {
  @Field(() => ID, { description: 'Which channel.' })
  channelId: string;
}

@ObjectType({ description: 'The id of the channel that is gone.' })
export class DeleteChannelPayload {
  @Field(() => ID, { nullable: true, description: 'The id of what is gone now. Null when there are user errors.' })
  deletedChannelId: string | null = null;

  @Field(() => [UserError], { description: 'Codes: NOT_FOUND, NOT_AN_OWNER.' })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'Who is asked, or which role a member has from now on.' })
export class AddChannelMemberInput {
  @Field(() => ID, { description: 'Which channel.' })
  channelId: string;

  @Field(() => ID, { description: 'Whom, by the id that `viewer` tells them.' })
  userId: string;

  @Field(() => ChannelRoleEnum, { description: 'What they may do; of a member instead of what they might before.' })
  role: ChannelRole;
}

@ObjectType({ description: 'The member after the change.' })
export class AddChannelMemberPayload {
  @Field(() => ChannelMember, { nullable: true, description: 'Null when nothing was changed.' })
  member: ChannelMember | null = null;

  @Field(() => [UserError], { description: 'Codes: NOT_FOUND, NOT_AN_OWNER, LAST_OWNER, TOO_MANY_MEMBERS.' })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'What is taken up.' })
export class AcceptChannelMembershipInput {
  @Field(() => ID, { description: 'Which channel.' })
  channelId: string;
}

@ObjectType({ description: 'What acceptChannelMembership answers.' })
export class AcceptChannelMembershipPayload {
  @Field(() => ChannelMember, { nullable: true, description: 'You. Null when there are user errors.' })
  member: ChannelMember | null = null;

  @Field(() => [UserError], { description: 'Codes: NOT_FOUND.' })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'Who has no role in a channel any more.' })
export class RemoveChannelMemberInput {
  @Field(() => ID, { description: 'Which channel.' })
  channelId: string;

  @Field(() => ID, { description: 'Whom. Everybody may leave, or decline.' })
  userId: string;
}

@ObjectType({ description: 'The channel without that member.' })
export class RemoveChannelMemberPayload {
  @Field(() => Channel, { nullable: true, description: 'Null when nothing was changed.' })
  channel: Channel | null = null;

  @Field(() => [UserError], { description: 'Codes: NOT_FOUND, NOT_AN_OWNER, LAST_OWNER.' })
  userErrors: DomainError[] = [];
}
