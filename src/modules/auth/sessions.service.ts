import { Inject, Injectable, Logger } from '@nestjs/common';
import type { Actor, UserRole } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database, type Sql, type Tx } from '../../common/database/index.js';
import { Live } from '../../common/live/index.js';
import { Recent } from '../../common/recent/index.js';
import type { AccessTokenClaims } from './access-tokens.js';
import { RefreshTokenInvalid } from './auth.errors.js';
import { newRefreshToken, refreshTokenHash, successorOf } from './refresh-tokens.js';

/** A session ends this long after it was last refreshed … */
export const IDLE_DAYS = 30;
/** … and this long after it began. */
const MAX_DAYS = 180;
/** For this long a token that was used may be presented again, by a client whose answer was lost (docs/decisions/0016). */
const LOST_REPLY_SECONDS = 60;
/** Rows kept after their end, for whoever looks into what happened; reuse of an older token is refused all the same. */
const KEEP_DAYS = 7;
const SWEEP_BATCH = 1_000;
/** How old may be what a request is told of its session. A page asks many times a second, and every time would be a statement. */
const ACTOR_LIFE_MS = 1_000;

export type RevokeReason = 'LOGOUT' | 'REFRESH_TOKEN_REUSED' | 'PASSWORD_RESET';

/** A login session with the token that continues it. */
export interface ContinuedSession {
  sessionId: string;
  userId: string;
  refreshToken: string;
  /** By the database's clock, in seconds since 1970. */
  issuedAt: number;
}

type Continued = Omit<ContinuedSession, 'refreshToken'>;
const CONTINUED = `s.id AS "sessionId", s.user_id AS "userId", floor(extract(epoch FROM now()))::float8 AS "issuedAt"`;

/** Login sessions: begun by a password, continued by refresh tokens of which each is used once, ended for good. */
@Injectable()
export class SessionsService {
  private readonly logger = new Logger(SessionsService.name);
  private readonly actors = new Recent(ACTOR_LIFE_MS, (sessionId) => this.readActor(sessionId));

  constructor(
    private readonly database: Database,
    private readonly live: Live,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  async open(sql: Sql, userId: string): Promise<ContinuedSession> {
    const refreshToken = newRefreshToken();
    const [session] = await sql.query<Continued>(
      `WITH s AS (INSERT INTO login_session (user_id, expires_at)
                  VALUES ($1, now() + $3 * interval '1 day') RETURNING id, user_id),
            token AS (INSERT INTO refresh_token (hash, session_id) SELECT $2, s.id FROM s)
       SELECT ${CONTINUED} FROM s`,
      [userId, this.hash(refreshToken), IDLE_DAYS],
    );
    return { ...(session as Continued), refreshToken };
  }

  /**
   * Uses up the presented token. Of any number of presentations at once one rotates; the others, and a repeat within
   * 60 s, get the same successor, unless that has been used: then the first answer did arrive, and somebody else has
   * the token. A token that is presented again ends its session, for thief and owner alike (RFC 9700, 4.14.2).
   * @throws RefreshTokenInvalid
   */
  async refresh(presented: string): Promise<ContinuedSession> {
    const refreshToken = successorOf(presented, this.config.tokenSecret);
    const hashes = [this.hash(presented), this.hash(refreshToken)];
    const continued = await this.database.tx(async (tx) => {
      return (await this.rotate(tx, hashes)) ?? (await this.repeatOrRevoke(tx, hashes));
    });
    if (!continued) throw new RefreshTokenInvalid();
    return { ...continued, refreshToken };
  }

  private async rotate(tx: Tx, [presented, successor]: Buffer[]): Promise<Continued | undefined> {
    const [session] = await tx.query<Continued>(
      `WITH used AS (
         UPDATE refresh_token t SET used_at = now() FROM login_session s
         WHERE t.hash = $1 AND t.used_at IS NULL
           AND s.id = t.session_id AND s.revoked_at IS NULL AND s.expires_at > now()
         RETURNING t.session_id
       ), successor AS (INSERT INTO refresh_token (hash, session_id) SELECT $2, session_id FROM used)
       UPDATE login_session s
       SET expires_at = least(now() + $3 * interval '1 day', s.created_at + $4 * interval '1 day')
       FROM used WHERE s.id = used.session_id AND s.revoked_at IS NULL
       RETURNING ${CONTINUED}`,
      [presented, successor, IDLE_DAYS, MAX_DAYS],
    );
    return session;
  }

  private async repeatOrRevoke(tx: Tx, [presented, successor]: Buffer[]): Promise<Continued | null> {
    const [seen] = await tx.query<Continued & { lostReply: boolean }>(
      `SELECT ${CONTINUED},
              next.hash IS NOT NULL AND next.used_at IS NULL
                AND t.used_at > now() - $3 * interval '1 s' AS "lostReply"
       FROM refresh_token t JOIN login_session s ON s.id = t.session_id
            LEFT JOIN refresh_token next ON next.hash = $2
       WHERE t.hash = $1 AND s.revoked_at IS NULL AND s.expires_at > now()`,
      [presented, successor, LOST_REPLY_SECONDS],
    );
    if (!seen) return null;
    const { lostReply, ...session } = seen;
    if (lostReply) return session;
    await this.revoke(tx, seen.sessionId, 'REFRESH_TOKEN_REUSED');
    this.logger.warn(
      { sessionId: seen.sessionId, userId: seen.userId },
      'A refresh token was used twice: session ended.',
    );
    return null;
  }

  /** Ends a session; ending one that has ended changes nothing. */
  async revoke(tx: Tx, sessionId: string, reason: RevokeReason): Promise<void> {
    const ended = await tx.query(
      `UPDATE login_session SET revoked_at = now(), revoke_reason = $2
       WHERE id = $1 AND revoked_at IS NULL RETURNING id`,
      [sessionId, reason],
    );
    if (ended.length > 0) tx.afterCommit(() => this.ended(sessionId));
  }

  /** Signs a user out everywhere. */
  async revokeAll(tx: Tx, userId: string, reason: RevokeReason): Promise<void> {
    const ended = await tx.query<{ id: string }>(
      `UPDATE login_session SET revoked_at = now(), revoke_reason = $2
       WHERE user_id = $1 AND revoked_at IS NULL RETURNING id`,
      [userId, reason],
    );
    tx.afterCommit(() => {
      for (const { id } of ended) this.ended(id);
    });
  }

  private ended(sessionId: string): void {
    this.actors.drop(sessionId);
    this.live.tick(`session:${sessionId}`);
  }

  /** The session that a refresh token belongs to, used or not. */
  async sessionOf(refreshToken: string): Promise<string | null> {
    const [row] = await this.database.query<{ sessionId: string }>(
      'SELECT session_id AS "sessionId" FROM refresh_token WHERE hash = $1',
      [this.hash(refreshToken)],
    );
    return row?.sessionId ?? null;
  }

  /**
   * Null once the session or the token has ended: the session at once on the process that ended it, within a second on
   * others; the token by the database's clock, which gave it its time, whatever this machine's says.
   */
  async actorOf({ sid, sub, exp }: AccessTokenClaims): Promise<Actor | null> {
    const read = await this.actors.get(sid);
    if (!read || read.actor.userId !== sub) return null;
    return exp > read.now + (performance.now() - read.at) / 1000 ? read.actor : null;
  }

  private async readActor(sessionId: string): Promise<{ actor: Actor; now: number; at: number } | null> {
    const [row] = await this.database.query<{ userId: string; role: UserRole; now: number }>(
      `SELECT u.id AS "userId", u.role, extract(epoch FROM now())::float8 AS now
       FROM login_session s JOIN app_user u ON u.id = s.user_id
       WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > now()`,
      [sessionId],
    );
    if (!row) return null;
    const { now, ...actor } = row;
    return { actor: { ...actor, sessionId }, now, at: performance.now() };
  }

  async liveAmong(sessionIds: readonly string[]): Promise<string[]> {
    const rows = await this.database.query<{ id: string }>(
      'SELECT id FROM login_session WHERE id = ANY($1::uuid[]) AND revoked_at IS NULL AND expires_at > now()',
      [sessionIds],
    );
    return rows.map((row) => row.id);
  }

  /**
   * Forgets what ended long ago, at most 1,000 rows of each kind; any number of processes may do so at once.
   * @returns whether there may be more
   */
  async sweep(): Promise<boolean> {
    const sessions = await this.database.query(
      `DELETE FROM login_session WHERE id IN (
         SELECT id FROM login_session WHERE least(expires_at, revoked_at) < now() - $1 * interval '1 day'
         LIMIT $2 FOR UPDATE SKIP LOCKED)
       RETURNING id`,
      [KEEP_DAYS, SWEEP_BATCH],
    );
    const tokens = await this.database.query(
      `DELETE FROM refresh_token WHERE hash IN (
         SELECT hash FROM refresh_token WHERE used_at < now() - $1 * interval '1 day' LIMIT $2 FOR UPDATE SKIP LOCKED)
       RETURNING session_id`,
      [KEEP_DAYS, SWEEP_BATCH],
    );
    return sessions.length === SWEEP_BATCH || tokens.length === SWEEP_BATCH;
  }

  private hash(token: string): Buffer {
    return refreshTokenHash(token, this.config.tokenSecret);
  }
}
