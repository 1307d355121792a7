import { SetMetadata } from '@nestjs/common';
import type { Clearable } from './metric.js';

export const ON_SCRAPE = 'sluice:on-scrape';

export interface ScrapeOptions {
  /** What the method sets. Where it fails they have no values: an old one would look like the truth. */
  readonly sets: readonly Clearable[];
  /** The method asks others (the database, the disk): then once in so long, whoever scrapes. */
  readonly everyMs?: number;
}

/** Marks a method without parameters that sets gauges whenever somebody reads them. What it asks must be cheap at any size. */
export const OnScrape = (options: ScrapeOptions): MethodDecorator => SetMetadata(ON_SCRAPE, options);
