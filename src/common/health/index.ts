export { EVENT_GAP_MS, type SeenRequest } from './doctor-endpoints.js';
export { isSignedAs, signAs } from './doctor-signature.js';
export { HealthModule } from './health.module.js';
