export * from './config.js';
export * from './config.module.js';
export { ConfigurationError, optionsTable } from './options.js';
