import { Field, InputType, ObjectType } from '@nestjs/graphql';
import type { DomainError } from '../../common/errors/index.js';
import { GraphQLDateTime, UserError } from '../../common/graphql/index.js';
import { User } from '../users/index.js';

const EMAIL = 'The address to sign in with. Case makes no difference.';
const PASSWORD = '10 to 200 characters of any kind.';
const NAME = 'The name shown to others, 1 to 100 characters.';

@InputType({ description: 'What makes the administrator.' })
export class CompleteSetupInput {
  @Field(() => String, { description: 'From the link that the server printed when it started.' })
  setupToken: string;

  @Field(() => String, { description: EMAIL })
  email: string;

  @Field(() => String, { description: PASSWORD })
  password: string;

  @Field(() => String, { description: NAME })
  displayName: string;
}

@InputType({ description: 'A new account.' })
export class RegisterInput {
  @Field(() => String, { description: EMAIL })
  email: string;

  @Field(() => String, { description: PASSWORD })
  password: string;

  @Field(() => String, { description: NAME })
  displayName: string;
}

@InputType({ description: 'Who signs in.' })
export class LoginInput {
  @Field(() => String, { description: EMAIL })
  email: string;

  @Field(() => String, { description: 'The password.' })
  password: string;

  @Field(() => Boolean, {
    nullable: true,
    defaultValue: false,
    description: 'For browsers: the refresh token comes as an HttpOnly cookie instead of in the answer.',
  })
  cookie?: boolean | null;
}

@InputType({ description: 'The refresh token to be replaced.' })
export class RefreshSessionInput {
  @Field(() => String, { nullable: true, description: 'The refresh token. Left out, the cookie counts.' })
  refreshToken?: string | null;
}

@ObjectType({ description: 'A login session: lives until logout, 30 days after its last refresh, or 180 days in all.' })
export class AuthSession {
  @Field(() => String, {
    description: 'Send it as `Authorization: Bearer …`, or in connection_init. Good for 10 minutes.',
  })
  accessToken: string;

  @Field(() => GraphQLDateTime, { description: 'When the access token ends: refresh before.' })
  accessTokenExpiresAt: Date;

  @Field(() => String, {
    nullable: true,
    description:
      'Continues the session, once: each refresh answers a new one, and presenting an old one again ends the session, but for a repeat within 60 s while the new one is unused. Null when it went into the cookie.',
  })
  refreshToken: string | null;

  @Field(() => User, { description: 'Who is signed in.' })
  viewer: User;
}

@ObjectType({ description: 'What the mutations that sign in answer.' })
export class AuthPayload {
  @Field(() => AuthSession, { nullable: true, description: 'Null when there are user errors.' })
  session: AuthSession | null = null;

  @Field(() => [UserError], {
    description:
      'Codes: INVALID_INPUT, EMAIL_TAKEN, REGISTRATION_CLOSED, INVALID_CREDENTIALS, REFRESH_TOKEN_INVALID, SETUP_TOKEN_INVALID.',
  })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'Whose password is forgotten.' })
export class RequestPasswordResetInput {
  @Field(() => String, { description: 'The address of the account.' })
  email: string;
}

@InputType({ description: 'A new password, by the link of a mail.' })
export class ResetPasswordInput {
  @Field(() => String, { description: 'From the link in the mail. Good once, for an hour.' })
  resetToken: string;

  @Field(() => String, { description: PASSWORD })
  password: string;
}

@ObjectType({ description: 'What requestPasswordReset answers: the same whether there is such an account or not.' })
export class RequestPasswordResetPayload {
  @Field(() => [UserError], { description: 'Codes: INVALID_INPUT, MAIL_OFF.' })
  userErrors: DomainError[] = [];
}

@ObjectType({ description: 'What resetPassword answers. It signs nobody in.' })
export class ResetPasswordPayload {
  @Field(() => [UserError], { description: 'Codes: INVALID_INPUT, RESET_TOKEN_INVALID.' })
  userErrors: DomainError[] = [];
}

@ObjectType({ description: 'What logout answers.' })
export class LogoutPayload {
  @Field(() => [UserError], { description: 'Always empty so far.' })
  userErrors: DomainError[] = [];
}
