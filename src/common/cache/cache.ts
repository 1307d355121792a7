import { LRUCache } from 'lru-cache';
import { counter } from '../metrics/index.js';
import type { SharedLayer } from './shared-layer.js';

const lookups = counter(
  'sluice_cache_lookups_total',
  'Values that were looked for in a layer: hit, miss, or failed where Redis did not answer',
  { cache: [], layer: [], outcome: [] },
);
const refills = counter('sluice_cache_refills_total', 'Values that the database was asked for', { cache: [] });
const drops = counter('sluice_cache_drops_total', 'Values that this process dropped since they had changed', {
  cache: [],
});

export interface CacheOptions<Value> {
  /** In metrics, and in Redis. */
  readonly name: string;
  /** The tick of `{topic}:{key}` says that the value has changed. Without it only time ends what is kept. */
  readonly topic?: string;
  /** How old a value may be that the process keeps. */
  readonly ttlMs: number;
  /** How many a process keeps: those that were asked for last. */
  readonly max: number;
  /** Also in Redis, for all processes: worth it where loading costs many times what Redis does. */
  readonly shared?: {
    /** Raised with each change of what a value looks like: the version before runs beside this one. */
    readonly version: number;
    /** How old a value may be there, beside `ttlMs`: it is stored as JSON, with dates. */
    readonly ttlMs: number;
  };
  /** Asks the database. That a key is missing is kept too. */
  load(keys: readonly string[]): Promise<ReadonlyMap<string, Value>>;
}

interface Entry<Value> {
  readonly until: number;
  /** While it is being read, together with the others that were missed at once. */
  reading: Promise<ReadonlyMap<string, Value>> | null;
  value: Value | null;
}

/** How old a value may be in a process that did not hear of its change: docs/decisions/0035-caching.md. */
export const RECENT_MS = 2_000;
/** The same in Redis: 10 s in all, with the second that a reading takes at most. */
export const SHARED_MS = 7_000;

/** How long a value is kept while changes in other processes are not heard of. */
const DEAF_TTL_MS = 1_000;

/**
 * What was read a moment ago, by key. However many ask at once for what is not there, it is read once; what was read before
 * a change became known is given to who asked before it, and kept for nobody. Values are shared: nobody changes them.
 */
export class Cache<Value> {
  private readonly entries: LRUCache<string, Entry<Value>> | null;
  private hearsAll = false;

  /** Made by `Caches.of`. @param process, shared the layers that it has */
  constructor(
    private readonly options: CacheOptions<Value>,
    process: boolean,
    private readonly shared: SharedLayer<Value> | null,
  ) {
    this.entries = process ? new LRUCache({ max: options.max }) : null;
    const cache = options.name;
    for (const outcome of ['hit', 'miss']) lookups.inc({ cache, layer: 'process', outcome }, 0);
    for (const outcome of shared ? ['hit', 'miss', 'failed'] : []) lookups.inc({ cache, layer: 'redis', outcome }, 0);
    refills.inc({ cache }, 0);
    drops.inc({ cache }, 0);
  }

  async get(key: string): Promise<Value | null> {
    return (await this.getMany([key])).get(key) ?? null;
  }

  /** What there is of them. */
  async getMany(keys: readonly string[]): Promise<Map<string, Value>> {
    const { entries, options } = this;
    if (!entries) return new Map(await this.read([...new Set(keys)]));
    const now = performance.now();
    // Counted from before the reading, so that no value is older than its time, however long the reading took.
    const until = now + (this.hearsAll ? options.ttlMs : Math.min(options.ttlMs, DEAF_TTL_MS));
    const missed = new Map<string, Entry<Value>>();
    const all = keys.map((key) => {
      let entry = missed.get(key) ?? entries.get(key);
      if (!entry || entry.until <= now) {
        entry = { until, reading: null, value: null };
        missed.set(key, entry);
      }
      return { key, entry };
    });
    lookups.inc({ cache: options.name, layer: 'process', outcome: 'hit' }, keys.length - missed.size);
    if (missed.size > 0) {
      lookups.inc({ cache: options.name, layer: 'process', outcome: 'miss' }, missed.size);
      this.refill(entries, missed);
    }
    const found = new Map<string, Value>();
    for (const { key, entry } of all) {
      const value = entry.reading ? (await entry.reading).get(key) : entry.value;
      if (value != null) found.set(key, value);
    }
    return found;
  }

  /** The value has changed. @param here the change was made in this process, which sees to the layer of all */
  drop(key: string, here: boolean): void {
    if (here) this.shared?.drop(key);
    if (this.entries?.delete(key)) drops.inc({ cache: this.options.name });
  }

  /** Whether changes in other processes are heard of from now on. Those of a moment ago may not have been. */
  hears(all: boolean): void {
    this.hearsAll = all;
    this.entries?.clear();
  }

  private refill(entries: LRUCache<string, Entry<Value>>, missed: ReadonlyMap<string, Entry<Value>>): void {
    const reading = this.read([...missed.keys()]);
    for (const [key, entry] of missed) {
      entry.reading = reading;
      entries.set(key, entry);
    }
    reading.then(
      (found) => {
        for (const [key, entry] of missed) {
          entry.value = found.get(key) ?? null;
          entry.reading = null;
        }
      },
      () => {
        for (const [key, entry] of missed) if (entries.peek(key) === entry) entries.delete(key);
      },
    );
  }

  private async read(keys: readonly string[]): Promise<ReadonlyMap<string, Value>> {
    const { shared, options } = this;
    const load = (missing: readonly string[]) => {
      refills.inc({ cache: options.name }, missing.length);
      return options.load(missing);
    };
    if (!shared) return load(keys);
    return shared.read(keys, load, (outcome, count) =>
      lookups.inc({ cache: options.name, layer: 'redis', outcome }, count),
    );
  }
}
