import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { Redis } from 'ioredis';

/** How long others wait for who reads a value: as long as nobody would want to, were that process gone. */
const LEASE_MS = 1_000;
const LOOKS_MS = [5, 10, 20, 40];
/** Who was not answered asks no more for a while: each asking would cost its time-out. */
const LEFT_ALONE_MS = 1_000;

/** A value, or the lease of who reads it; who finds nothing has the lease. */
const LOOK = `
local found = redis.call('MGET', unpack(KEYS))
for i, text in ipairs(found) do
  if not text then
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
    found[i] = ARGV[1]
  end
end
return found`;

/** Only where the lease still stands. */
const STORE = `
for i, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('SET', key, ARGV[i + 2], 'PX', ARGV[2]) end
end`;

const LEASE = 'L';
const VALUE = 'V';

type Load<Value> = (keys: readonly string[]) => Promise<ReadonlyMap<string, Value>>;

/**
 * Values that all processes share. One key of Redis holds a value or the lease of who reads it from the database, so what
 * drops a value also ends the lease: what was read before a change is not stored after it. Without Redis each reads for itself.
 */
export class SharedLayer<Value> {
  private readonly logger = new Logger(SharedLayer.name);
  private leftAloneUntil = 0;

  constructor(
    /** Answers or fails within a moment. What changes a value uses the same connection, ahead of the hint for others. */
    private readonly redis: Redis,
    private readonly prefix: string,
    private readonly ttlMs: number,
  ) {}

  async read(
    keys: readonly string[],
    load: Load<Value>,
    count: (outcome: 'hit' | 'miss' | 'failed', keys: number) => void,
  ): Promise<ReadonlyMap<string, Value>> {
    const found = new Map<string, Value>();
    const take = (values: ReadonlyMap<string, Value>) => {
      for (const [key, value] of values) found.set(key, value);
    };
    const lease = `${LEASE}${randomUUID()}`;
    const until = performance.now() + LEASE_MS;
    let left = keys;
    for (let looks = 0; left.length > 0; looks++) {
      const texts = performance.now() < until ? await this.look(left, lease) : null;
      if (!texts) {
        count('failed', left.length);
        take(await load(left));
        break;
      }
      const mine: string[] = [];
      const others: string[] = [];
      const bad: string[] = [];
      for (const [index, key] of left.entries()) {
        const text = texts[index] as string;
        if (text === lease) mine.push(key);
        else if (text.startsWith(LEASE)) others.push(key);
        else {
          const value = valueIn<Value>(text);
          if (value === undefined) bad.push(key);
          else if (value !== null) found.set(key, value);
        }
      }
      count('hit', left.length - mine.length - others.length - bad.length);
      count('miss', mine.length);
      if (bad.length > 0) {
        // It may have no end of its own.
        for (const key of bad) this.drop(key);
        count('failed', bad.length);
        take(await load(bad));
      }
      if (mine.length > 0) {
        const loaded = await load(mine);
        this.store(mine, loaded, lease);
        take(loaded);
      }
      left = others;
      if (left.length > 0) await pause(LOOKS_MS[Math.min(looks, LOOKS_MS.length - 1)]);
    }
    return found;
  }

  /** Where this is lost, time ends what is stored. */
  drop(key: string): void {
    this.redis
      .del(this.prefix + key)
      .catch((error: Error) => this.logger.debug(`${this.prefix}${key} not dropped: ${error.message}`));
  }

  /** Null: it did not answer. */
  private async look(keys: readonly string[], lease: string): Promise<string[] | null> {
    if (performance.now() < this.leftAloneUntil) return null;
    const names = keys.map((key) => this.prefix + key);
    try {
      return (await this.redis.eval(LOOK, names.length, ...names, lease, LEASE_MS)) as string[];
    } catch {
      this.leftAloneUntil = performance.now() + LEFT_ALONE_MS;
      return null;
    }
  }

  private store(keys: readonly string[], values: ReadonlyMap<string, Value>, lease: string): void {
    const names = keys.map((key) => this.prefix + key);
    const texts = keys.map((key) => VALUE + encode(values.get(key) ?? null));
    this.redis
      .eval(STORE, names.length, ...names, lease, this.ttlMs, ...texts)
      .catch((error: Error) => this.logger.debug(`${this.prefix}: ${names.length} not stored: ${error.message}`));
  }
}

/** Null: there is none. Undefined: somebody else wrote this, or it was cut. */
function valueIn<Value>(text: string): Value | null | undefined {
  if (!text.startsWith(VALUE)) return undefined;
  try {
    return decode(text.slice(VALUE.length)) as Value | null;
  } catch {
    return undefined;
  }
}

const DATE = '$date';

/** JSON that keeps dates. */
function encode(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, plain) {
    const given = this[key];
    return given instanceof Date ? { [DATE]: given.getTime() } : plain;
  });
}

function decode(text: string): unknown {
  if (!text.includes(DATE)) return JSON.parse(text);
  return JSON.parse(text, (_, value) =>
    value && typeof value === 'object' && DATE in value ? new Date(value[DATE]) : value,
  );
}
