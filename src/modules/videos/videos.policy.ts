import type { Actor } from '../../common/access/index.js';
import { type ChannelRole, canManage } from '../channels/index.js';
import type { VideoState } from './video-state.js';

export type VideoVisibility = 'PUBLIC' | 'UNLISTED' | 'PRIVATE';

/** The parts of a video that decide who may see it. */
export interface VideoAccess {
  visibility: VideoVisibility;
  state: VideoState;
  verifiedAt: Date | null;
  publishAt: Date | null;
}

/** Who may change the channel may change its videos. @param role of the actor in the video's channel, null for none */
export const canEdit = canManage;

/**
 * Members see all of their channel's videos. Others see one once its upload is complete and verified, it plays, its
 * time has come, and it is not private.
 */
export function canWatch(video: VideoAccess, actor: Actor | null, role: ChannelRole | null, now: Date): boolean {
  if (canEdit(actor, role)) return true;
  if (video.state === 'BLOCKED') return false;
  if (role === 'VIEWER') return video.verifiedAt !== null;
  return (
    video.visibility !== 'PRIVATE' &&
    video.verifiedAt !== null &&
    (video.state === 'PLAYABLE' || video.state === 'READY') &&
    (video.publishAt === null || video.publishAt <= now)
  );
}
