export { FeedsModule } from './feeds.module.js';
export { FeedsService } from './feeds.service.js';
export { RelatedService } from './related.service.js';
export { TrendingService } from './trending.service.js';
