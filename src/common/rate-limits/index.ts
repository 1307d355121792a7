export { type Balance, type RateLimit, RateLimits, REACTIONS, TooOften } from './rate-limits.js';
export { RateLimitsModule } from './rate-limits.module.js';
