import { Context, Query, Resolver } from '@nestjs/graphql';
import { Public } from '../access/index.js';
import type { OperationContext } from './operation-context.js';
import { RateLimitState } from './rate-limit.graphql.js';

@Resolver()
export class RateLimitQuery {
  @Public()
  @Query(() => RateLimitState, {
    description:
      'How the caller stands after this operation. Also where else only subscriptions run: over WebSocket and as an event stream.',
  })
  rateLimit(@Context() { spent }: OperationContext): RateLimitState {
    if (!spent) throw new Error('Every operation is paid for before it runs.');
    return spent;
  }
}
