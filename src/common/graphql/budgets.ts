import { Injectable } from '@nestjs/common';
import { addressBlock } from '../http/index.js';
import { type RateLimit, RateLimits } from '../rate-limits/index.js';
import type { OperationContext, Spent } from './operation-context.js';

/**
 * Of a user, or of an address for all there who are not signed in: a school may have it. A point is 10 to 20 µs of our time
 * (docs/decisions/0034-budgets.md).
 */
const BUDGET: RateLimit = { name: 'graphql', points: 300_000, seconds: 60, parcel: 5_000 };
/** Of an address, for all who are signed in there: accounts are made by the hundred. */
const ALL_USERS: RateLimit = { name: 'graphql-address', points: 3_000_000, seconds: 60, parcel: 20_000 };
/**
 * Of an address, for who signs in there: nearly a thousand a minute, more than a process can hash. What else strangers
 * ask for takes nothing from it, so that a session can be renewed whatever they do.
 */
const SIGNING_IN: RateLimit = { name: 'graphql-signing-in', points: 100_000, seconds: 60, parcel: 2_000 };

/** What is spent for an operation that was refused, or cannot run: reading it was work. */
const REFUSED_COST = 1_000;
/** Such a text is short. */
const REFUSED_SIGNING_IN = 100;

type Payer = Pick<OperationContext, 'actor' | 'ip' | 'isSigningIn'>;

interface Account {
  readonly limit: RateLimit;
  readonly key: string;
  readonly refusedCost: number;
}

/** From what is paid: how somebody stands is told of the first. */
function accountsOf({ actor, ip, isSigningIn }: Payer): [Account, ...Account[]] {
  const key = `address ${addressBlock(ip)}`;
  const refusedCost = REFUSED_COST;
  if (actor)
    return [
      { limit: BUDGET, key: `user ${actor.userId}`, refusedCost },
      { limit: ALL_USERS, key, refusedCost },
    ];
  return [
    isSigningIn ? { limit: SIGNING_IN, key, refusedCost: REFUSED_SIGNING_IN } : { limit: BUDGET, key, refusedCost },
  ];
}

/** What operations may cost in a minute, of a user or else of an address, on all transports together. */
@Injectable()
export class Budgets {
  constructor(private readonly limits: RateLimits) {}

  /**
   * Ahead of reading what is asked: who is known to have nothing left costs nothing more.
   * @throws TooOften
   */
  check(caller: Payer): void {
    for (const { limit, key } of accountsOf(caller)) this.limits.check(limit, key);
  }

  /**
   * @param price null for what was refused, or cannot run
   * @throws TooOften
   */
  async spend(caller: Payer, price: number | null): Promise<Spent> {
    const [own, ...others] = accountsOf(caller);
    const cost = price ?? own.refusedCost;
    // Without the fee an address that has little left would have what it asks read on and on.
    for (const { limit, key, refusedCost } of others) await this.limits.draw(limit, key, cost, refusedCost);
    return { ...(await this.limits.draw(own.limit, own.key, cost, own.refusedCost)), cost };
  }
}
