import { Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { IsOptional } from 'class-validator';
import type { DomainError } from '../../common/errors/index.js';
import { connectionOf, encodeId, GraphQLDateTime, Node, SameForAll, UserError } from '../../common/graphql/index.js';
import { VIDEO_STATES, type VideoState } from './video-state.js';
import type { VideoVisibility } from './videos.policy.js';
import type { Video as VideoRow } from './videos.service.js';

export const VideoStateEnum = Object.fromEntries(VIDEO_STATES.map((state) => [state, state]));
registerEnumType(VideoStateEnum, {
  name: 'VideoState',
  description: 'Where a video stands on its way from file to stream.',
  valuesMap: {
    UPLOADING: { description: 'Bytes are still missing, or being verified, and nothing is made of them yet.' },
    PROCESSING: { description: 'It is being made, perhaps while it is still sent; nothing plays yet.' },
    PLAYABLE: {
      description: 'The first rendition plays (while bytes are missing for editors alone); more are on their way.',
    },
    READY: { description: 'All renditions play to the end.' },
    FAILED: { description: 'It was refused, or given up: `failure` says why.' },
    BLOCKED: { description: 'A moderator or a virus scan took it off.' },
  },
});
export const VideoVisibilityEnum = { PUBLIC: 'PUBLIC', UNLISTED: 'UNLISTED', PRIVATE: 'PRIVATE' } as const;
registerEnumType(VideoVisibilityEnum, {
  name: 'VideoVisibility',
  description: 'Who may watch a video once it plays.',
  valuesMap: {
    PUBLIC: { description: 'Everybody; it stands in lists.' },
    UNLISTED: { description: 'Everybody who has its address; it stands in no list.' },
    PRIVATE: { description: "The channel's members alone." },
  },
});

@ObjectType({ description: 'Why something did not work out.' })
export class Failure {
  @Field(() => String, { description: 'Stable and documented, upper case.' })
  code: string;

  @Field(() => String, { description: 'For people: what is wrong and what to do.' })
  message: string;

  @Field(() => Boolean, { description: 'The same may work when it is tried again.' })
  retryable: boolean;
}

@ObjectType({
  implements: () => Node,
  description: 'A video: made with its upload session, playable before it is READY.',
})
export class Video extends Node {
  /** What field resolvers of other modules decide by. */
  row: VideoRow;

  @SameForAll()
  @Field(() => String, { description: 'One line, for people.' })
  title: string;

  @SameForAll()
  @Field(() => String, { description: 'Plain text of any number of lines; may be empty.' })
  description: string;

  @SameForAll()
  @Field(() => [String], { description: 'What it is about, in the words of its makers.' })
  tags: string[];

  @SameForAll()
  @Field(() => String, { nullable: true, description: 'BCP 47: `en`, `de-CH`. Null unless its makers said.' })
  language: string | null;

  @Field(() => VideoVisibilityEnum, { description: 'Who may watch it once it plays.' })
  visibility: VideoVisibility;

  @Field(() => VideoStateEnum, { description: 'Where it stands.' })
  state: VideoState;

  @Field(() => Failure, { nullable: true, description: 'Why it FAILED or was BLOCKED. Null in every other state.' })
  failure: Failure | null;

  @Field(() => Boolean, { description: 'Whoever may watch it may also save it: `playback.mp4Url`.' })
  downloadable: boolean;

  @SameForAll()
  @Field(() => Boolean, { description: 'Its publication is also told to followers with the level HIGHLIGHTS.' })
  highlight: boolean;

  @SameForAll()
  @Field(() => Int, { nullable: true, description: 'Milliseconds. Null until probed.' })
  durationMs: number | null;

  @SameForAll()
  @Field(() => Int, { nullable: true, description: 'Of the source as shown, in pixels. Null until probed.' })
  width: number | null;

  @SameForAll()
  @Field(() => Int, { nullable: true, description: 'Of the source as shown, in pixels. Null until probed.' })
  height: number | null;

  @Field(() => Float, { nullable: true, description: 'Frames a second of the renditions. Null until probed.' })
  frameRate: number | null;

  @SameForAll()
  @Field(() => GraphQLDateTime, { description: 'When its upload was begun.' })
  createdAt: Date;

  @SameForAll()
  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it first played for others than its editors.' })
  publishedAt: Date | null;

  static of(row: VideoRow): Video {
    const { failureCode: code, failureMessage: message, failureRetryable: retryable } = row;
    return Object.assign(new Video(), {
      row,
      id: encodeId('Video', row.id),
      title: row.title,
      description: row.description,
      tags: row.tags,
      language: row.language,
      visibility: row.visibility,
      state: row.state,
      failure: code === null ? null : { code, message: message ?? code, retryable: retryable ?? false },
      downloadable: row.downloadable,
      highlight: row.isHighlight,
      durationMs: row.durationMs,
      width: row.width,
      height: row.height,
      frameRate: row.frameRate,
      createdAt: row.createdAt,
      publishedAt: row.publishedAt,
    });
  }
}

export const { Edge: VideoEdge, Connection: VideoConnection } = connectionOf(() => Video, { totalCount: true });

@InputType({ description: 'What is left out stays as it is.' })
export class UpdateVideoInput {
  @Field(() => ID, { description: 'Which video.' })
  videoId: string;

  @Field(() => String, { nullable: true, description: '1 to 100 characters.' })
  @IsOptional()
  title?: string | null;

  @Field(() => String, { nullable: true, description: 'At most 5,000 characters.' })
  @IsOptional()
  description?: string | null;

  @Field(() => [String], { nullable: true, description: 'All of them: at most 20 of 1 to 30 characters.' })
  @IsOptional()
  tags?: string[] | null;

  @Field(() => String, { nullable: true, description: 'BCP 47: `en`, `de-CH`. Null: it is not said any more.' })
  @IsOptional()
  language?: string | null;

  @Field(() => VideoVisibilityEnum, {
    nullable: true,
    description: 'Going PRIVATE ends every address that was handed out, within 10 seconds.',
  })
  @IsOptional()
  visibility?: VideoVisibility | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Until then only members see it. Null: from now on, as far as the visibility lets.',
  })
  @IsOptional()
  publishAt?: Date | null;

  @Field(() => Boolean, {
    nullable: true,
    description:
      'True: an MP4 is made for `playback.mp4Url`. False: it is deleted, and its address ends within 10 seconds.',
  })
  @IsOptional()
  downloadable?: boolean | null;

  @Field(() => Boolean, {
    nullable: true,
    description:
      'Whether followers with the level HIGHLIGHTS are told of it too. What holds when it is first published counts.',
  })
  @IsOptional()
  highlight?: boolean | null;
}

@InputType({ description: 'The video to delete.' })
export class DeleteVideoInput {
  @Field(() => ID, { description: 'Which video.' })
  videoId: string;
}

@ObjectType({ description: 'The video after the change.' })
export class UpdateVideoPayload {
  @Field(() => Video, { nullable: true, description: 'As it is now. Null when nothing was changed.' })
  video: Video | null = null;

  @Field(() => [UserError], { description: 'Empty when it worked.' })
  userErrors: DomainError[] = [];
}

@ObjectType({ description: 'The id of the video that is gone.' })
export class DeleteVideoPayload {
  @Field(() => ID, { nullable: true, description: 'The id of what is gone now, or was gone before.' })
  deletedVideoId: string | null = null;

  @Field(() => [UserError], { description: 'Empty when it worked.' })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'Whether you like a video.' })
export class ReactToVideoInput {
  @Field(() => ID, { description: 'Which video.' })
  videoId: string;

  @Field(() => Boolean, { description: 'True: you like it. False: you do not, or no more.' })
  like: boolean;
}

@ObjectType({ description: 'The video, with its likes as they are now.' })
export class ReactToVideoPayload {
  @Field(() => Video, { nullable: true, description: 'Null when there are user errors.' })
  video: Video | null = null;

  @Field(() => [UserError], { description: 'Codes: NOT_FOUND.' })
  userErrors: DomainError[] = [];
}
