import { Injectable } from '@nestjs/common';
import { addressBlock } from '../http/index.js';
import { type RateLimit, RateLimits } from '../rate-limits/index.js';
import { REFUSED_COST } from './limits.js';
import type { OperationContext, Spent } from './operation-context.js';

/**
 * Of a user, or of an address for all there who are not signed in: a school may have it. A point is 10 to 20 µs of our time
 * (docs/decisions/0034-budgets.md).
 */
const BUDGET: RateLimit = { name: 'graphql', points: 300_000, seconds: 60, parcel: 5_000 };

const payerOf = ({ actor, ip }: Pick<OperationContext, 'actor' | 'ip'>): string =>
  actor ? `user ${actor.userId}` : `address ${addressBlock(ip)}`;

/** What operations may cost in a minute, of a user or else of an address, on all transports together. */
@Injectable()
export class Budgets {
  constructor(private readonly limits: RateLimits) {}

  /**
   * Ahead of reading what is asked: who is known to have nothing left costs nothing more.
   * @throws TooOften
   */
  check(caller: Pick<OperationContext, 'actor' | 'ip'>): void {
    this.limits.check(BUDGET, payerOf(caller));
  }

  /** @throws TooOften */
  async spend(caller: Pick<OperationContext, 'actor' | 'ip'>, cost: number): Promise<Spent> {
    return { ...(await this.limits.draw(BUDGET, payerOf(caller), cost, REFUSED_COST)), cost };
  }
}
