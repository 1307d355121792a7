import { Field, Int, ObjectType } from '@nestjs/graphql';

@ObjectType({
  description:
    'What the operations of the caller (a user, or else an address) may cost in a minute, on all transports together.',
})
export class RateLimitState {
  @Field(() => Int, { description: 'Of this operation: some one point for each object that it may answer.' })
  cost: number;

  @Field(() => Int, { description: 'Points in a minute, which begins with the first operation.' })
  limit: number;

  @Field(() => Int, {
    description: 'Points that are left after this operation, at least. An operation that costs more is RATE_LIMITED.',
  })
  remaining: number;

  @Field(() => Date, { description: 'When all points are there again.' })
  resetAt: Date;
}
