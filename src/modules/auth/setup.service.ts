import { createHash, createHmac } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database, type Sql } from '../../common/database/index.js';
import { SetupTokenInvalid } from './auth.errors.js';

/**
 * The first administrator is whoever can read what the server prints, never whoever comes first. The token follows
 * from the server's secret, so every start, of any replica, prints the same link until it is used; the database keeps
 * its hash, and drops that when it is used.
 */
@Injectable()
export class SetupService {
  constructor(
    private readonly database: Database,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** The link that makes the administrator, to be printed at each start; null once there is one. */
  async linkOnFirstStart(): Promise<string | null> {
    const token = createHmac('sha256', this.config.tokenSecret).update('setup token').digest('base64url');
    const waiting = await this.database.query(
      'UPDATE installation SET setup_token_hash = $1 WHERE setup_completed_at IS NULL RETURNING only_row',
      [hashOf(token)],
    );
    // Behind the hash sign it reaches no server's log.
    return waiting.length > 0 ? `${this.config.publicUrl}/setup#token=${token}` : null;
  }

  /** @throws SetupTokenInvalid: before the work of hashing a password is spent on a guess */
  async check(token: string): Promise<void> {
    const [row] = await this.database.query(
      'SELECT only_row FROM installation WHERE setup_token_hash = $1 AND setup_completed_at IS NULL',
      [hashOf(token)],
    );
    if (!row) throw new SetupTokenInvalid();
  }

  /** Uses the token up. Of two at once one waits for the other's transaction, and fails if that one succeeds. */
  async complete(sql: Sql, token: string): Promise<void> {
    const [row] = await sql.query(
      `UPDATE installation SET setup_completed_at = now(), setup_token_hash = NULL
       WHERE setup_token_hash = $1 AND setup_completed_at IS NULL RETURNING only_row`,
      [hashOf(token)],
    );
    if (!row) throw new SetupTokenInvalid();
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
