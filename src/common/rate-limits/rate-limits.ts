import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { CONFIG, type Config } from '../config/index.js';
import { Refusal } from '../errors/index.js';
import { counter } from '../metrics/index.js';

/** So many points in a window that begins with the first of them. */
export interface RateLimit {
  /** Stable: clients see it, and it starts the key in Redis. */
  readonly name: string;
  readonly points: number;
  readonly seconds: number;
}

/** Of what takes one click and is taken back by another: following, liking. */
export const REACTIONS: RateLimit = { name: 'reactions', points: 600, seconds: 60 };

const refused = counter('sluice_rate_limited_total', 'What was refused since it came too often', { limit: [] });

/** `RATE_LIMITED`: this came too often from the same user or address. */
class TooOften extends Refusal {
  /** Of an answer over plain HTTP. */
  readonly statusCode = 429;

  constructor(
    retryAfterMs: number,
    /** For an answer over plain HTTP. */
    readonly headers: Record<string, string>,
  ) {
    super('RATE_LIMITED', 'Too many requests at once. Wait, then try again.', { retryAfterMs });
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
  private readonly limiters = new Map<string, RateLimiterRedis>();

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
      return headersOf(limit, limiter.points, await limiter.consume(key, points));
    } catch (result) {
      if (!(result instanceof RateLimiterRes)) throw result;
      refused.inc({ limit: limit.name });
      const retryAfter = { 'retry-after': String(Math.ceil(result.msBeforeNext / 1000)) };
      throw new TooOften(result.msBeforeNext, { ...headersOf(limit, limiter.points, result), ...retryAfter });
    }
  }

  /** Takes back what `spend` counted, for what turned out to be no burden. A hint: it may be lost. */
  giveBack(limit: RateLimit, key: string, points = 1): void {
    this.limiterOf(limit)
      ?.reward(key, points)
      .catch((error: Error) => this.logger.debug(`not given back: ${error.message}`));
  }

  onApplicationShutdown(): void {
    this.redis?.disconnect();
  }

  private limiterOf({ name, points, seconds }: RateLimit): RateLimiterRedis | null {
    if (!this.redis) return null;
    let limiter = this.limiters.get(name);
    if (!limiter) {
      const options = { keyPrefix: name, points: points * this.config.rateLimitFactor, duration: seconds };
      limiter = new RateLimiterRedis({
        ...options,
        storeClient: this.redis,
        rejectIfRedisNotReady: true,
        insuranceLimiter: new RateLimiterMemory(options),
      });
      this.limiters.set(name, limiter);
    }
    return limiter;
  }
}

function headersOf({ name, seconds }: RateLimit, points: number, result: RateLimiterRes): Record<string, string> {
  const { remainingPoints, msBeforeNext } = result;
  return {
    'ratelimit-policy': `"${name}";q=${points};w=${seconds}`,
    ratelimit: `"${name}";r=${remainingPoints};t=${Math.ceil(msBeforeNext / 1000)}`,
  };
}
