export { type RateLimit, RateLimits } from './rate-limits.js';
export { RateLimitsModule } from './rate-limits.module.js';
