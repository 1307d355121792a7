import { Controller, Get, HttpStatus, Inject, type OnApplicationShutdown, Res } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyReply } from 'fastify';
import { Redis } from 'ioredis';
import { CONFIG, type Config } from '../config/index.js';
import { Database } from '../database/index.js';
import type { HttpServer } from '../http/index.js';

const TIMEOUT_MS = 1_000;
/** However often it is asked: anybody may, where the edge lets them. */
const KEPT_MS = 500;
type Check = 'ok' | 'away';
type Checks = readonly [database: Check, redis: Check];

/** For whoever decides whether this process is restarted (`/livez`) and whether it gets requests (`/readyz`). */
@Controller()
export class HealthController implements OnApplicationShutdown {
  private readonly redis: Redis;
  private checks: Promise<Checks> | null = null;

  constructor(
    @Inject(CONFIG) config: Config,
    private readonly database: Database,
    private readonly adapterHost: HttpAdapterHost<HttpServer>,
  ) {
    // Of its own, and refusing at once: a check that hangs is worse than none.
    this.redis = new Redis(config.redisUrl, {
      lazyConnect: true,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      connectTimeout: TIMEOUT_MS,
      commandTimeout: TIMEOUT_MS,
    });
    // Said by the answer; an emitter without a listener would end the process.
    this.redis.on('error', () => undefined);
  }

  @Get('livez')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /**
   * 503 while draining and while the database is away. Without Redis everything still works, only slower: taking every
   * process out of service for that would make an outage of it.
   */
  @Get('readyz')
  async ready(@Res() reply: FastifyReply): Promise<void> {
    const draining = this.adapterHost.httpAdapter.isDraining;
    const [database, redis] = await this.recentChecks();
    const ready = database === 'ok' && !draining;
    const status = draining ? 'draining' : !ready ? 'unavailable' : redis === 'ok' ? 'ok' : 'degraded';
    await reply
      .status(ready ? HttpStatus.OK : HttpStatus.SERVICE_UNAVAILABLE)
      .header('cache-control', 'no-store')
      .send({ status, database, redis });
  }

  /** One asking at a time, for all who want to know. */
  private recentChecks(): Promise<Checks> {
    if (!this.checks) {
      this.checks = Promise.all([check(this.askDatabase()), check(this.askRedis())]);
      const forget = () => {
        this.checks = null;
      };
      void this.checks.then(() => setTimeout(forget, KEPT_MS).unref());
    }
    return this.checks;
  }

  private async askDatabase(): Promise<unknown> {
    return this.database.query('SELECT 1');
  }

  private async askRedis(): Promise<unknown> {
    if (this.redis.status === 'wait') await this.redis.connect();
    return this.redis.ping();
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
  }
}

async function check(asked: Promise<unknown>): Promise<Check> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), TIMEOUT_MS);
  });
  try {
    await Promise.race([asked, late]);
    return 'ok';
  } catch {
    return 'away';
  } finally {
    clearTimeout(timer);
  }
}
