import { randomUUID } from 'node:crypto';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { Database, type Sql, type Tx } from '../../common/database/index.js';
import { Periodically } from '../../common/jobs/index.js';
import { Live } from '../../common/live/index.js';
import { type ByteRange, formatRange } from './byte-ranges.js';
import type { IncomingBytes } from './incoming-bytes.js';
import { Turns } from './turns.js';
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
/** Where all places are taken, who brings less than this in a minute makes room: 256 KiB. */
const SLOW_BYTES_A_MS = (256 * 1024) / 60_000;
/** Nobody is judged before, and only by the last minute or two. */
const JUDGED_AFTER_MS = 10_000;
const JUDGED_BY_MS = 60_000;
/** For what has arrived at a shutdown: a store that does not answer holds nothing up. */
const SHUTDOWN_MS = 10_000;
/** Of all writers of a session that are asked about at once. */
const ASKED_MS = 20;
/** Who has told nothing for so long answers no question. */
const SILENT_MS = 10_000;
/** A row of a process without a name: nobody can see whether it is gone. */
const FORGOTTEN_MS = 3_600_000;

interface Writer {
  readonly sessionId: string;
  readonly ownerId: string;
  readonly bytes: IncomingBytes;
  readonly done: Promise<unknown>;
  /** By `performance.now()`, and what had arrived by then. */
  since: number;
  before: number;
  madeRoom: boolean;
}

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
  private readonly here = new Map<string, Writer>();
  /** A session has one connection of this process' pool at most, however many write to it. */
  private readonly turns = new Turns();
  /** Sessions whose writers are about to tell. */
  private readonly asked = new Set<string>();
  private telling: NodeJS.Timeout | undefined;
  private stopping = false;
  /** Replaced by tests. */
  atOnce = AT_ONCE;
  judgedAfterMs = JUDGED_AFTER_MS;

  constructor(
    private readonly db: Database,
    private readonly live: Live,
  ) {}

  onModuleInit(): void {
    this.telling = setInterval(() => {
      this.forgetEarlier();
      void this.tell([...this.here.keys()]);
    }, TELL_MS).unref();
  }

  /** That write through this process. */
  get count(): number {
    return this.here.size;
  }

  /** What has arrived is settled; clients go on at another process. */
  async beforeApplicationShutdown(): Promise<void> {
    this.stopping = true;
    const writers = [...this.here.values()];
    for (const { bytes } of writers) bytes.stop();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, SHUTDOWN_MS);
    });
    await Promise.race([Promise.allSettled(writers.map(({ done }) => done)), late]);
    clearTimeout(timer);
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
   * @returns what `write` does; FENCED: somebody else writes there; SESSION_ENDED; BUSY: too many write in this process, or
   * it ends
   */
  async during<T>(
    { id: sessionId, ownerId }: Pick<UploadSessionRow, 'id' | 'ownerId'>,
    span: ByteRange,
    bytes: IncomingBytes,
    write: (writerId: string) => Promise<T>,
  ): Promise<T | 'FENCED' | 'SESSION_ENDED' | 'BUSY'> {
    const ofUser = [...this.here.values()].filter((writer) => writer.ownerId === ownerId).length;
    if (this.stopping || ofUser >= AT_ONCE_OF_USER || (this.here.size >= this.atOnce && !this.makeRoom()))
      return 'BUSY';
    const id = randomUUID();
    const unlisten = [
      this.live.listen(evictionTopic(id), (perhaps) => {
        // Each reconnect of Redis would end every upload. A hint that was lost costs who evicts its wait, no more.
        if (perhaps) return;
        bytes.stop();
        // Who evicts sees by it that this process lives.
        void this.tell([id]);
      }),
      this.live.listen(askingTopic(sessionId), (perhaps) => perhaps || this.tellSoon(sessionId)),
    ];
    const done = this.enter(id, sessionId, span).then<T | 'FENCED' | 'SESSION_ENDED'>(
      (refused) => refused ?? write(id),
    );
    const since = performance.now();
    this.here.set(id, { sessionId, ownerId, bytes, done, since, before: 0, madeRoom: false });
    try {
      return await done;
    } finally {
      for (const end of unlisten) end();
      this.here.delete(id);
      try {
        await this.db.query('DELETE FROM upload_writer WHERE id = $1', [id]);
      } catch (error) {
        // What was written counts all the same.
        this.logger.warn(`a writer's row is left to be swept: ${(error as Error).message}`);
      }
      this.live.tick(settledTopic(sessionId));
    }
  }

  /** A transaction on a session, after those that this process has begun on it. */
  inTurn<T>(sessionId: string, work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.turns.take(sessionId, () => this.db.tx(work));
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
      this.db.query<Writing & { id: string; known: boolean }>(
        `SELECT id, lower(span) AS start, upper(span) AS "end", received,
                clock_timestamp() - told_at NOT BETWEEN $2 * interval '1 ms' AND $4 * interval '1 ms' AS known
         FROM upload_writer WHERE session_id = $1 ORDER BY lower(span) LIMIT $3`,
        [sessionId, FRESH_MS, AT_ONCE_OF_SESSION, SILENT_MS],
      );
    let rows = await look();
    const until = performance.now() + ANSWER_MS;
    for (let asked = false; performance.now() < until; asked = true) {
      if (rows.every(({ id, known }) => known || this.here.has(id))) break;
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
    // Whether it is old is asked again of the row as it is then: it may just have told.
    const old = `w.told_at < clock_timestamp() - CASE WHEN w.process IS NULL THEN $2::int ELSE $1::int END * interval '1 ms'`;
    await this.db.query(
      `WITH silent AS (SELECT w.id FROM upload_writer w JOIN upload_session s ON s.id = w.session_id
                       WHERE ${old} FOR NO KEY UPDATE OF s SKIP LOCKED)
       DELETE FROM upload_writer w USING silent WHERE w.id = silent.id AND ${old}`,
      [SWEEP_MS, FORGOTTEN_MS],
    );
  }

  /** Ends the slowest of those that bring next to nothing: what they have is kept. @returns false when there is none */
  private makeRoom(): boolean {
    const now = performance.now();
    let slowest: Writer | undefined;
    let rate = SLOW_BYTES_A_MS;
    for (const writer of this.here.values()) {
      if (writer.madeRoom || now - writer.since < this.judgedAfterMs) continue;
      const its = (writer.bytes.received - writer.before) / (now - writer.since);
      if (its >= rate) continue;
      rate = its;
      slowest = writer;
    }
    if (!slowest) return false;
    slowest.madeRoom = true;
    slowest.bytes.stop();
    return true;
  }

  /** Who was fast once is not fast for ever. */
  private forgetEarlier(): void {
    const now = performance.now();
    for (const writer of this.here.values()) {
      if (now - writer.since < JUDGED_BY_MS) continue;
      writer.since = now;
      writer.before = writer.bytes.received;
    }
  }

  /** @returns why not, where it may not */
  private enter(id: string, sessionId: string, span: ByteRange): Promise<'FENCED' | 'SESSION_ENDED' | undefined> {
    return this.inTurn(sessionId, async (tx) => {
      const [session] = await tx.query<{ state: string }>(
        'SELECT state FROM upload_session WHERE id = $1 FOR NO KEY UPDATE',
        [sessionId],
      );
      if (session?.state !== 'OPEN') return 'SESSION_ENDED';
      // Behind a pooler that gives connections a name of its own nobody can tell whether a process is gone.
      const rows = await tx.query(
        `INSERT INTO upload_writer (id, session_id, span, process)
         SELECT $1, $2::uuid, $3::int8range, CASE WHEN current_setting('application_name') = $5 THEN $5 END
         WHERE NOT EXISTS (SELECT FROM upload_writer WHERE session_id = $2::uuid AND span && $3::int8range)
           AND (SELECT count(*) FROM upload_writer WHERE session_id = $2::uuid) < $4 RETURNING id`,
        [id, sessionId, formatRange(span), AT_ONCE_OF_SESSION, this.db.processName],
      );
      return rows.length === 1 ? undefined : 'FENCED';
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
    await this.inTurn(sessionId, async (tx) => {
      await tx.query('SELECT id FROM upload_session WHERE id = $1 FOR NO KEY UPDATE', [sessionId]);
      await tx.query('DELETE FROM upload_writer WHERE id = ANY($1::uuid[])', [ids]);
    });
  }

  /** All that write to a session at once, however many ask. */
  private tellSoon(sessionId: string): void {
    if (this.asked.has(sessionId)) return;
    this.asked.add(sessionId);
    setTimeout(() => {
      this.asked.delete(sessionId);
      const ids = [...this.here].flatMap(([id, writer]) => (writer.sessionId === sessionId ? [id] : []));
      void this.tell(ids, sessionId);
    }, ASKED_MS);
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
