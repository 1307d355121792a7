import { createHash } from 'node:crypto';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import { CONFIG, type Config } from '../../common/config/index.js';
import { addressBlock } from '../../common/http/index.js';
import { type RateLimit, RateLimits } from '../../common/rate-limits/index.js';
import { LoginUnavailable, TooManyLogins } from './auth.errors.js';

/** Attempts in one window that are looked at without delay. */
const FREE = { account: 5, address: 20 };
const WINDOW_MS = 15 * 60_000;
/** Right passwords, of one account: each takes 0.15 s of a core, and few are hashed at once, for everybody. */
const RIGHT: RateLimit = { name: 'sign-ins', points: 30, seconds: 15 * 60 };
/** After the last free attempt; doubled by each further one, until the window ends. */
const FIRST_DELAY_MS = 60_000;

/** Counts one attempt under every key, unless one of them is still closed: answers the milliseconds to wait, or 0. */
const ADMIT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = 0
for _, key in ipairs(KEYS) do
  local closed = tonumber(redis.call('HGET', key, 'closed_until') or 0) - now
  if closed > 0 then wait = math.max(wait, math.min(closed, redis.call('PTTL', key))) end
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
  local tries = redis.call('HINCRBY', key, 'tries', 1)
  if tries == 1 then redis.call('PEXPIRE', key, ${WINDOW_MS}) end
  local beyond = tries - tonumber(ARGV[i])
  if beyond >= 0 then
    redis.call('HSET', key, 'closed_until', string.format('%.0f', now + ${FIRST_DELAY_MS} * 2 ^ math.min(beyond, 10)))
  end
end
return 0`;

/** Takes back what ADMIT counted for an address. */
const TAKE_BACK = `
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HINCRBY', KEYS[1], 'tries', -1)
  redis.call('HDEL', KEYS[1], 'closed_until')
end`;

/**
 * Slows down guessing: by account, against many addresses that try one account, and by address, against one that tries
 * many accounts. Every attempt counts when it begins, so a thousand at once are no way around it.
 */
@Injectable()
export class LoginThrottle implements OnApplicationShutdown {
  private readonly logger = new Logger(LoginThrottle.name);
  private readonly redis: Redis;

  constructor(
    @Inject(CONFIG) config: Config,
    private readonly limits: RateLimits,
  ) {
    // A connection of its own that answers at once when Redis is away: others queue their commands until it is back.
    this.redis = new Redis(config.redisUrl, {
      keyPrefix: `${config.redisPrefix}login:`,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: 1_000,
    });
    this.redis.on('error', (error) => this.logger.debug(error.message));
  }

  /**
   * To be called before the password is looked at.
   * @throws TooManyLogins, LoginUnavailable
   */
  async admit(account: string, ip: string): Promise<void> {
    const wait = await this.run(ADMIT, [accountKey(account), addressKey(ip)], [FREE.account, FREE.address]);
    if (wait > 0) throw new TooManyLogins(wait);
  }

  /**
   * Counts what comes to a good end. It is counted ahead, and taken back where it did not, so that nobody else's attempts keep
   * an account closed. One that nobody has is treated the same.
   * @throws TooOften before anything is done, and what `attempt` throws
   */
  async countingRight<Result>(account: string, attempt: () => Promise<Result>): Promise<Result> {
    const key = accountKey(account);
    try {
      await this.limits.spend(RIGHT, key);
      return await attempt();
    } catch (error) {
      this.limits.giveBack(RIGHT, key);
      throw error;
    }
  }

  /** The password was right: the account starts anew, and the attempt does not count against its address. */
  async succeeded(account: string, ip: string): Promise<void> {
    await this.run(TAKE_BACK, [addressKey(ip)], []);
    await this.run(`redis.call('DEL', KEYS[1])`, [accountKey(account)], []);
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
  }

  private async run(script: string, keys: string[], values: number[]): Promise<number> {
    try {
      return Number(await this.redis.eval(script, keys.length, ...keys, ...values));
    } catch (error) {
      this.logger.warn(`Attempts to sign in cannot be counted: ${(error as Error).message}`);
      throw new LoginUnavailable();
    }
  }
}

/** Redis need not know who has an account. */
function accountKey(account: string): string {
  return `account:${createHash('sha256').update(account).digest('base64url')}`;
}

function addressKey(ip: string): string {
  return `address:${addressBlock(ip)}`;
}
