import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { clear, counter, registry } from './metric.js';
import { ON_SCRAPE, type ScrapeOptions } from './on-scrape.js';

/** Prometheus gives up after 10 s, and wants what is known then. */
const TIMEOUT_MS = 3_000;

const failures = counter('sluice_scrape_failures_total', 'Parts of a scrape that could not be read, by part', {
  part: [],
});

interface Part extends ScrapeOptions {
  readonly name: string;
  readonly read: () => Promise<void> | void;
  /** On the monotonic clock. */
  next: number;
  reading: Promise<void> | null;
}

/** All of the process's metrics as text, gauges asked anew. */
@Injectable()
export class Scrapes implements OnApplicationBootstrap {
  private readonly logger = new Logger(Scrapes.name);
  private parts: Part[] = [];

  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  readonly contentType = registry.contentType;

  onApplicationBootstrap(): void {
    this.parts = this.discovery.getProviders().flatMap(({ instance }) => {
      if (!instance || typeof instance !== 'object') return [];
      const prototype = Object.getPrototypeOf(instance);
      return this.scanner.getAllMethodNames(prototype).flatMap((method) => {
        const options: ScrapeOptions | undefined = Reflect.getMetadata(ON_SCRAPE, prototype[method]);
        if (!options) return [];
        const name = `${prototype.constructor.name}.${method}`;
        failures.inc({ part: name }, 0);
        return [{ ...options, name, read: () => instance[method](), next: 0, reading: null }];
      });
    });
  }

  async text(): Promise<string> {
    await Promise.all(this.parts.map((part) => this.refresh(part)));
    return registry.metrics();
  }

  /** Several who scrape at once wait for one answer. */
  private async refresh(part: Part): Promise<void> {
    if (!part.reading && performance.now() >= part.next) {
      part.next = performance.now() + (part.everyMs ?? 0);
      part.reading = this.read(part).finally(() => {
        part.reading = null;
      });
    }
    await part.reading;
  }

  private async read(part: Part): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('no answer in time')), TIMEOUT_MS);
    });
    try {
      await Promise.race([part.read(), late]);
    } catch (error) {
      for (const gauge of part.sets) clear(gauge);
      failures.inc({ part: part.name });
      this.logger.debug(`${part.name}: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
    }
  }
}
