export * from './log-context.js';
export { redact } from './redact.js';
export { StructuredLogger } from './structured-logger.js';
