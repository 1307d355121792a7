export { ADDRESS_NAME, RATES } from './made-renditions.js';
export { OnDemandRungs } from './on-demand.js';
export { segmentTopic } from './piece-results.js';
export { onDemandAsks } from './transcoding.metrics.js';
export { TranscodingModule } from './transcoding.module.js';
export { TranscodingService } from './transcoding.service.js';
