import { randomUUID } from 'node:crypto';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { type ClientContext, Redis, type Result } from 'ioredis';
import { CONFIG, type Config } from '../../common/config/index.js';
import { OnScrape } from '../../common/metrics/index.js';
import type { Viewer } from './viewer.js';
import { lag, waiting } from './views.metrics.js';

/** Of an address (IPv6: its /64), a video and an hour: a forged User-Agent makes no more viewers than this. */
const ANONYMOUS_OF_BLOCK = 300;
/** Videos of an address, or of who is signed in, in an hour: the first viewer of a video costs ten times what others do. */
const VIDEOS_OF_WATCHER = 3_000;
/** What waits for Redis in this process, and of it in one call, for which everybody else waits there. */
const MOST_WAITING = 20_000;
const MOST_AT_ONCE = 1_000;
const TIMEOUT_MS = 2_000;
/** Buckets that are read, and written, at once. */
const PAGE = 500;
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const FIELD = new RegExp(`^(${UUID}):(\\d{1,11}):(${UUID})$`);
const COUNT = /^[1-9]\d{0,14}$/;

/**
 * Keys, each behind the prefix: `seen:VIDEO:HOUR` has the viewers, `from:VIDEO:HOUR` how many of them each block of
 * addresses has, `era:VIDEO:HOUR` under which era they are counted, and how many of the viewers were there when it began.
 * `videos:HOUR` has how many videos each address, or user, began with, and says not which. They end five minutes after
 * their hour. `dirty` has what is not known to be in the database, as the count at this moment of each `VIDEO:HOUR:ERA`;
 * it never ends by itself. `flushed` is when there was nothing that waited.
 *
 * The hour is of Redis's clock: those of the processes may differ.
 */
const TAKE = `
local prefix, era, most, mostVideos = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local now = tonumber(redis.call('TIME')[1])
local hour = now - now % 3600
local ends = hour + 3900
local videos = prefix .. 'videos:' .. hour
local outcomes, added = {}, {}
for i = 5, #ARGV, 4 do
  local bucket, viewer, block, watcher = ARGV[i] .. ':' .. hour, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local seen, from = prefix .. 'seen:' .. bucket, prefix .. 'from:' .. bucket
  local outcome = 0
  if redis.call('SISMEMBER', seen, viewer) == 0 then
    local ofBlock = block ~= '' and tonumber(redis.call('HGET', from, block) or 0) or 0
    if ofBlock >= most or (ofBlock == 0 and tonumber(redis.call('HGET', videos, watcher) or 0) >= mostVideos) then
      outcome = 2
    else
      if ofBlock == 0 then redis.call('HINCRBY', videos, watcher, 1) end
      redis.call('SADD', seen, viewer)
      if block ~= '' then redis.call('HINCRBY', from, block, 1) end
      added[bucket] = (added[bucket] or 0) + 1
      outcome = 1
    end
  end
  outcomes[#outcomes + 1] = outcome
end
for bucket, count in pairs(added) do
  local seen = prefix .. 'seen:' .. bucket
  local size = redis.call('SCARD', seen)
  redis.call('EXPIREAT', seen, ends)
  redis.call('EXPIREAT', prefix .. 'from:' .. bucket, ends)
  local of = redis.call('GET', prefix .. 'era:' .. bucket)
  if not of then
    of = era .. ':' .. (size - count)
    redis.call('SET', prefix .. 'era:' .. bucket, of, 'EXAT', ends)
  end
  local name, base = string.match(of, '(.*):(%d+)')
  redis.call('HSET', prefix .. 'dirty', bucket .. ':' .. name, size - base)
end
if next(added) then
  redis.call('EXPIREAT', videos, ends)
  redis.call('SET', prefix .. 'flushed', now, 'NX')
end
return outcomes`;

/**
 * What stands in the database waits no more, unless it went on meanwhile. Where the database has more than Redis ever
 * counted, Redis came back as it was some time ago: it goes on in another era, or what comes now would count for nothing.
 */
const SETTLE = `
local prefix = ARGV[1]
for i = 2, #ARGV, 3 do
  local field, sent, kept = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  if redis.call('HGET', prefix .. 'dirty', field) == sent then redis.call('HDEL', prefix .. 'dirty', field) end
  if kept > tonumber(sent) then
    local bucket, era = string.match(field, '(.*):([^:]*)')
    local name, base = string.match(redis.call('GET', prefix .. 'era:' .. bucket) or '', '(.*):(%d+)')
    if name == era and redis.call('SCARD', prefix .. 'seen:' .. bucket) - base < kept then
      redis.call('DEL', prefix .. 'era:' .. bucket)
    end
  end
end`;

declare module 'ioredis' {
  interface RedisCommander<Context extends ClientContext> {
    sluiceTakeViews(...values: (string | number | Buffer)[]): Result<number[], Context>;
    sluiceSettleViews(...values: (string | number)[]): Result<null, Context>;
  }
}

const OUTCOMES = ['known', 'counted', 'refused'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** A count of an hour of a video, as Redis has it. */
export interface Bucket {
  /** Under which Redis has it. */
  readonly field: string;
  readonly videoId: string;
  /** Unix seconds. */
  readonly hour: number;
  readonly era: string;
  readonly count: number;
}

interface Waiting {
  readonly videoId: string;
  readonly viewer: Viewer;
  readonly taken: (outcome: Outcome) => void;
  readonly lost: (error: Error) => void;
}

/** Who saw what within the hour, in Redis. It may be wiped: what was brought into the database by then stays counted. */
@Injectable()
export class ViewStore implements OnApplicationShutdown {
  private readonly logger = new Logger(ViewStore.name);
  private readonly redis: Redis;
  private readonly prefix: string;
  private readonly most: readonly [ofBlock: number, videos: number];
  private queue: Waiting[] = [];
  private isSending = false;

  constructor(@Inject(CONFIG) config: Config) {
    this.prefix = `${config.redisPrefix}views:`;
    const factor = config.rateLimitFactor === 0 ? 1e9 : config.rateLimitFactor;
    this.most = [ANONYMOUS_OF_BLOCK * factor, VIDEOS_OF_WATCHER * factor];
    this.redis = new Redis(config.redisUrl, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: TIMEOUT_MS,
      retryStrategy: (attempt) => Math.min(attempt * 200, 2_000),
      scripts: {
        sluiceTakeViews: { lua: TAKE, numberOfKeys: 0 },
        sluiceSettleViews: { lua: SETTLE, numberOfKeys: 0 },
      },
    });
    this.redis.on('error', (error) => this.logger.debug(error.message));
  }

  get isThere(): boolean {
    return this.redis.status === 'ready';
  }

  /**
   * Resolves once Redis has it. All that come while a call is under way go with the next one.
   * @throws Error when it is not known whether Redis took it: it may be tried again, and counts once
   */
  take(videoId: string, viewer: Viewer): Promise<Outcome> {
    if (!this.isThere || this.queue.length >= MOST_WAITING)
      return Promise.reject(new Error('Redis is away, or too slow.'));
    return new Promise((taken, lost) => {
      this.queue.push({ videoId, viewer, taken, lost });
      if (this.isSending) return;
      this.isSending = true;
      // What else arrives in this turn goes along.
      setImmediate(() => void this.send());
    });
  }

  private async send(): Promise<void> {
    while (this.queue.length > 0) {
      const batch = this.queue.splice(0, MOST_AT_ONCE);
      const values = batch.flatMap(({ videoId, viewer }) => [videoId, viewer.id, viewer.block, viewer.watcher]);
      try {
        const outcomes = await this.redis.sluiceTakeViews(this.prefix, randomUUID(), ...this.most, ...values);
        for (const [index, { taken }] of batch.entries()) taken(OUTCOMES[outcomes[index] as number] as Outcome);
      } catch (error) {
        // One that hangs keeps those behind waiting for as long again: whoever says it again in time is better off.
        for (const { lost } of [...batch, ...this.queue.splice(0)]) lost(error as Error);
      }
    }
    this.isSending = false;
  }

  /** What is not known to be in the database, some at a time. What changes meanwhile may come twice, or next time. */
  async *waiting(): AsyncGenerator<Bucket[]> {
    let cursor = '0';
    do {
      const [next, found] = await this.redis.hscan(`${this.prefix}dirty`, cursor, 'COUNT', PAGE);
      cursor = next;
      const buckets: Bucket[] = [];
      const foreign: string[] = [];
      for (let at = 0; at < found.length; at += 2) {
        const [field, count] = found.slice(at, at + 2) as [string, string];
        const [, videoId, hour, era] = FIELD.exec(field) ?? [];
        if (videoId && era && COUNT.test(count)) {
          buckets.push({ field, videoId, hour: Number(hour), era, count: Number(count) });
        } else foreign.push(field);
      }
      if (foreign.length > 0) {
        // It is nobody's count, and would keep all that are from the database.
        this.logger.warn(`${foreign.length} fields of ${this.prefix}dirty are no counts, and dropped: ${foreign[0]}`);
        await this.redis.hdel(`${this.prefix}dirty`, ...foreign);
      }
      if (buckets.length > 0) yield buckets;
    } while (cursor !== '0');
  }

  /** @param kept what the database has of each now */
  async settle(buckets: readonly (Bucket & { kept: number })[]): Promise<void> {
    const values = buckets.flatMap(({ field, count, kept }) => [field, count, kept]);
    await this.redis.sluiceSettleViews(this.prefix, ...values);
  }

  /** Unix seconds, by Redis's clock. */
  async now(): Promise<number> {
    const [seconds] = await this.redis.time();
    return Number(seconds);
  }

  /** All that waited when the look began is in the database. @param begun `now()` of then */
  async noteFlushed(begun: number): Promise<void> {
    await this.redis.set(`${this.prefix}flushed`, begun);
  }

  @OnScrape({ sets: [waiting, lag], everyMs: 5_000 })
  async look(): Promise<void> {
    const [buckets, flushed, [now]] = await Promise.all([
      this.redis.hlen(`${this.prefix}dirty`),
      this.redis.get(`${this.prefix}flushed`),
      this.redis.time(),
    ]);
    waiting.set(buckets);
    lag.set(buckets === 0 || flushed === null ? 0 : Math.max(0, Number(now) - Number(flushed)));
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
  }
}
