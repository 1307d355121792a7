export type { ProcessingStage } from './video.entity.js';
export type { VideoState } from './video-state.js';
export { MAX_TAG, MAX_TAGS } from './video-tags.js';
export {
  DownloadDecided,
  RunWithdrawn,
  VideoChanged,
  VideoDeleted,
  VideoFailed,
  VideoPublished,
  VideoReady,
} from './videos.events.js';
export { Failure, Video, VideoConnection, VideoVisibilityEnum } from './videos.graphql.js';
export { VideosModule } from './videos.module.js';
export { canEdit, canWatch, type VideoVisibility } from './videos.policy.js';
export {
  LISTED,
  LISTED_ANYWHERE,
  LISTED_WHEN_DUE,
  listTopic,
  type Video as VideoRow,
  VideosService,
  videoTopic,
} from './videos.service.js';
