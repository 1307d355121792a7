import { Injectable } from '@nestjs/common';
import passport from 'passport';
import { type Actor, ActorResolver } from '../../common/access/index.js';
import { JwtStrategy } from './jwt.strategy.js';
import { SessionsService } from './sessions.service.js';

/**
 * Every way in (HTTP, WebSocket, server-sent events) asks here, so passport gets the bare header instead of a request.
 * What it learns of the login session is a second old at most: revocation counts by then everywhere.
 */
@Injectable()
export class PassportActorResolver extends ActorResolver {
  constructor(
    private readonly strategy: JwtStrategy,
    private readonly sessions: SessionsService,
  ) {
    super();
  }

  resolve(accessToken: string): Promise<Actor | null> {
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
