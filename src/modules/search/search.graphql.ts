import { Field, ID, InputType, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { IsOptional, Min } from 'class-validator';
import { GraphQLCursor, GraphQLDateTime, PageInfo } from '../../common/graphql/index.js';
import { Video } from '../videos/index.js';

export const VideoSearchOrderEnum = { RELEVANCE: 'RELEVANCE', NEWEST: 'NEWEST' } as const;
registerEnumType(VideoSearchOrderEnum, {
  name: 'VideoSearchOrder',
  description: 'In which order videos are found.',
  valuesMap: {
    RELEVANCE: {
      description: 'By how well title and tags match, by views and by age; then what matches by description.',
    },
    NEWEST: { description: 'Newest first, of what matches by title and tags; then of what matches by description.' },
  },
});

@InputType({ description: 'All of what is given must hold.' })
export class VideoSearchFilter {
  @Field(() => ID, { nullable: true, description: 'Of this channel.' })
  @IsOptional()
  channelId?: string | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'In lists since then, or later.' })
  @IsOptional()
  publishedAfter?: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'In lists before then.' })
  @IsOptional()
  publishedBefore?: Date | null;

  @Field(() => Int, { nullable: true, description: 'At least so long.' })
  @IsOptional()
  @Min(0)
  minDurationMs?: number | null;

  @Field(() => Int, { nullable: true, description: 'At most so long.' })
  @IsOptional()
  @Min(0)
  maxDurationMs?: number | null;

  @Field(() => [String], {
    nullable: true,
    description: 'With all of these tags, in any case and with any accents. At most 20, of 30 characters.',
  })
  @IsOptional()
  tags?: string[] | null;

  @Field(() => String, { nullable: true, description: 'BCP 47: `de` is also `de-CH`.' })
  @IsOptional()
  language?: string | null;
}

@ObjectType({ description: 'One video that was found.' })
export class VideoSearchEdge {
  @Field(() => GraphQLCursor, { description: 'Its place: pass it as `after` to go on from here.' })
  cursor: string;

  @Field(() => Video, { description: 'The video.' })
  node: Video;

  @Field(() => [String], {
    // Up to a thousand letters of the description are read for it.
    complexity: 5,
    description:
      'HTML in which only `<mark>` is markup, all else is escaped: the title, then a piece of the description where its first 1,000 characters matched.',
  })
  highlights: string[] | Promise<string[]>;
}

@ObjectType({ description: 'A page of the videos that were found.' })
export class VideoSearchConnection {
  @Field(() => [VideoSearchEdge], { description: 'The videos with their places.' })
  edges: VideoSearchEdge[];

  @Field(() => [Video], { description: 'The videos alone.' })
  nodes: Video[];

  @Field(() => PageInfo, { description: 'Whether there is more, and from where.' })
  pageInfo: PageInfo;

  @Field(() => Int, {
    nullable: true,
    description: 'How many match. Null where it takes long to tell.',
  })
  totalCount: number | null | Promise<number | null>;

  @Field(() => String, {
    nullable: true,
    description:
      'What was looked for instead: words that few or no titles have were taken for typos of words that this page has.',
  })
  correctedQuery: string | null;
}
