export { EVENT_GAP_MS, type SeenRequest } from './doctor-probes.js';
export { type ProbeKind, signProbe } from './doctor-signature.js';
export { HealthModule } from './health.module.js';
