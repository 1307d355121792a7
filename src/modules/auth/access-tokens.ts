import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { CONFIG, type Config } from '../../common/config/index.js';

export const ACCESS_TOKEN_SECONDS = 600;
export const ALGORITHM = 'HS256';
export const AUDIENCE = 'sluice-api';

/** `sub`: the user's id; `sid`: the login session's; `exp`: its end by the database's clock, in seconds since 1970. */
export interface AccessTokenClaims {
  sub: string;
  sid: string;
  exp: number;
}

/** Names the key in a token's head, so that one signed with another key is told apart at once; tells nothing of the key. */
export function keyId(secret: string): string {
  return createHash('sha256').update(`access token: key id\0${secret}`).digest('hex').slice(0, 16);
}

@Injectable()
export class AccessTokens {
  constructor(
    private readonly jwt: JwtService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** @param issuedAt by the database's clock, in seconds since 1970 */
  async sign(claims: Omit<AccessTokenClaims, 'exp'>, issuedAt: number): Promise<{ token: string; expiresAt: Date }> {
    const token = await this.jwt.signAsync(
      { sid: claims.sid, iat: issuedAt },
      {
        secret: this.config.tokenSecret,
        algorithm: ALGORITHM,
        keyid: keyId(this.config.tokenSecret),
        issuer: this.config.publicUrl,
        audience: AUDIENCE,
        subject: claims.sub,
        expiresIn: ACCESS_TOKEN_SECONDS,
      },
    );
    return { token, expiresAt: new Date((issuedAt + ACCESS_TOKEN_SECONDS) * 1000) };
  }
}
