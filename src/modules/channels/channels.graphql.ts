import { ArgsType, Field, ID, InputType, ObjectType } from '@nestjs/graphql';
import type { DomainError } from '../../common/errors/index.js';
import { connectionOf, encodeId, Node, UserError } from '../../common/graphql/index.js';
import type { ChannelEntity } from './channel.entity.js';

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

  @Field(() => String, { description: 'What it is about: plain text of several lines. May be empty.' })
  description: string;

  static of(row: ChannelEntity): Channel {
    const { id, handle, name } = row;
    const description = row.description ?? '';
    return Object.assign(new Channel(), { row, id: encodeId('Channel', id), handle, name, description });
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

@InputType()
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
