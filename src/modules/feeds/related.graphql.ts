import { ArgsType, Field, Int } from '@nestjs/graphql';
import { Transform } from 'class-transformer';
import { IsOptional, Max, Min } from 'class-validator';
import { GraphQLCursor } from '../../common/graphql/index.js';
import { MOST_RELATED } from './related-choice.js';

const DEFAULT = 12;

@ArgsType()
export class RelatedArgs {
  @Field(() => Int, { nullable: true, defaultValue: DEFAULT, description: `How many, 1 to ${MOST_RELATED}.` })
  @Transform(({ value }) => value ?? DEFAULT)
  @Min(1)
  @Max(MOST_RELATED)
  first: number = DEFAULT;

  @Field(() => GraphQLCursor, {
    nullable: true,
    description: 'Begin behind this place: `endCursor` of the page before.',
  })
  @IsOptional()
  after?: string | null;
}
