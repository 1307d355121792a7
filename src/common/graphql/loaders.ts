import { Context } from '@nestjs/graphql';
import DataLoader from 'dataloader';

/** The DataLoaders of one operation or, in a subscription, of one event: nothing read is kept for longer. */
export class Loaders {
  private readonly loaders = new Map<string, DataLoader<unknown, unknown>>();

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
      loader = new DataLoader<Key, Value | null>(
        async (keys) => {
          const found = await batch(keys);
          return keys.map((key) => found.get(key) ?? null);
        },
        { maxBatchSize: 1000 },
      );
      this.loaders.set(name, loader as DataLoader<unknown, unknown>);
    }
    return loader;
  }
}

/** Parameter of a resolver: `@OperationLoaders() loaders: Loaders`. */
export const OperationLoaders = (): ParameterDecorator => Context('loaders');
