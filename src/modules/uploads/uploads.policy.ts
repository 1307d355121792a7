import type { Actor } from '../../common/access/index.js';
import type { ChannelRole } from '../channels/index.js';

/** Who may see and move an upload session: who began it, the channel's owners and editors, and administrators. */
export function canManageUpload(session: { ownerId: string }, actor: Actor | null, role: ChannelRole | null): boolean {
  if (actor === null) return false;
  return session.ownerId === actor.userId || actor.role === 'ADMIN' || role === 'OWNER' || role === 'EDITOR';
}
