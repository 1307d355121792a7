import { Field, ID, InputType, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { IsOptional, MaxLength, MinLength, NotContains } from 'class-validator';
import type { DomainError } from '../../common/errors/index.js';
import {
  connectionOf,
  encodeId,
  GraphQLCursor,
  GraphQLDateTime,
  GraphQLUrl,
  Node,
  SameForAll,
  UserError,
} from '../../common/graphql/index.js';
import type { LiveEvent } from '../../common/live/index.js';
import type { CommentEntity } from './comment.entity.js';
import { linksIn, type TextLink } from './links.js';

export const CommentOrderEnum = { NEWEST: 'NEWEST', TOP: 'TOP' } as const;
export type CommentOrder = keyof typeof CommentOrderEnum;
registerEnumType(CommentOrderEnum, {
  name: 'CommentOrder',
  description: 'In which order comments come.',
  valuesMap: {
    NEWEST: { description: 'The latest first.' },
    TOP: {
      description:
        'What most people like first, then the latest. While likes come and go a comment may be met twice, or not at all, by who turns pages.',
    },
  },
});

export const CommentEventKindEnum = {
  ADDED: 'ADDED',
  EDITED: 'EDITED',
  DELETED: 'DELETED',
  PINNED: 'PINNED',
  UNPINNED: 'UNPINNED',
} as const;
export type CommentEventKind = keyof typeof CommentEventKindEnum;
/** What is told of a comment, in the topic of its video; ids as the database has them. */
export interface CommentNews {
  videoId: string;
  commentId: string;
  kind: CommentEventKind;
}
registerEnumType(CommentEventKindEnum, {
  name: 'CommentEventKind',
  description: 'What happened to a comment. More may be added.',
  valuesMap: {
    ADDED: { description: 'It is new.' },
    EDITED: { description: 'It has another text.' },
    DELETED: { description: 'Its text is gone; it stays in its list as long as there are replies to it.' },
    PINNED: { description: 'It stands above all others now, and what stood there does no more.' },
    UNPINNED: { description: 'It stands above all others no more.' },
  },
});

@ObjectType({ description: 'A web address in a text. As a link: rel="nofollow ugc noopener noreferrer".' })
export class CommentLink implements TextLink {
  @SameForAll()
  @Field(() => Int, { description: 'Where it begins in the text, in UTF-16 code units, from 0.' })
  start: number;

  @SameForAll()
  @Field(() => Int, { description: 'How long it is there, in UTF-16 code units.' })
  length: number;

  @SameForAll()
  @Field(() => GraphQLUrl, { description: 'What to open: http or https, with the host in ASCII.' })
  url: string;
}

@ObjectType({ implements: () => Node, description: 'What somebody said under a video, or in reply to that.' })
export class Comment extends Node {
  /** What it was made of, for field resolvers; no field. */
  row: CommentEntity;

  @SameForAll()
  @Field(() => String, {
    nullable: true,
    description: 'Plain text of 1 to 2,000 characters in any number of lines: escape it. Null once it is deleted.',
  })
  text: string | null;

  @SameForAll()
  @Field(() => [CommentLink], { description: 'The web addresses in the text, in its order, at most 20.' })
  links: readonly TextLink[];

  @SameForAll()
  @Field(() => ID, {
    nullable: true,
    description: 'The comment that this one answers. Null for one that answers none.',
  })
  parentId: string | null;

  @SameForAll()
  @Field(() => Int, { description: 'How many like it.' })
  likeCount: number;

  @SameForAll()
  @Field(() => Int, { description: 'How many replies there are to it, without deleted ones. 0 for a reply.' })
  replyCount: number;

  @SameForAll()
  @Field(() => GraphQLDateTime, { description: 'When it was written.' })
  createdAt: Date;

  @SameForAll()
  @Field(() => GraphQLDateTime, { nullable: true, description: 'When its text was changed last. Null if never.' })
  editedAt: Date | null;

  @SameForAll()
  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it was deleted. Null for what was not.' })
  deletedAt: Date | null;

  static of(row: CommentEntity): Comment {
    const isThere = row.deletedAt === null;
    return Object.assign(new Comment(), {
      row,
      id: encodeId('Comment', row.id),
      text: isThere ? row.text : null,
      links: isThere ? linksIn(row.text) : [],
      parentId: row.parentId === null ? null : encodeId('Comment', row.parentId),
      likeCount: row.likeCount,
      replyCount: row.replyCount,
      createdAt: row.createdAt,
      editedAt: row.editedAt,
      deletedAt: row.deletedAt,
    });
  }
}

export const { Edge: CommentEdge, Connection: CommentConnection } = connectionOf(() => Comment);

@ObjectType({ description: 'Something that happened to the comments of a video.' })
export class CommentEvent {
  /** Under which video; no field. */
  videoId: string;

  /** The comment's row; no field. Null in the first event of a stream. */
  commentRowId: string | null;

  @SameForAll()
  @Field(() => GraphQLCursor, { description: 'Pass it as `after` to hear of all that came later.' })
  cursor: string;

  @SameForAll()
  @Field(() => ID, {
    nullable: true,
    description:
      'Of this event: after a reconnect the same one may come again. Null where nothing happened: the event only says where the stream stands, at its beginning and now and then.',
  })
  id: string | null;

  @SameForAll()
  @Field(() => CommentEventKindEnum, { nullable: true, description: 'What happened. Null where nothing did.' })
  kind: CommentEventKind | null;

  @SameForAll()
  @Field(() => ID, { nullable: true, description: 'To which comment. Null where nothing happened.' })
  commentId: string | null;

  static of(videoId: string, { cursor, id, body }: LiveEvent<CommentNews>): CommentEvent {
    return Object.assign(new CommentEvent(), {
      ...{ videoId, cursor, id, kind: body?.kind ?? null },
      commentRowId: body?.commentId ?? null,
      commentId: body ? encodeId('Comment', body.commentId) : null,
    });
  }
}

@InputType({ description: 'Something to say.' })
export class AddCommentInput {
  @Field(() => ID, { description: 'Under which video.' })
  videoId: string;

  @Field(() => ID, {
    nullable: true,
    description: 'The comment of the same video that it answers: one that answers none itself.',
  })
  @IsOptional()
  parentId?: string | null;

  @Field(() => String, { description: 'Plain text, 1 to 2,000 characters.' })
  text: string;

  @Field(() => String, {
    nullable: true,
    description:
      'Up to 200 characters that no other comment of yours has: repeated, it gives the comment of the first time.',
  })
  @IsOptional()
  @MinLength(1)
  @MaxLength(200)
  @NotContains('\0')
  idempotencyKey?: string | null;
}

@InputType({ description: 'Another text for a comment of yours.' })
export class EditCommentInput {
  @Field(() => ID, { description: 'Which comment.' })
  commentId: string;

  @Field(() => String, { description: 'Plain text, 1 to 2,000 characters.' })
  text: string;
}

@InputType({ description: 'The comment to delete.' })
export class DeleteCommentInput {
  @Field(() => ID, { description: 'Which comment.' })
  commentId: string;
}

@InputType({ description: 'Whether a comment stands above all others of its video.' })
export class PinCommentInput {
  @Field(() => ID, { description: 'Which comment; no reply.' })
  commentId: string;

  @Field(() => Boolean, { description: 'True: it does, in place of what did. False: it does no more.' })
  pinned: boolean;
}

@InputType({ description: 'Whether you like a comment.' })
export class ReactToCommentInput {
  @Field(() => ID, { description: 'Which comment.' })
  commentId: string;

  @Field(() => Boolean, { description: 'True: you like it. False: you do not, or no more.' })
  like: boolean;
}

@ObjectType({ description: 'The comment after the change.' })
export class CommentPayload {
  @Field(() => Comment, { nullable: true, description: 'As it is now. Null when nothing was changed.' })
  comment: Comment | null = null;

  @Field(() => [UserError], { description: 'Empty when it worked.' })
  userErrors: DomainError[] = [];
}

@ObjectType({ description: 'The id of the comment whose text is gone.' })
export class DeleteCommentPayload {
  @Field(() => ID, { nullable: true, description: 'The id of what is gone now, or was gone before.' })
  deletedCommentId: string | null = null;

  @Field(() => [UserError], { description: 'Codes: NOT_FOUND, NOT_YOUR_COMMENT.' })
  userErrors: DomainError[] = [];
}
