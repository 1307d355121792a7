import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { In, Repository } from 'typeorm';
import type { Actor, UserRole } from '../../common/access/index.js';
import { Database, type Sql, type Tx } from '../../common/database/index.js';
import { AppUser } from './app-user.entity.js';
import { emailKey } from './email.js';
import type { Person } from './person.js';
import { EmailTaken } from './users.errors.js';
import { canSeeAccount } from './users.policy.js';

/** Whoever reserves bytes of an installation that is bounded has this advisory lock until the transaction ends. */
const HOLDINGS_LOCK = 2_026_112_108;

@Injectable()
export class UsersService {
  constructor(
    private readonly database: Database,
    @InjectRepository(AppUser) private readonly users: Repository<AppUser>,
  ) {}

  async byId(id: string): Promise<AppUser | null> {
    return this.users.findOneBy({ id });
  }

  async byIds(ids: readonly string[]): Promise<Map<string, AppUser>> {
    const users = await this.users.findBy({ id: In([...ids]) });
    return new Map(users.map((user) => [user.id, user]));
  }

  /** Null when missing, or not for this actor's eyes. */
  async visible(id: string, actor: Actor | null): Promise<AppUser | null> {
    return canSeeAccount(actor, id) ? this.byId(id) : null;
  }

  /** What a password is compared with; null for an address that nobody has. */
  async credentialsOf(email: string): Promise<{ userId: string; passwordHash: string } | null> {
    const [row] = await this.database.query<{ userId: string; passwordHash: string }>(
      'SELECT id AS "userId", password_hash AS "passwordHash" FROM app_user WHERE email_key = $1',
      [emailKey(email)],
    );
    return row ?? null;
  }

  /** Whether this is still the user's password; it cannot change before the transaction ends. */
  async stillHas(tx: Tx, userId: string, passwordHash: string): Promise<boolean> {
    const rows = await tx.query('SELECT id FROM app_user WHERE id = $1 AND password_hash = $2 FOR SHARE', [
      userId,
      passwordHash,
    ]);
    return rows.length === 1;
  }

  async setPassword(sql: Sql, userId: string, passwordHash: string): Promise<void> {
    await sql.query('UPDATE app_user SET password_hash = $2 WHERE id = $1', [userId, passwordHash]);
  }

  /**
   * @returns the new user's id
   * @throws EmailTaken
   */
  async create(sql: Sql, person: Person, passwordHash: string, role: UserRole = 'MEMBER'): Promise<string> {
    const [row] = await sql.query<{ id: string }>(
      `INSERT INTO app_user (email, email_key, display_name, password_hash, role) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (email_key) DO NOTHING RETURNING id`,
      [person.email, emailKey(person.email), person.displayName, passwordHash, role],
    );
    if (!row) throw new EmailTaken();
    return row.id;
  }

  /**
   * Counts `bytes` against the user's quota, all or nothing.
   * @param quota in bytes
   * @returns false, with nothing changed, when they do not fit any more
   */
  async reserveBytes(sql: Sql, userId: string, bytes: number, quota: number): Promise<boolean> {
    const rows = await sql.query(
      `UPDATE app_user SET used_bytes = used_bytes + $2::bigint
       WHERE id = $1 AND used_bytes + $2::bigint <= $3::bigint RETURNING id`,
      [userId, bytes, quota],
    );
    return rows.length === 1;
  }

  /**
   * What all users hold together, this transaction's own reservation included. Nobody else who asks reserves anything
   * before it ends, so that a bound is kept exactly; who gives back waits for nobody. To be asked last.
   */
  async lockHeldBytes(tx: Tx): Promise<number> {
    // A statement of its own: the sum has to see what the one before committed.
    await tx.query('SELECT pg_advisory_xact_lock($1)', [HOLDINGS_LOCK]);
    const [row] = await tx.query<{ bytes: number }>(
      'SELECT coalesce(sum(used_bytes), 0)::float8 AS bytes FROM app_user WHERE used_bytes > 0',
    );
    return row?.bytes ?? 0;
  }

  async usedBytes(sql: Sql, userId: string): Promise<number> {
    const [row] = await sql.query<{ bytes: number }>('SELECT used_bytes AS bytes FROM app_user WHERE id = $1', [
      userId,
    ]);
    return row?.bytes ?? 0;
  }

  /** Gives back what `reserveBytes` took. Giving back more than was taken violates a check and throws: that is a bug of the caller. */
  async releaseBytes(sql: Sql, userId: string, bytes: number): Promise<void> {
    await sql.query('UPDATE app_user SET used_bytes = used_bytes - $2::bigint WHERE id = $1', [userId, bytes]);
  }
}
