export type UserRole = 'MEMBER' | 'ADMIN';

/** Who acts. `null` stands for somebody who is not signed in. */
export interface Actor {
  readonly userId: string;
  readonly sessionId: string;
  readonly role: UserRole;
}

/** The port that `auth` fills: from a bearer token to who acts, or null where the token is no good (any more). */
export abstract class ActorResolver {
  abstract resolve(accessToken: string): Promise<Actor | null>;
  /** Which of these login sessions neither ended nor were revoked. Asked every second for all open sockets: one query. */
  abstract liveAmong(sessionIds: readonly string[]): Promise<string[]>;
}
