import type { Actor } from '../../common/access/index.js';
import type { ChannelRole } from '../channels/index.js';
import { canEdit } from '../videos/index.js';

/** Its author alone: nobody puts words into another's mouth. */
export function canRewrite(actor: Actor | null, authorId: string): boolean {
  return actor?.userId === authorId;
}

/** @param role of the actor in the video's channel, null for none */
export function canDelete(actor: Actor | null, authorId: string, role: ChannelRole | null): boolean {
  return canRewrite(actor, authorId) || canEdit(actor, role);
}
