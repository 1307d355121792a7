export type { ProcessingStage } from './video.entity.js';
export type { VideoState } from './video-state.js';
export { NotAnEditor } from './videos.errors.js';
export { DownloadDecided, RunWithdrawn, VideoDeleted, VideoFailed, VideoReady } from './videos.events.js';
export { Failure, Video, VideoVisibilityEnum } from './videos.graphql.js';
export { VideosModule } from './videos.module.js';
export { canEdit, canWatch, type VideoVisibility } from './videos.policy.js';
export { type Video as VideoRow, VideosService, videoTopic } from './videos.service.js';
