export { RATES } from './made-renditions.js';
export { segmentTopic } from './piece-results.js';
export { AUDIO_RENDITION } from './plan.js';
export { TranscodingModule } from './transcoding.module.js';
export { TranscodingService } from './transcoding.service.js';
