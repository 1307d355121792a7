export { type RateLimit, RateLimits, REACTIONS } from './rate-limits.js';
export { RateLimitsModule } from './rate-limits.module.js';
