import { createSecretKey } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import { ExtractJwt, Strategy } from 'passport-jwt';
import type { Actor } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { type AccessTokenClaims, ALGORITHM, AUDIENCE, keyId } from './access-tokens.js';
import { SessionsService } from './sessions.service.js';

/** A bearer token is good when its signature, key, issuer, audience and time are, and its login session lives. */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy) {
  constructor(
    @Inject(CONFIG) config: Config,
    private readonly sessions: SessionsService,
  ) {
    const kid = keyId(config.tokenSecret);
    // Of mere text the library first tries at every token whether it is a public key, which takes longer than the rest.
    // Its types do not know that it takes keys.
    const key = createSecretKey(config.tokenSecret, 'utf8') as unknown as string;
    super({
      jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
      secretOrKeyProvider: (_request: unknown, token: string, done: (error: Error | null, key?: string) => void) =>
        keyIdOf(token) === kid ? done(null, key) : done(new Error('The token has another key.')),
      algorithms: [ALGORITHM],
      issuer: config.publicUrl,
      audience: AUDIENCE,
      // By this machine's clock, which may be hours off: `actorOf` has the database's.
      ignoreExpiration: true,
    });
  }

  async validate(claims: AccessTokenClaims): Promise<Actor | null> {
    return this.sessions.actorOf(claims);
  }
}

function keyIdOf(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid;
  } catch {
    return undefined;
  }
}
