import { Injectable } from '@nestjs/common';
import passport from 'passport';
import { type Actor, ActorResolver } from '../../common/access/index.js';
import { JwtStrategy } from './jwt.strategy.js';
import { SessionsService } from './sessions.service.js';

const STRATEGY = 'jwt';

/**
 * Every way in (HTTP, WebSocket, server-sent events) asks here, so passport gets the bare header instead of a request.
 * The login session is looked up each time: it is one read by primary key, and revocation counts at once everywhere.
 */
@Injectable()
export class PassportActorResolver extends ActorResolver {
  /** One of our own: the shared one would know the strategy of the application that started last. */
  private readonly passport = new passport.Passport();

  constructor(
    strategy: JwtStrategy,
    private readonly sessions: SessionsService,
  ) {
    super();
    this.passport.use(STRATEGY, strategy);
  }

  resolve(accessToken: string): Promise<Actor | null> {
    return new Promise((resolve, reject) => {
      const answer = (error: unknown, actor?: Actor | false | null) => (error ? reject(error) : resolve(actor || null));
      // By name: passport then works on a copy, where an instance would carry the callbacks of one caller to another.
      const authenticate = this.passport.authenticate(STRATEGY, { session: false }, answer);
      authenticate({ headers: { authorization: `Bearer ${accessToken}` } }, {}, answer);
    });
  }

  liveAmong(sessionIds: readonly string[]): Promise<string[]> {
    return this.sessions.liveAmong(sessionIds);
  }
}
