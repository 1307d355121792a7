import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../config/index.js';
import { Live, type TickObserver } from '../live/index.js';
import { Cache, type CacheOptions, SHARED_MS } from './cache.js';
import { SharedLayer } from './shared-layer.js';

interface Layers {
  readonly process: boolean;
  readonly redis: boolean;
}

/**
 * Makes the caches of this process, and tells them of changes: the ticks that hasten live streams say what has changed, here and
 * in other processes (docs/decisions/0035-caching.md).
 */
@Injectable()
export class Caches implements TickObserver {
  /** For the benchmark, which leaves layers out: those of all caches, whatever they are made with. */
  static layers: Layers | null = null;

  private readonly all: Cache<unknown>[] = [];
  private readonly byTopic = new Map<string, Cache<unknown>[]>();
  private hearsAll = false;

  constructor(
    private readonly live: Live,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    live.observe(this);
  }

  of<Value>(options: CacheOptions<Value>): Cache<Value> {
    const { name, topic, shared } = options;
    const layers = Caches.layers ?? { process: true, redis: shared !== undefined };
    const prefix = `${this.config.redisPrefix}cache:${name}:${shared?.version ?? 0}:`;
    const redis = layers.redis ? new SharedLayer<Value>(this.live.publisher, prefix, shared?.ttlMs ?? SHARED_MS) : null;
    const cache = new Cache(options, layers.process, redis);
    cache.hears(this.hearsAll);
    const known = cache as Cache<unknown>;
    this.all.push(known);
    if (topic !== undefined) this.byTopic.set(topic, [...(this.byTopic.get(topic) ?? []), known]);
    return cache;
  }

  ticked(topic: string, here: boolean): void {
    const colon = topic.indexOf(':');
    const caches = this.byTopic.get(topic.slice(0, colon));
    if (!caches) return;
    const key = topic.slice(colon + 1);
    for (const cache of caches) cache.drop(key, here);
  }

  hears(all: boolean): void {
    this.hearsAll = all;
    for (const cache of this.all) cache.hears(all);
  }
}
