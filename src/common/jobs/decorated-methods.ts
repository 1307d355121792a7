import type { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { JobContext } from './define-job.js';

export type Handler = (payload: object, context: JobContext) => Promise<void>;

/** Every provider's method that carries a decorator with this metadata key, bound to its instance. */
export function decoratedMethods<Mark>(
  discovery: DiscoveryService,
  scanner: MetadataScanner,
  key: string,
): { mark: Mark; name: string; call: Handler }[] {
  return discovery.getProviders().flatMap(({ instance }) => {
    if (!instance || typeof instance !== 'object') return [];
    const prototype = Object.getPrototypeOf(instance);
    return scanner.getAllMethodNames(prototype).flatMap((method) => {
      const mark: Mark | undefined = Reflect.getMetadata(key, prototype[method]);
      const name = `${prototype.constructor.name}.${method}`;
      return mark ? [{ mark, name, call: prototype[method].bind(instance) as Handler }] : [];
    });
  });
}
