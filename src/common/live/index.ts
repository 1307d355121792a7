export { Live, type StateStreamOptions } from './live.js';
export { LiveModule } from './live.module.js';
