import type { Actor } from '../../common/access/index.js';

/** OWNER: everything. EDITOR: uploads, and edits what is there. VIEWER: sees what is private. */
export type ChannelRole = 'OWNER' | 'EDITOR' | 'VIEWER';

/** May change the channel and its videos. @param role of the actor in it, null for none */
export function canManage(actor: Actor | null, role: ChannelRole | null): boolean {
  return actor !== null && (actor.role === 'ADMIN' || role === 'OWNER' || role === 'EDITOR');
}

/** May say who its members are, and delete it. */
export function canOwn(actor: Actor | null, role: ChannelRole | null): boolean {
  return actor !== null && (actor.role === 'ADMIN' || role === 'OWNER');
}

/** May see who its members are. */
export function canSeeMembers(actor: Actor | null, role: ChannelRole | null): boolean {
  return actor !== null && (actor.role === 'ADMIN' || role !== null);
}

/** May add videos. */
export function canUpload(role: ChannelRole | null): boolean {
  return role === 'OWNER' || role === 'EDITOR';
}
