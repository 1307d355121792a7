import { createHash, randomBytes } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database } from '../../common/database/index.js';
import { defineJob, HandlesJob, Jobs } from '../../common/jobs/index.js';
import { Mailer } from '../../common/mail/index.js';
import { cleanEmail, emailKey, UsersService } from '../users/index.js';
import { MailOff, ResetTokenInvalid } from './auth.errors.js';
import { LoginThrottle } from './login-throttle.js';
import { cleanPassword } from './password.js';
import { Passwords } from './passwords.js';
import { SessionsService } from './sessions.service.js';

const GOOD_MINUTES = 60;
const ONE_MAIL_MS = 5 * 60_000;

const SendPasswordReset = defineJob<{ account: string }>({ name: 'SendPasswordReset', queue: 'default' });

/** A forgotten password: a link by mail, good once and for an hour. Nothing tells a stranger who has an account. */
@Injectable()
export class PasswordReset {
  constructor(
    private readonly database: Database,
    private readonly jobs: Jobs,
    private readonly users: UsersService,
    private readonly sessions: SessionsService,
    private readonly passwords: Passwords,
    private readonly throttle: LoginThrottle,
    private readonly mailer: Mailer,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Does the same for a known and an unknown address: the job looks.
   * @throws MailOff, InvalidInput, TooManyLogins, LoginUnavailable
   */
  async request(email: string, ip: string): Promise<void> {
    if (!this.mailer.configured) throw new MailOff();
    const account = emailKey(cleanEmail(email));
    await this.throttle.admit(`reset ${account}`, ip);
    const dedupeKey = `password-reset:${hashOf(account).toString('hex')}:${Math.floor(Date.now() / ONE_MAIL_MS)}`;
    await this.database.tx((tx) => this.jobs.enqueue(tx, SendPasswordReset, { account }, { dedupeKey }));
  }

  /** Repeated after a failure it mails another link, and that is the one that works. */
  @HandlesJob(SendPasswordReset)
  async send({ account }: { account: string }): Promise<void> {
    const known = await this.users.credentialsOf(account);
    const user = known && (await this.users.byId(known.userId));
    if (!user) return;
    const token = randomBytes(32).toString('base64url');
    await this.database.query(
      `INSERT INTO password_reset (user_id, token_hash, expires_at) VALUES ($1, $2, now() + $3 * interval '1 min')
       ON CONFLICT (user_id) DO UPDATE SET token_hash = EXCLUDED.token_hash, expires_at = EXCLUDED.expires_at`,
      [user.id, hashOf(token), GOOD_MINUTES],
    );
    await this.mailer.send({
      to: user.email,
      subject: 'Reset your password',
      text: [
        // Without the name: it may be anybody's words, at an address that is not theirs.
        'Hello,',
        '',
        `somebody asked for a new password at ${this.config.publicUrl}. To set one, open this link within an hour:`,
        '',
        // Behind the hash sign it reaches no server's log.
        `${this.config.publicUrl}/reset#token=${token}`,
        '',
        'It works once, and ends all your sessions. If it was not you, there is nothing to do.',
        '',
      ].join('\n'),
    });
  }

  /** @throws InvalidInput, ResetTokenInvalid, Busy */
  async reset(token: string, password: string): Promise<void> {
    const clean = cleanPassword(password);
    const hash = hashOf(token);
    // Before the work of hashing is spent on a guess.
    const [waiting] = await this.database.query(
      'SELECT user_id FROM password_reset WHERE token_hash = $1 AND expires_at > now()',
      [hash],
    );
    if (!waiting) throw new ResetTokenInvalid();
    const passwordHash = await this.passwords.hash(clean);
    await this.database.tx(async (tx) => {
      const [used] = await tx.query<{ userId: string }>(
        'DELETE FROM password_reset WHERE token_hash = $1 AND expires_at > now() RETURNING user_id AS "userId"',
        [hash],
      );
      if (!used) throw new ResetTokenInvalid();
      await this.users.setPassword(tx, used.userId, passwordHash);
      await this.sessions.revokeAll(tx, used.userId, 'PASSWORD_RESET');
    });
  }
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
