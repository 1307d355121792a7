import { Injectable } from '@nestjs/common';
import { addressBlock } from '../http/index.js';
import { type RateLimit, RateLimits } from '../rate-limits/index.js';
import type { OperationContext, Spent } from './operation-context.js';

/** A point is some 50 µs of the server's time (docs/decisions/0034-budgets.md). */
const OF_USER: RateLimit = { name: 'graphql', points: 120_000, seconds: 60, parcel: 2_000 };
/** Of those who are not signed in, all together: a school may have the address. */
const OF_ADDRESS: RateLimit = { name: 'graphql-anonymous', points: 300_000, seconds: 60, parcel: 5_000 };

const payerOf = ({ actor, ip }: Pick<OperationContext, 'actor' | 'ip'>): [limit: RateLimit, key: string] =>
  actor ? [OF_USER, actor.userId] : [OF_ADDRESS, addressBlock(ip)];

/** What operations may cost in a minute, of a user or else of an address, on all transports together. */
@Injectable()
export class Budgets {
  constructor(private readonly limits: RateLimits) {}

  /**
   * Ahead of reading what is asked: who is known to have nothing left costs nothing more.
   * @throws TooOften
   */
  check(caller: Pick<OperationContext, 'actor' | 'ip'>): void {
    this.limits.check(...payerOf(caller));
  }

  /** @throws TooOften */
  async spend(caller: Pick<OperationContext, 'actor' | 'ip'>, cost: number): Promise<Spent> {
    return { ...(await this.limits.draw(...payerOf(caller), cost)), cost };
  }
}
