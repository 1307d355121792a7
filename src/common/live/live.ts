import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import { CONFIG, type Config } from '../config/index.js';
import { DomainError, Refusal } from '../errors/index.js';
import { counter, gauge, OnScrape } from '../metrics/index.js';

const POLL_MS = 5_000;
const MIN_INTERVAL_MS = 250;

const up = gauge('sluice_redis_up', 'Whether the connections to Redis that carry hints are open: 1 or 0');
const outages = counter('sluice_redis_outages_total', 'How often such a connection was lost');

export interface StateStreamOptions<T> {
  /** Whose ticks announce a change: `video:<id>`. */
  topic: string;
  /** The current state as this viewer may see it; null ends the stream. Asked anew each time, access included. */
  load: () => Promise<T | null>;
  /** What counts as a change, when not the whole state. */
  key?: (state: T) => unknown;
  signal?: AbortSignal;
}

/** Hears of every tick, ahead of whoever waits for its topic. */
export interface TickObserver {
  /** @param here it was told in this process, which tells the others */
  ticked(topic: string, here: boolean): void;
  /** Whether the ticks of all other processes arrive from now on; while not, some are lost. Told at once, then at each change. */
  hears(all: boolean): void;
}

/**
 * Hints that something changed, from any process to all. They may be lost (Redis may be away): whoever waits for one
 * also looks by himself now and then. In this process they arrive without Redis.
 */
@Injectable()
export class Live implements OnApplicationShutdown {
  private readonly logger = new Logger(Live.name);
  private readonly origin = randomUUID();
  private readonly topics = new EventEmitter().setMaxListeners(0);
  private readonly observers: TickObserver[] = [];
  private hearsAll = false;
  /** Also for what caches share: what one connection is told happens in that order. It answers within 250 ms, or fails. */
  readonly publisher: Redis;
  private readonly subscriber: Redis;

  private readonly channel: string;

  constructor(@Inject(CONFIG) config: Config) {
    this.channel = `${config.redisPrefix}live`;
    // A command is refused at once while there is no connection: a lost hint costs less than a queue of them.
    this.publisher = new Redis(config.redisUrl, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: 250,
      retryStrategy: retryIn,
    });
    this.subscriber = new Redis(config.redisUrl, {
      maxRetriesPerRequest: null,
      autoResubscribe: false,
      retryStrategy: retryIn,
    });
    this.logOutages(this.publisher, 'publisher');
    this.logOutages(this.subscriber, 'subscriber');
    this.subscriber.on('message', (_channel, message: string) => {
      const space = message.indexOf(' ');
      if (message.slice(0, space) !== this.origin) this.wake(message.slice(space + 1), false);
    });
    this.subscriber.on('ready', () => {
      this.subscriber.subscribe(this.channel).then(
        () => {
          this.hears(true);
          // Whatever was published while the connection was away is lost: have everybody look.
          this.wakeAll();
        },
        (error: Error) => {
          if (!this.closing) this.logger.warn(`no hints from other processes: ${error.message}`);
        },
      );
    });
    this.subscriber.on('close', () => this.hears(false));
  }

  private closing = false;

  /** Wakes everybody who waits for the topic. Call it after commit: `tx.afterCommit(() => live.tick(topic))`. */
  tick(topic: string): void {
    this.wake(topic, true);
    this.publisher.publish(this.channel, `${this.origin} ${topic}`).catch((error: Error) => {
      this.logger.debug(`hint for other processes lost: ${error.message}`);
    });
  }

  /** For as long as the process runs. Nothing of other processes is heard until the observer is told so. */
  observe(observer: TickObserver): void {
    this.observers.push(observer);
    observer.hears(this.hearsAll);
  }

  /** Calls `wake` at each tick, until the returned function is called. `perhaps`: one may have been lost, or none was. */
  listen(topic: string, wake: (perhaps: boolean) => void): () => void {
    this.topics.on(eventName(topic), wake);
    return () => this.topics.off(eventName(topic), wake);
  }

  /**
   * Resolves at the next tick, after `timeoutMs`, or when `signal` aborts: then look again. Call it before looking, so
   * that a tick in between is not missed: `const tick = live.waitFor(…); if (!(await there())) await tick;`
   */
  waitFor(topic: string, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        unlisten();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      const unlisten = this.listen(topic, done);
      if (signal?.aborted) done();
      else signal?.addEventListener('abort', done);
    });
  }

  /**
   * The current state first, then the latest one whenever it changed: at most 4 a second, and within 5 s also when
   * every tick was lost. What `load` throws as DomainError or Refusal ends the stream with that error; when it fails
   * otherwise after the first time (the database is away), the stream looks again later.
   */
  stateStream<T>(options: StateStreamOptions<T>): AsyncGenerator<T, void, undefined> {
    const stop = new AbortController();
    const states = this.states(options, stop);
    // A plain generator would keep `return()` waiting until its current wait is over.
    return {
      next: () => states.next(),
      return: () => {
        stop.abort();
        return states.return();
      },
      throw: (error) => {
        stop.abort();
        return states.throw(error);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
      async [Symbol.asyncDispose]() {
        await this.return();
      },
    };
  }

  private async *states<T>(
    { topic, load, key = (state) => state, signal: outer }: StateStreamOptions<T>,
    stop: AbortController,
  ): AsyncGenerator<T, void, undefined> {
    const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal;
    let shown: { key: unknown } | undefined;
    try {
      while (!signal.aborted) {
        // Listening starts before loading: a change in between is a tick that is not missed.
        const tick = this.waitFor(topic, POLL_MS * (0.8 + Math.random() * 0.2), signal);
        const started = Date.now();
        const state = await this.loadAgain(topic, load, shown === undefined);
        if (state === null || signal.aborted) return;
        if (state !== undefined && !(shown && isDeepStrictEqual(shown.key, key(state)))) {
          shown = { key: key(state) };
          yield state;
        }
        await tick;
        const early = MIN_INTERVAL_MS - (Date.now() - started);
        if (early > 0) await this.waitFor('', early, signal);
      }
    } finally {
      stop.abort();
    }
  }

  /** Undefined when it could not be loaded this time. */
  private async loadAgain<T>(topic: string, load: () => Promise<T>, first: boolean): Promise<T | undefined> {
    try {
      return await load();
    } catch (error) {
      if (first || error instanceof DomainError || error instanceof Refusal) throw error;
      this.logger.warn(`could not load ${topic}, will look again: ${error instanceof Error ? error.message : error}`);
      return undefined;
    }
  }

  private wake(topic: string, here: boolean): void {
    for (const observer of this.observers) observer.ticked(topic, here);
    this.topics.emit(eventName(topic), false);
  }

  private hears(all: boolean): void {
    this.hearsAll = all;
    for (const observer of this.observers) observer.hears(all);
  }

  private wakeAll(): void {
    for (const topic of this.topics.eventNames()) this.topics.emit(topic, true);
  }

  private logOutages(client: Redis, name: string): void {
    let away = false;
    client.on('error', (error: Error) => {
      if (!away) outages.inc();
      if (!away) this.logger.warn(`Redis is away (${name}): ${error.message || error.name}`);
      away = true;
    });
    client.on('ready', () => {
      if (away) this.logger.log(`Redis is back (${name})`);
      away = false;
    });
  }

  @OnScrape({ sets: [up] })
  lookAtRedis(): void {
    up.set(this.publisher.status === 'ready' && this.subscriber.status === 'ready' ? 1 : 0);
  }

  onApplicationShutdown(): void {
    this.closing = true;
    this.publisher.disconnect();
    this.subscriber.disconnect();
  }
}

function retryIn(attempt: number): number {
  return Math.min(attempt * 200, 2_000);
}

/** An emitter throws at an event that is called just "error". */
function eventName(topic: string): string {
  return `topic ${topic}`;
}
