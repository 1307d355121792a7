import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database } from '../../common/database/index.js';
import { type AppUser, cleanEmail, cleanPerson, emailKey, type Person, UsersService } from '../users/index.js';
import { AccessTokens } from './access-tokens.js';
import { InvalidCredentials, RegistrationClosed } from './auth.errors.js';
import { LoginThrottle } from './login-throttle.js';
import { cleanPassword, typedPassword } from './password.js';
import { Passwords } from './passwords.js';
import { type ContinuedSession, SessionsService } from './sessions.service.js';
import { SetupService } from './setup.service.js';

/** Somebody is signed in: who, and the tokens for it. */
export interface SignedIn {
  user: AppUser;
  sessionId: string;
  accessToken: string;
  accessTokenExpiresAt: Date;
  refreshToken: string;
}

@Injectable()
export class AuthService {
  constructor(
    private readonly database: Database,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly setup: SetupService,
    private readonly passwords: Passwords,
    private readonly throttle: LoginThrottle,
    private readonly accessTokens: AccessTokens,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Makes the administrator and signs them in.
   * @throws SetupTokenInvalid, InvalidInput, EmailTaken (the token stays good), Busy
   */
  async completeSetup(input: Person & { password: string; setupToken: string }): Promise<SignedIn> {
    await this.setup.check(input.setupToken);
    const person = cleanPerson(input);
    const passwordHash = await this.passwords.hash(cleanPassword(input.password));
    const session = await this.database.tx(async (tx) => {
      await this.setup.complete(tx, input.setupToken);
      return this.sessions.open(tx, await this.users.create(tx, person, passwordHash, 'ADMIN'));
    });
    return this.signedIn(session);
  }

  /** @throws RegistrationClosed, InvalidInput, EmailTaken, Busy */
  async register(input: Person & { password: string }): Promise<SignedIn> {
    if (this.config.registration === 'closed') throw new RegistrationClosed();
    const person = cleanPerson(input);
    const passwordHash = await this.passwords.hash(cleanPassword(input.password));
    const session = await this.database.tx(async (tx) =>
      this.sessions.open(tx, await this.users.create(tx, person, passwordHash)),
    );
    return this.signedIn(session);
  }

  /** @throws InvalidInput, InvalidCredentials, TooManyLogins, TooOften, LoginUnavailable, Busy */
  async login(input: { email: string; password: string }, ip: string): Promise<SignedIn> {
    const account = emailKey(cleanEmail(input.email));
    const known = await this.throttle.countingRight(account, async () => {
      await this.throttle.admit(account, ip);
      const credentials = await this.users.credentialsOf(account);
      const right = await this.passwords.matches(credentials?.passwordHash ?? null, typedPassword(input.password));
      if (!credentials || !right) throw new InvalidCredentials();
      return credentials;
    });
    await this.throttle.succeeded(account, ip);
    const session = await this.database.tx(async (tx) => {
      // A reset that came in between ended all sessions, and this must not be one more.
      if (!(await this.users.stillHas(tx, known.userId, known.passwordHash))) throw new InvalidCredentials();
      return this.sessions.open(tx, known.userId);
    });
    return this.signedIn(session);
  }

  /** @throws RefreshTokenInvalid */
  async refresh(refreshToken: string): Promise<SignedIn> {
    return this.signedIn(await this.sessions.refresh(refreshToken));
  }

  /** Ends the session of whoever acts and the one that the refresh token belongs to: mostly the same. */
  async logout(sessionId: string | null, refreshToken: string | null): Promise<void> {
    const continued = refreshToken && (await this.sessions.sessionOf(refreshToken));
    for (const ending of new Set([sessionId, continued])) {
      if (ending) await this.database.tx((tx) => this.sessions.revoke(tx, ending, 'LOGOUT'));
    }
  }

  private async signedIn(session: ContinuedSession): Promise<SignedIn> {
    const { sessionId, userId, refreshToken, issuedAt } = session;
    const { token, expiresAt } = await this.accessTokens.sign({ sub: userId, sid: sessionId }, issuedAt);
    const user = await this.users.byId(userId);
    if (!user) throw new Error(`The user ${userId} went away while signing in.`);
    return { user, sessionId, refreshToken, accessToken: token, accessTokenExpiresAt: expiresAt };
  }
}
