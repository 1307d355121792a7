import type { Actor } from '../../common/access/index.js';

/** Who may see a person's account: that person, and administrators. */
export function canSeeAccount(actor: Actor | null, userId: string): boolean {
  return actor !== null && (actor.userId === userId || actor.role === 'ADMIN');
}
