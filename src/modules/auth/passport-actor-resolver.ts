import { Injectable } from '@nestjs/common';
import passport from 'passport';
import { type Actor, ActorResolver } from '../../common/access/index.js';
import type { AccessTokenClaims } from './access-tokens.js';
import { JwtStrategy } from './jwt.strategy.js';
import { SessionsService } from './sessions.service.js';

const TOKENS_KEPT = 10_000;

/**
 * Every way in (HTTP, WebSocket, server-sent events) asks here, so passport gets the bare header instead of a request.
 * What it learns of the login session is a second old at most: revocation counts by then everywhere. A token that was
 * verified is not verified again, only asked for its time.
 */
@Injectable()
export class PassportActorResolver extends ActorResolver {
  /** The oldest first. */
  private readonly verified = new Map<string, AccessTokenClaims>();

  constructor(
    private readonly strategy: JwtStrategy,
    private readonly sessions: SessionsService,
  ) {
    super();
  }

  async resolve(accessToken: string): Promise<Actor | null> {
    const known = this.verified.get(accessToken);
    const actor = known ? await this.sessions.actorOf(known) : await this.verify(accessToken);
    if (!actor) this.verified.delete(accessToken);
    else if (!known) this.keep(accessToken);
    return actor;
  }

  private keep(accessToken: string): void {
    this.verified.set(accessToken, JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString()));
    const [oldest] = this.verified.keys();
    if (oldest !== undefined && this.verified.size > TOKENS_KEPT) this.verified.delete(oldest);
  }

  private verify(accessToken: string): Promise<Actor | null> {
    return new Promise((resolve, reject) => {
      const answer = (error: unknown, actor?: Actor | false | null) => (error ? reject(error) : resolve(actor || null));
      // Passport hangs its callbacks on a strategy that it is given as an object: each call needs one of its own, or
      // answers to requests that are made at the same time get mixed up.
      const authenticate = passport.authenticate(Object.create(this.strategy), { session: false }, answer);
      authenticate({ headers: { authorization: `Bearer ${accessToken}` } }, {}, answer);
    });
  }

  liveAmong(sessionIds: readonly string[]): Promise<string[]> {
    return this.sessions.liveAmong(sessionIds);
  }
}
