/** OWNER: everything. EDITOR: uploads, and edits what is there. VIEWER: sees what is private. */
export type ChannelRole = 'OWNER' | 'EDITOR' | 'VIEWER';

/** May change the channel and its videos. */
export function canManage(role: ChannelRole | null): boolean {
  return role === 'OWNER' || role === 'EDITOR';
}

/** May add videos. */
export function canUpload(role: ChannelRole | null): boolean {
  return role === 'OWNER' || role === 'EDITOR';
}
