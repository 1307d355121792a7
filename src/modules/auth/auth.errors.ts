import { InvalidInput, Refusal } from '../../common/errors/index.js';

/** `INVALID_CREDENTIALS`: no account with this address has this password. Which of the two is wrong is not told. */
export class InvalidCredentials extends InvalidInput {
  constructor() {
    super('The address or the password is wrong.', undefined, 'INVALID_CREDENTIALS');
  }
}

/** `REGISTRATION_CLOSED`: the configuration lets nobody register (REGISTRATION=closed). */
export class RegistrationClosed extends InvalidInput {
  constructor() {
    super('This server takes no registrations. Ask whoever runs it.', undefined, 'REGISTRATION_CLOSED');
  }
}

/** `REFRESH_TOKEN_INVALID`: unknown, used before, or of a session that ended: sign in again. Which, is not told. */
export class RefreshTokenInvalid extends InvalidInput {
  constructor() {
    super('The session has ended. Sign in again.', ['refreshToken'], 'REFRESH_TOKEN_INVALID');
  }
}

/** `SETUP_TOKEN_INVALID`: not the token of the link that the server printed, or there is an administrator already. */
export class SetupTokenInvalid extends InvalidInput {
  constructor() {
    super(
      'This set-up link is no good, or was used. Take the one that the server printed when it started last.',
      ['setupToken'],
      'SETUP_TOKEN_INVALID',
    );
  }
}

/** `MAIL_OFF`: this installation sends no mail (SMTP_URL). */
export class MailOff extends InvalidInput {
  constructor() {
    super('This server sends no mail. Ask whoever runs it.', undefined, 'MAIL_OFF');
  }
}

/** `RESET_TOKEN_INVALID`: not the token of the last mail, older than an hour, or used. */
export class ResetTokenInvalid extends InvalidInput {
  constructor() {
    super('This link is no good any more. Ask for a new one.', ['resetToken'], 'RESET_TOKEN_INVALID');
  }
}

/** `RATE_LIMITED`: too many attempts to sign in for this account or from this address. */
export class TooManyLogins extends Refusal {
  /** @param retryAfterMs until the next attempt is looked at; those in between are not, and do not prolong the wait */
  constructor(retryAfterMs: number) {
    super('RATE_LIMITED', 'Too many attempts to sign in. Wait, then try again.', { retryAfterMs });
  }
}

/** `RATE_LIMITED`: as many passwords are being hashed or wait for it as this process can bear. */
export class Busy extends Refusal {
  constructor() {
    super('RATE_LIMITED', 'The server is busy. Try again.', { retryAfterMs: 3_000 });
  }
}

/** `RATE_LIMITED`: attempts cannot be counted at the moment, so none is looked at. */
export class LoginUnavailable extends Refusal {
  constructor() {
    super('RATE_LIMITED', 'Signing in is not possible at the moment. Try again.', { retryAfterMs: 5_000 });
  }
}
