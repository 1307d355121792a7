import { randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { Database, type Sql } from '../../common/database/index.js';
import { Periodically } from '../../common/jobs/index.js';
import { Live } from '../../common/live/index.js';
import { type ByteRange, formatRange } from './byte-ranges.js';
import type { IncomingBytes } from './incoming-bytes.js';
import type { UploadSessionRow } from './uploads.service.js';

/** For an evicted writer to settle what it has; then it is fenced off, alive or not. */
const EVICT_MS = 2_000;
const LOOK_MS = 150;
const HEARD_MS = 140;
/** A database that began later may still be missing who lives. */
const BEGUN_SECONDS = 10;
/** Less than a pool keeps an idle connection: who writes is always connected. */
const TELL_MS = 3_000;
/** What was told so lately is not asked for again, and an answer takes no longer than that. */
const FRESH_MS = 200;
const ANSWER_MS = 150;
const SWEEP_MS = 60_000;
/** In this process: each may have an object in memory on its way to S3. */
const AT_ONCE = 256;
/** Nobody has the whole process. */
const AT_ONCE_OF_USER = 64;
const AT_ONCE_OF_SESSION = 16;

export interface Writing extends ByteRange {
  /** Bytes of its request that have arrived. */
  readonly received: number;
}

/**
 * Who appends where, in any process: a row each. To take the row away is to fence its writer off: `isIn` is asked under the
 * session's lock, which whoever takes rows away holds too.
 */
@Injectable()
export class UploadWriters implements OnModuleInit, BeforeApplicationShutdown {
  private readonly logger = new Logger(UploadWriters.name);
  private readonly here = new Map<string, { ownerId: string; bytes: IncomingBytes; done: Promise<unknown> }>();
  private telling: NodeJS.Timeout | undefined;

  constructor(
    private readonly db: Database,
    private readonly live: Live,
  ) {}

  onModuleInit(): void {
    this.telling = setInterval(() => void this.tell([...this.here.keys()]), TELL_MS).unref();
  }

  /** What has arrived is settled; clients go on at another process. */
  async beforeApplicationShutdown(): Promise<void> {
    const writers = [...this.here.values()];
    for (const { bytes } of writers) bytes.stop();
    await Promise.allSettled(writers.map(({ done }) => done));
    clearInterval(this.telling);
  }

  /**
   * Ends whoever writes within this range, in any process: what they have is settled first, if they still can. Writers at
   * other ranges go on.
   */
  async evict(sessionId: string, range: ByteRange): Promise<void> {
    const rivals = await this.db.query<{ id: string }>(
      'SELECT id FROM upload_writer WHERE session_id = $1 AND span && $2::int8range',
      [sessionId, formatRange(range)],
    );
    if (rivals.length === 0) return;
    const ids = rivals.map(({ id }) => id);
    for (const id of ids) {
      this.here.get(id)?.bytes.stop();
      this.live.tick(evictionTopic(id));
    }
    /** Since when a process was not found: one that lives has heard of the eviction by the next look, and connects. */
    const missed = new Map<string, number>();
    for (const until = performance.now() + EVICT_MS; performance.now() < until; ) {
      const gone = this.live.waitFor(settledTopic(sessionId), LOOK_MS);
      const left = await this.look(ids);
      const now = performance.now();
      const dead: string[] = [];
      for (const { id, missing } of left) {
        if (!missing) missed.delete(id);
        else if (now - (missed.get(id) ?? now) >= HEARD_MS) dead.push(id);
        else if (!missed.has(id)) missed.set(id, now);
      }
      if (dead.length > 0) {
        this.logger.log(`${dead.length} writers of upload ${sessionId} are gone with their process`);
        await this.fence(sessionId, dead);
      }
      if (left.length === dead.length) return;
      await gone;
    }
    await this.fence(sessionId, ids);
  }

  /**
   * Runs `write` while its row stands. Of several who come to one place at once one gets it: nobody can have the same bytes
   * stored many times.
   *
   * @returns what `write` does; FENCED: somebody else writes there; BUSY: too many write in this process
   */
  async during<T>(
    { id: sessionId, ownerId }: Pick<UploadSessionRow, 'id' | 'ownerId'>,
    span: ByteRange,
    bytes: IncomingBytes,
    write: (writerId: string) => Promise<T>,
  ): Promise<T | 'FENCED' | 'BUSY'> {
    const ofUser = [...this.here.values()].filter((writer) => writer.ownerId === ownerId).length;
    if (this.here.size >= AT_ONCE || ofUser >= AT_ONCE_OF_USER) return 'BUSY';
    const id = randomUUID();
    const unlisten = [
      this.live.listen(evictionTopic(id), () => {
        bytes.stop();
        // Who evicts sees by it that this process lives.
        void this.tell([id]);
      }),
      this.live.listen(askingTopic(sessionId), () => void this.tell([id], sessionId)),
    ];
    const done: Promise<T | 'FENCED'> = this.enter(id, sessionId, span).then<T | 'FENCED'>((entered) =>
      entered ? write(id) : 'FENCED',
    );
    this.here.set(id, { ownerId, bytes, done });
    try {
      return await done;
    } finally {
      for (const end of unlisten) end();
      this.here.delete(id);
      await this.db.query('DELETE FROM upload_writer WHERE id = $1', [id]);
      this.live.tick(settledTopic(sessionId));
    }
  }

  /** @param sql a transaction that holds the session's lock */
  async isIn(sql: Sql, writerId: string): Promise<boolean> {
    return (await sql.query('SELECT id FROM upload_writer WHERE id = $1', [writerId])).length === 1;
  }

  /**
   * Who writes now, in order. What has arrived in another process is asked of it, for 150 ms at most: then, what it told
   * last.
   */
  async of(sessionId: string): Promise<Writing[]> {
    const look = () =>
      this.db.query<Writing & { id: string; fresh: boolean }>(
        `SELECT id, lower(span) AS start, upper(span) AS "end", received,
                told_at > clock_timestamp() - $2 * interval '1 ms' AS fresh
         FROM upload_writer WHERE session_id = $1 ORDER BY lower(span) LIMIT $3`,
        [sessionId, FRESH_MS, AT_ONCE_OF_SESSION],
      );
    let rows = await look();
    const until = performance.now() + ANSWER_MS;
    for (let asked = false; performance.now() < until; asked = true) {
      if (rows.every(({ id, fresh }) => fresh || this.here.has(id))) break;
      const told = this.live.waitFor(toldTopic(sessionId), until - performance.now());
      if (!asked) this.live.tick(askingTopic(sessionId));
      await told;
      rows = await look();
    }
    return rows.map(({ id, start, end, received }) => ({
      start,
      received: this.here.get(id)?.bytes.received ?? received,
      end,
    }));
  }

  /** Gives up every writer: only for who holds the whole installation alone, and has just begun. */
  async releaseAll(): Promise<void> {
    await this.db.query('DELETE FROM upload_writer');
  }

  /** Who writes tells; what has long told nothing is left of a process that is gone, and would count as a writer. */
  @Periodically(SWEEP_MS)
  async sweep(): Promise<void> {
    await this.db.query(
      `DELETE FROM upload_writer WHERE process IS NOT NULL AND told_at < clock_timestamp() - $1 * interval '1 ms'`,
      [SWEEP_MS],
    );
  }

  private enter(id: string, sessionId: string, span: ByteRange): Promise<boolean> {
    return this.db.tx(async (tx) => {
      await tx.query('SELECT id FROM upload_session WHERE id = $1 FOR NO KEY UPDATE', [sessionId]);
      // Behind a pooler that gives connections a name of its own nobody can tell whether a process is gone.
      const rows = await tx.query(
        `INSERT INTO upload_writer (id, session_id, span, process)
         SELECT $1, $2::uuid, $3::int8range, CASE WHEN current_setting('application_name') = $5 THEN $5 END
         WHERE NOT EXISTS (SELECT FROM upload_writer WHERE session_id = $2::uuid AND span && $3::int8range)
           AND (SELECT count(*) FROM upload_writer WHERE session_id = $2::uuid) < $4 RETURNING id`,
        [id, sessionId, formatRange(span), AT_ONCE_OF_SESSION, this.db.processName],
      );
      return rows.length === 1;
    });
  }

  /** Which of these still stand, and whether their process has no connection: those of a dead one are closed at once. */
  private look(ids: readonly string[]): Promise<{ id: string; missing: boolean }[]> {
    return this.db.query(
      `SELECT id, process IS NOT NULL AND pg_postmaster_start_time() < now() - $2 * interval '1 s' AND NOT EXISTS (
                SELECT FROM pg_stat_activity WHERE application_name = process AND datname = current_database()) AS missing
       FROM upload_writer WHERE id = ANY($1::uuid[])`,
      [ids, BEGUN_SECONDS],
    );
  }

  /** In the order of the ledger's own statements: after this, nothing that these writers settle counts. */
  private async fence(sessionId: string, ids: readonly string[]): Promise<void> {
    await this.db.tx(async (tx) => {
      await tx.query('SELECT id FROM upload_session WHERE id = $1 FOR NO KEY UPDATE', [sessionId]);
      await tx.query('DELETE FROM upload_writer WHERE id = ANY($1::uuid[])', [ids]);
    });
  }

  private async tell(ids: readonly string[], sessionId?: string): Promise<void> {
    const writers = ids.flatMap((id) => {
      const writer = this.here.get(id);
      return writer ? [{ id, received: writer.bytes.received }] : [];
    });
    if (writers.length === 0) return;
    try {
      await this.db.query(
        `UPDATE upload_writer w SET received = n.received, told_at = clock_timestamp()
         FROM unnest($1::uuid[], $2::bigint[]) AS n(id, received) WHERE w.id = n.id`,
        [writers.map(({ id }) => id), writers.map(({ received }) => received)],
      );
      if (sessionId !== undefined) this.live.tick(toldTopic(sessionId));
    } catch (error) {
      this.logger.warn(`how far writers have come could not be told: ${(error as Error).message}`);
    }
  }
}

const evictionTopic = (writerId: string): string => `writer:${writerId}`;
const settledTopic = (sessionId: string): string => `writers:${sessionId}`;
const askingTopic = (sessionId: string): string => `writers-asked:${sessionId}`;
const toldTopic = (sessionId: string): string => `writers-told:${sessionId}`;
