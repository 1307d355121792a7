import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { CONFIG, type Config } from '../config/index.js';
import { Database, type Tx } from '../database/index.js';
import { Periodically } from '../jobs/index.js';
import { EventStream, type EventStreamOptions } from './event-stream.js';
import { Live } from './live.js';
import { APPENDED, LiveTail } from './live-tail.js';

const SWEEP_MS = 60_000;
const SWEPT_AT_ONCE = 1_000;

/**
 * Streams of what happened in a topic: rows that are written with the change itself, replayed to who was away and then told
 * live, in every process. docs/decisions/0023-event-streams.md has the reasons.
 */
@Injectable()
export class LiveEvents implements OnApplicationShutdown {
  private readonly tail: LiveTail;
  private ticking = false;

  constructor(
    private readonly db: Database,
    private readonly live: Live,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.tail = new LiveTail(db, live);
  }

  /**
   * Tells everybody who listens to `topic`, now or later, if the transaction commits. One row, however many listen.
   *
   * @param topic `comments:<videoId>`
   */
  async append(tx: Tx, topic: string, body: object): Promise<void> {
    await tx.query('INSERT INTO live_event (topic, body) VALUES ($1, $2)', [topic, JSON.stringify(body)]);
    tx.afterCommit(() => this.hasten());
  }

  /**
   * What happened in the topic since `after`, then what happens. See EventStream.
   *
   * @throws CursorExpired when it is not known any more what happened since; also later, as the stream's last
   */
  stream<Body extends object>(options: EventStreamOptions): Promise<EventStream<Body>> {
    return EventStream.open<Body>(this.tail, options);
  }

  /** Many rows that come at once are one tick: whoever is told looks for all. */
  private hasten(): void {
    if (this.ticking) return;
    this.ticking = true;
    setImmediate(() => {
      this.ticking = false;
      this.live.tick(APPENDED);
    });
  }

  /** In the order of the index, which is nearly that of time. */
  @Periodically(SWEEP_MS)
  async sweep(signal?: AbortSignal): Promise<void> {
    const old = `WITH oldest AS (SELECT id, at FROM live_event ORDER BY xid, id LIMIT $1),
        gone AS (DELETE FROM live_event WHERE id IN (SELECT id FROM oldest WHERE at < now() - $2 * interval '1 day') RETURNING xid),
        noted AS (UPDATE live_era SET swept = greatest(swept, (SELECT xid FROM gone ORDER BY xid DESC LIMIT 1)) WHERE EXISTS (SELECT FROM gone))
      SELECT count(*) FROM gone`;
    await this.sweepAll(old, [SWEPT_AT_ONCE, this.config.liveEventDays], signal);
    // Of another cluster, whose tables were copied into this one: nobody has a cursor that comes before them.
    const foreign = `WITH gone AS (DELETE FROM live_event WHERE id IN (SELECT id FROM live_event
        WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()) ORDER BY xid, id LIMIT $1) RETURNING id)
      SELECT count(*) FROM gone`;
    await this.sweepAll(foreign, [SWEPT_AT_ONCE], signal);
  }

  private async sweepAll(sql: string, parameters: readonly number[], signal?: AbortSignal): Promise<void> {
    for (let gone = 1; gone > 0 && !signal?.aborted; ) {
      const [swept] = await this.db.query<{ count: number }>(sql, [...parameters]);
      gone = swept?.count ?? 0;
    }
  }

  /** By then sockets have been closed with a word of when to come back: to streams that just end they would come back here. */
  onApplicationShutdown(): void {
    this.tail.end();
  }
}
