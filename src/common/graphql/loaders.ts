import { Context } from '@nestjs/graphql';
import DataLoader from 'dataloader';

/** The DataLoaders of one operation or, in a subscription, of one event: nothing read is kept for longer. */
export class Loaders {
  private readonly loaders = new Map<string, DataLoader<unknown, unknown>>();
  private readonly read = new Map<string, Map<unknown, unknown>>();

  /**
   * Collects the keys asked for at the same time into one call.
   *
   * @param name of the loader; the same name must always come with the same meaning
   * @param batch gives what it finds; a key that is missing loads as null
   */
  loader<Key, Value>(
    name: string,
    batch: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
  ): DataLoader<Key, Value | null> {
    let loader = this.loaders.get(name) as DataLoader<Key, Value | null> | undefined;
    if (!loader) {
      const read = new Map<unknown, unknown>();
      loader = new DataLoader<Key, Value | null>(
        async (keys) => {
          const found = await batch(keys);
          return keys.map((key) => {
            const value = found.get(key) ?? null;
            read.set(key, value);
            return value;
          });
        },
        { maxBatchSize: 1000 },
      );
      this.loaders.set(name, loader as DataLoader<unknown, unknown>);
      this.read.set(name, read);
    }
    return loader;
  }

  /** What `loader(name, batch).load(key)` promises; what was read already is there at once. */
  load<Key, Value>(
    name: string,
    batch: (keys: readonly Key[]) => Promise<ReadonlyMap<Key, Value>>,
    key: Key,
  ): MaybePromise<Value | null> {
    const value = this.read.get(name)?.get(key);
    return value === undefined ? this.loader(name, batch).load(key) : (value as Value | null);
  }
}

export type MaybePromise<Value> = Value | Promise<Value>;

/** `next(value)`, at once where the value is there: promises are most of what a field of each item of a list costs. */
export function following<Value, Next>(
  value: MaybePromise<Value>,
  next: (value: Value) => MaybePromise<Next>,
): MaybePromise<Next> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Parameter of a resolver: `@OperationLoaders() loaders: Loaders`. */
export const OperationLoaders = (): ParameterDecorator => Context('loaders');
