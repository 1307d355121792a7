export { counter, gauge, histogram, replace } from './metric.js';
export { MetricsModule } from './metrics.module.js';
export { OnScrape } from './on-scrape.js';
