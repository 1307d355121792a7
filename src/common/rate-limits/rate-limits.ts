import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { CONFIG, type Config } from '../config/index.js';
import { Refusal } from '../errors/index.js';
import { counter } from '../metrics/index.js';
import { type Parcel, type Purse, Purses } from './purses.js';

/** So many points in a window that begins with the first of them. */
export interface RateLimit {
  /** Stable: clients see it, and it starts the key in Redis. */
  readonly name: string;
  readonly points: number;
  readonly seconds: number;
  /**
   * For `draw`: so many points a process takes from Redis at a time, to spend them by itself: then nearly nothing that is
   * counted waits for Redis. What a process has taken and nobody spends is lost to the others, so it is small beside `points`.
   */
  readonly parcel?: number;
}

/** How somebody stands. */
export interface Balance {
  readonly limit: number;
  /** At least: other processes may have taken points that they do not spend. */
  readonly remaining: number;
  readonly resetAt: Date;
  /** What an answer over plain HTTP says of it (draft-ietf-httpapi-ratelimit-headers). */
  readonly headers: Record<string, string>;
}

/** One bound, and who counts it: Redis for all processes, or this process alone. */
interface Limiter {
  readonly points: number;
  readonly shared: RateLimiterRedis;
  readonly alone: RateLimiterMemory;
}

/** Who was not answered asks no more for a while: each asking would cost its time-out. */
const LEFT_ALONE_MS = 1_000;

/** Where RATE_LIMIT_FACTOR is 0. */
const WITHOUT_LIMIT = 2 ** 31 - 1;

/** Of what takes one click and is taken back by another: following, liking. */
export const REACTIONS: RateLimit = { name: 'reactions', points: 600, seconds: 60 };

const refused = counter('sluice_rate_limited_total', 'What was refused since it came too often', { limit: [] });

/** `RATE_LIMITED`: this came too often from the same user or address. */
export class TooOften extends Refusal {
  /** Of an answer over plain HTTP. */
  readonly statusCode = 429;
  readonly headers: Record<string, string>;

  constructor(retryAfterMs: number, balance: Record<string, string>) {
    super('RATE_LIMITED', 'Too many requests at once. Wait, then try again.', { retryAfterMs });
    this.headers = { ...balance, 'retry-after': String(Math.ceil(retryAfterMs / 1000)) };
  }
}

/**
 * Bounds on how often something is asked for, counted in Redis for all processes together. While Redis is away each
 * process counts by itself: a bound that is too wide for a while is better than a service that is gone.
 */
@Injectable()
export class RateLimits implements OnApplicationShutdown {
  private readonly logger = new Logger(RateLimits.name);
  private readonly redis: Redis | null;
  private readonly limiters = new Map<string, Limiter>();
  private leftAloneUntil = 0;
  private readonly purses = new Map<string, Purses>();

  constructor(@Inject(CONFIG) private readonly config: Config) {
    // A worker is asked for nothing.
    this.redis =
      config.rateLimitFactor === 0 || config.role === 'worker'
        ? null
        : new Redis(config.redisUrl, {
            keyPrefix: `${config.redisPrefix}rate:`,
            enableOfflineQueue: false,
            maxRetriesPerRequest: 0,
            commandTimeout: 250,
          });
    this.redis?.on('error', (error) => this.logger.debug(error.message));
  }

  /**
   * @param key who asks: a user's id, or an address's block
   * @returns what an answer over plain HTTP says of it (draft-ietf-httpapi-ratelimit-headers)
   * @throws TooOften
   */
  async spend(limit: RateLimit, key: string, points = 1): Promise<Record<string, string>> {
    const limiter = this.limiterOf(limit);
    if (!limiter) return {};
    try {
      return headersOf(limit, limiter.points, await this.consume(limiter, key, points));
    } catch (result) {
      if (!(result instanceof RateLimiterRes)) throw result;
      refused.inc({ limit: limit.name });
      throw new TooOften(result.msBeforeNext, headersOf(limit, limiter.points, result));
    }
  }

  /**
   * The same of a limit with a `parcel`, for what comes so often that it cannot wait for Redis each time.
   * @param fee what a refusal takes at most, where finding out what is asked for was work
   * @throws TooOften
   */
  async draw(limit: RateLimit, key: string, points = 1, fee = 0): Promise<Balance> {
    const limiter = this.limiterOf(limit);
    if (!limiter) return { limit: WITHOUT_LIMIT, remaining: WITHOUT_LIMIT, resetAt: new Date(), headers: {} };
    const purses = this.pursesOf(limit);
    for (;;) {
      const purse = purses.find(key);
      if (purse && purse.left >= points) {
        purse.left -= points;
        return balanceOf(limit, limiter.points, purse);
      }
      if (purse?.isLast) {
        purse.left = Math.max(0, purse.left - fee);
        this.refuse(limit, limiter, purse);
      }
      // Whoever asks meanwhile waits for the same parcel, in the order of asking.
      const wanted = Math.max(Math.min(limit.parcel ?? 1, Math.ceil(limiter.points / 10)), points - (purse?.left ?? 0));
      await purses.fill(key, () => this.parcelOf(limiter, key, wanted));
    }
  }

  /**
   * Whether this process knows already that nothing is left: asks nobody, so it may stand before all other work.
   * @throws TooOften
   */
  check(limit: RateLimit, key: string): void {
    const limiter = this.limiterOf(limit);
    const purse = limiter && this.pursesOf(limit).find(key);
    if (limiter && purse?.isLast && purse.left === 0) this.refuse(limit, limiter, purse);
  }

  /** Takes back what `spend` counted, for what turned out to be no burden. A hint: it may be lost. */
  giveBack(limit: RateLimit, key: string, points = 1): void {
    const limiter = this.limiterOf(limit);
    const counting = limiter && (this.isLeftAlone ? limiter.alone : limiter.shared);
    counting?.reward(key, points).catch((error: Error) => this.logger.debug(`not given back: ${error.message}`));
  }

  onApplicationShutdown(): void {
    this.redis?.disconnect();
  }

  private get isLeftAlone(): boolean {
    return performance.now() < this.leftAloneUntil;
  }

  /** @throws RateLimiterRes when that is more than there is */
  private async consume({ shared, alone }: Limiter, key: string, points: number): Promise<RateLimiterRes> {
    if (!this.isLeftAlone) {
      try {
        return await shared.consume(key, points);
      } catch (error) {
        if (error instanceof RateLimiterRes) throw error;
        // Connected, and no answer: it hangs. Where it is not connected, that is known at once.
        if (this.redis?.status === 'ready') this.leftAloneUntil = performance.now() + LEFT_ALONE_MS;
      }
    }
    return alone.consume(key, points);
  }

  private async parcelOf(limiter: Limiter, key: string, wanted: number): Promise<Parcel> {
    try {
      const { remainingPoints, msBeforeNext } = await this.consume(limiter, key, wanted);
      return { taken: wanted, remaining: remainingPoints, isLast: false, resetAt: Date.now() + msBeforeNext };
    } catch (result) {
      if (!(result instanceof RateLimiterRes)) throw result;
      // The count goes beyond the limit, so nobody else gets what there was.
      const rest = Math.max(0, limiter.points - (result.consumedPoints - wanted));
      return { taken: rest, remaining: 0, isLast: true, resetAt: Date.now() + result.msBeforeNext };
    }
  }

  private refuse(limit: RateLimit, limiter: Limiter, purse: Purse): never {
    refused.inc({ limit: limit.name });
    const waitMs = Math.max(1, purse.resetAt - Date.now());
    throw new TooOften(waitMs, balanceOf(limit, limiter.points, purse).headers);
  }

  private pursesOf({ name }: RateLimit): Purses {
    let purses = this.purses.get(name);
    if (!purses) {
      purses = new Purses();
      this.purses.set(name, purses);
    }
    return purses;
  }

  private limiterOf({ name, points, seconds }: RateLimit): Limiter | null {
    if (!this.redis) return null;
    let limiter = this.limiters.get(name);
    if (!limiter) {
      const options = { keyPrefix: name, points: points * this.config.rateLimitFactor, duration: seconds };
      limiter = {
        points: options.points,
        shared: new RateLimiterRedis({ ...options, storeClient: this.redis, rejectIfRedisNotReady: true }),
        alone: new RateLimiterMemory(options),
      };
      this.limiters.set(name, limiter);
    }
    return limiter;
  }
}

function balanceOf(limit: RateLimit, points: number, { left, remaining, resetAt }: Purse): Balance {
  const all = left + remaining;
  const result = { remainingPoints: all, msBeforeNext: Math.max(0, resetAt - Date.now()) };
  return { limit: points, remaining: all, resetAt: new Date(resetAt), headers: headersOf(limit, points, result) };
}

function headersOf(
  { name, seconds }: RateLimit,
  points: number,
  { remainingPoints, msBeforeNext }: Pick<RateLimiterRes, 'remainingPoints' | 'msBeforeNext'>,
): Record<string, string> {
  return {
    'ratelimit-policy': `"${name}";q=${points};w=${seconds}`,
    ratelimit: `"${name}";r=${remainingPoints};t=${Math.ceil(msBeforeNext / 1000)}`,
  };
}
