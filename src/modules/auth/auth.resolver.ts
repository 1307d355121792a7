import { Inject } from '@nestjs/common';
import { Args, Context, Resolver } from '@nestjs/graphql';
import { type Actor, Public } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Loaders, Mutates, type OperationContext } from '../../common/graphql/index.js';
import { addressBlock } from '../../common/http/index.js';
import { type RateLimit, RateLimits } from '../../common/rate-limits/index.js';
import { User } from '../users/index.js';
import {
  AuthPayload,
  CompleteSetupInput,
  LoginInput,
  LogoutPayload,
  RefreshSessionInput,
  RegisterInput,
  RequestPasswordResetInput,
  RequestPasswordResetPayload,
  ResetPasswordInput,
  ResetPasswordPayload,
} from './auth.graphql.js';
import { AuthService, type SignedIn } from './auth.service.js';
import { PasswordReset } from './password-reset.service.js';
import { readRefreshCookie, refreshCookie } from './refresh-cookie.js';
import { IDLE_DAYS } from './sessions.service.js';

/** From one address: a school may have it. */
const REGISTRATIONS: RateLimit = { name: 'register', points: 600, seconds: 3_600 };

/** In points of the caller's budget: 0.15 s of a core, where most operations take milliseconds; 3,000 a minute of a school's address. */
const HASHES = { complexity: 100 };

@Resolver()
export class AuthResolver {
  constructor(
    private readonly auth: AuthService,
    private readonly passwordReset: PasswordReset,
    private readonly limits: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Public({ ignoresBadToken: true })
  @Mutates(() => AuthPayload, {
    ...HASHES,
    description: 'Makes the administrator, once per installation, with the link that the server prints until then.',
  })
  async completeSetup(
    @Args('input') input: CompleteSetupInput,
    @Context() context: OperationContext,
  ): Promise<AuthPayload> {
    return this.signIn(context, await this.auth.completeSetup(input), 'body');
  }

  @Public({ ignoresBadToken: true })
  @Mutates(() => AuthPayload, { ...HASHES, description: 'Makes an account and signs in.' })
  async register(@Args('input') input: RegisterInput, @Context() context: OperationContext): Promise<AuthPayload> {
    await this.limits.spend(REGISTRATIONS, addressBlock(context.ip));
    return this.signIn(context, await this.auth.register(input), 'body');
  }

  @Public({ ignoresBadToken: true })
  @Mutates(() => AuthPayload, {
    ...HASHES,
    description:
      'Signs in. After 5 wrong passwords in 15 minutes for one account, or 20 from one address, each further attempt waits longer: a top-level error RATE_LIMITED with `retryAfterMs`.',
  })
  async login(@Args('input') input: LoginInput, @Context() context: OperationContext): Promise<AuthPayload> {
    return this.signIn(context, await this.auth.login(input, context.ip), input.cookie ? 'cookie' : 'body');
  }

  @Public({ ignoresBadToken: true })
  @Mutates(() => AuthPayload, {
    description:
      'A new access token for a refresh token, which is replaced. What came by cookie is answered by cookie.',
  })
  async refreshSession(
    @Args('input', { type: () => RefreshSessionInput, nullable: true }) input: RefreshSessionInput | null,
    @Context() context: OperationContext,
  ): Promise<AuthPayload> {
    if (input?.refreshToken) return this.signIn(context, await this.auth.refresh(input.refreshToken), 'body');
    return this.signIn(context, await this.auth.refresh(cookieOf(context) ?? ''), 'cookie');
  }

  @Public({ ignoresBadToken: true })
  @Mutates(() => LogoutPayload, {
    description:
      'Ends the login session of the access token and of the cookie; its sockets close. Ending nothing is fine.',
  })
  async logout(@Context() context: OperationContext): Promise<LogoutPayload> {
    const cookie = cookieOf(context);
    await this.auth.logout(context.actor?.sessionId ?? null, cookie);
    if (cookie) this.setCookie(null, context);
    actAs(context, null);
    return new LogoutPayload();
  }

  @Public({ ignoresBadToken: true })
  @Mutates(() => RequestPasswordResetPayload, {
    description: 'Mails a link that sets a new password, if there is such an account; one mail in five minutes.',
  })
  async requestPasswordReset(
    @Args('input') input: RequestPasswordResetInput,
    @Context() context: OperationContext,
  ): Promise<RequestPasswordResetPayload> {
    await this.passwordReset.request(input.email, context.ip);
    return new RequestPasswordResetPayload();
  }

  @Public({ ignoresBadToken: true })
  @Mutates(() => ResetPasswordPayload, {
    ...HASHES,
    description: 'Sets a new password and ends every login session of the account.',
  })
  async resetPassword(@Args('input') input: ResetPasswordInput): Promise<ResetPasswordPayload> {
    await this.passwordReset.reset(input.resetToken, input.password);
    return new ResetPasswordPayload();
  }

  /** In the rest of the operation the new viewer acts, so that whatever hangs on `session.viewer` is theirs to see. */
  private signIn(context: OperationContext, signedIn: SignedIn, mode: 'body' | 'cookie'): AuthPayload {
    const { user, sessionId, refreshToken, ...accessToken } = signedIn;
    const actor = { userId: user.id, sessionId, role: user.role };
    actAs(context, actor);
    if (mode === 'cookie') this.setCookie(refreshToken, context);
    const session = {
      ...accessToken,
      refreshToken: mode === 'cookie' ? null : refreshToken,
      viewer: User.of(user, actor),
    };
    return Object.assign(new AuthPayload(), { session });
  }

  private setCookie(token: string | null, { reply }: OperationContext): void {
    if (!reply) throw new Error('A cookie can be set over plain HTTP only.');
    reply.header('set-cookie', refreshCookie(token, this.config.publicUrl, IDLE_DAYS * 86_400));
  }
}

function cookieOf(context: OperationContext): string | null {
  return readRefreshCookie(context.req?.headers.cookie);
}

function actAs(context: OperationContext, actor: Actor | null): void {
  Object.assign(context, { actor, badToken: false, loaders: new Loaders() });
}
