import { Module } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';
import { ActorResolver } from '../../common/access/index.js';
import { MailModule } from '../../common/mail/index.js';
import { UsersModule } from '../users/index.js';
import { AccessTokens } from './access-tokens.js';
import { AuthResolver } from './auth.resolver.js';
import { AuthService } from './auth.service.js';
import { JwtStrategy } from './jwt.strategy.js';
import { LoginThrottle } from './login-throttle.js';
import { PassportActorResolver } from './passport-actor-resolver.js';
import { PasswordReset } from './password-reset.service.js';
import { Passwords } from './passwords.js';
import { SessionSweep } from './session-sweep.js';
import { SessionsService } from './sessions.service.js';
import { SetupService } from './setup.service.js';

@Module({
  imports: [UsersModule, MailModule, JwtModule.register({})],
  providers: [
    AccessTokens,
    AuthResolver,
    AuthService,
    JwtStrategy,
    LoginThrottle,
    PasswordReset,
    Passwords,
    SessionSweep,
    SessionsService,
    SetupService,
    { provide: ActorResolver, useClass: PassportActorResolver },
  ],
  exports: [ActorResolver, SetupService],
})
export class AuthModule {}
