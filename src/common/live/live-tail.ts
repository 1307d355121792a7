import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import type { Database } from '../database/index.js';
import { counter } from '../metrics/index.js';
import { CursorExpired } from './live.errors.js';
import type { Live } from './live.js';
import { KEPT_EVENTS, type KeptEvent, type LiveEvent, LiveTopic } from './live-topic.js';
import { advance, formatSnapshot, parseSnapshot, type Snapshot } from './snapshot.js';

/** Ticks whenever anything was appended, in any topic. */
export const APPENDED = 'live-events';
/** A tick may be lost, and shortens this. */
const POLL_MS = 500;
/** Many ticks are one look. */
const REST_MS = 10;
/** A look that takes long, as with a transaction that has been open for hours, is followed by a rest of as many times that. */
const RESTS = 4;
/** How long events stay in memory, and topics without readers: those who were cut off come back to them. */
const LINGER_MS = 60_000;
const TIDY_MS = 1_000;
/** In a topic with nothing new readers are told now and then where they stand. */
const QUIET_MS = 60_000;
/** Topics whose readers are woken before others have their turn. */
const WOKEN_AT_A_TIME = 250;
/** With some 500 transactions under way at once. */
const LONGEST_CURSOR = 4_000;
/** Behind by more, after a pause of the whole process say, the tail does not catch up: readers come back by their cursors. */
const MOST_AT_ONCE = 50_000;

const read = counter(
  'sluice_live_events_read_total',
  'Events that this process read: new ones, and those that clients missed',
);

/** Of a replay. */
export interface Page {
  readonly events: KeptEvent[];
  /** Whether there is nothing behind it; else `last` is where to read on. */
  readonly isLast: boolean;
  readonly last: KeptEvent | undefined;
}

interface Row {
  snap: string;
  era: string;
  swept: number | null;
  xid: number | null;
  id: number | null;
  topic: string;
  body: object;
}

/**
 * What the snapshot $1 does not show and `s` does, oldest transaction first; `xid >=` is what the index finds it by. That `s` shows it
 * keeps out the rows of another cluster, whose transaction ids are of the future here. Whatever makes those of two moments incomparable
 * changes the era: another cluster or database, a promoted standby or a restore to a point in time (the time line), a database
 * made anew by a restore.
 */
const NEWS = (where = '') => `
  SELECT live_event.xid::text::float8 AS xid, id, topic, body FROM live_event
  WHERE xid >= pg_snapshot_xmin($1::pg_snapshot) AND NOT pg_visible_in_snapshot(xid, $1::pg_snapshot)
    AND pg_visible_in_snapshot(xid, s.s) ${where}
  ORDER BY live_event.xid, id LIMIT $2`;
// OFFSET 0: asked once, and not for each row.
const EVENTS = (to: string, news: string) => `
  SELECT s.s::text AS snap, e.*,
         (SELECT swept::text::float8 FROM live_era WHERE swept < pg_snapshot_xmax(s.s)) AS swept,
         md5(concat((SELECT id FROM live_era), (SELECT system_identifier FROM pg_control_system()),
           (SELECT oid FROM pg_database WHERE datname = current_database()),
           left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))) AS era
  FROM (SELECT ${to} AS s OFFSET 0) s LEFT JOIN LATERAL (${news}) e ON true
  ORDER BY e.xid, e.id`;
const TAIL = EVENTS('pg_current_snapshot()', NEWS());
/**
 * Topic by topic, each in the order of its index, so that a page reads no more than it has: for `= ANY` all that is left would be sorted.
 * Each is named, for the planner to know of a topic with much in it.
 */
const REPLAY = (topics: number) => {
  const ofTopic = (number: number) =>
    NEWS(`AND topic = ($4::text[])[${number}] AND (xid, id) > ($5::text::xid8, $6::bigint)
      AND ($7::text IS NULL OR CASE WHEN body ? 'to' THEN body->'to' ? $7
        ELSE coalesce($7 COLLATE "C" BETWEEN body->>'lo' AND body->>'hi', true) END)`);
  const all = Array.from({ length: topics }, (_, index) => `(${ofTopic(index + 1)})`).join(' UNION ALL ');
  return EVENTS('$3::pg_snapshot', `SELECT n.* FROM (${all}) n ORDER BY n.xid, n.id LIMIT $2`);
};

export interface TopicChoice {
  /** Told in one order, with one cursor for all. */
  readonly topics: readonly string[];
  /** Leaves out the events that say that they are for others. */
  readonly reader?: string | null;
}

export interface OpenTopic {
  readonly topic: LiveTopic;
  /** To be called once. */
  readonly close: () => void;
}

/**
 * Reads what comes to light, once for the whole process, as long as anybody listens. The cursor is a snapshot and no
 * number: transactions commit in another order than they begin (docs/decisions/0023-event-streams.md).
 */
export class LiveTail {
  private readonly logger = new Logger(LiveTail.name);
  private readonly topics = new Map<string, LiveTopic>();
  /** By the name of what is appended to. */
  private readonly listening = new Map<string, Set<LiveTopic>>();
  private running: { readonly stop: AbortController; readonly begun: Promise<void> } | undefined;
  private position: Snapshot = { xmin: 1, xmax: 1, xip: [] };
  private beginning: LiveEvent = { cursor: '', id: null, body: null };
  private era = '';
  private restMs = REST_MS;
  private tidiedAt = 0;
  private isOver = false;
  /** Half of it to half as much again. */
  quietMs = QUIET_MS;

  constructor(
    private readonly db: Database,
    private readonly live: Live,
  ) {}

  /** Begins to keep the events of these topics together, from where the tail stands. */
  async open({ topics: names, reader = null }: TopicChoice): Promise<OpenTopic> {
    if (!this.isOver) this.running ??= this.start();
    const { running } = this;
    await running?.begun;
    const key = [reader ?? '', ...names].join('\n');
    let topic = this.topics.get(key);
    if (!topic) {
      topic = new LiveTopic(names, this.position, reader, { ms: this.quietMs, standing: () => this.beginning });
      if (!running || running.stop.signal.aborted) topic.close();
      else {
        this.topics.set(key, topic);
        for (const name of names) this.listening.set(name, (this.listening.get(name) ?? new Set()).add(topic));
      }
    }
    const opened = topic;
    opened.readers++;
    const close = () => {
      if (--opened.readers === 0) opened.idleSince = performance.now();
    };
    return { topic, close };
  }

  /** Where the tail stands, and what tells a reader so. */
  now(): { snapshot: Snapshot; event: LiveEvent } {
    return { snapshot: this.position, event: this.beginning };
  }

  /** @throws CursorExpired for a cursor of another era, or none at all */
  async snapshotOf(cursor: string): Promise<Snapshot> {
    const [era, text = '', more] = Buffer.from(cursor, 'base64url').toString('latin1').split('.');
    const snapshot = more === undefined && era === this.era.slice(0, 12) ? parseSnapshot(text) : null;
    if (!snapshot) throw new CursorExpired();
    if (snapshot.xmax > this.position.xmax) {
      // Of a process that is ahead of this one: or of a future that was lost when a copy of the disks was put back.
      const [now] = await this.db.query<{ xmax: number }>(
        'SELECT pg_snapshot_xmax(pg_current_snapshot())::text::float8 AS xmax',
      );
      if (!now || snapshot.xmax > now.xmax) throw new CursorExpired();
    }
    return snapshot;
  }

  /**
   * The first of the topic's events that are visible in `to` and not in `from`.
   *
   * @param after only those behind this one
   * @throws CursorExpired when some of them are gone
   */
  async replay(
    topic: LiveTopic,
    from: Snapshot,
    to: Snapshot,
    { limit = KEPT_EVENTS + 1, after }: { limit?: number; after?: KeptEvent } = {},
  ): Promise<Page> {
    const rows = await this.db.query<Row>(REPLAY(topic.names.length), [
      formatSnapshot(from),
      limit,
      formatSnapshot(to),
      topic.names,
      after?.xid ?? 0,
      after?.event.id ?? 0,
      topic.reader,
    ]);
    if (!this.isSameEra(rows) || (rows[0]?.swept ?? 0) >= from.xmin) throw new CursorExpired();
    const isLast = rows.length < limit;
    const events = this.keep(rows, from, to, isLast).map(({ kept }) => kept);
    return { events, last: events.at(-1), isLast };
  }

  /** Ends all streams. Who opens one later begins anew. */
  stop(): void {
    this.running?.stop.abort();
    this.running = undefined;
    for (const topic of this.topics.values()) topic.close();
    this.topics.clear();
    this.listening.clear();
  }

  /** Ends all streams, and any that is opened later at once. */
  end(): void {
    this.isOver = true;
    this.stop();
  }

  private start(): NonNullable<LiveTail['running']> {
    const stop = new AbortController();
    const begun = this.begin();
    void begun.then(
      () => this.follow(stop),
      () => this.running?.stop === stop && this.stop(),
    );
    return { stop, begun };
  }

  private async begin(): Promise<void> {
    // Nothing is invisible to the newest snapshot: what is wanted of this is the snapshot.
    const [row] = await this.db.query<Row>(TAIL, ['9007199254740990:9007199254740990:', 1]);
    this.stand((row as Row).snap, (row as Row).era);
  }

  private stand(snap: string, era: string): Snapshot {
    const position = parseSnapshot(snap);
    if (!position) throw new Error(`PostgreSQL has an odd snapshot: ${snap}`);
    this.era = era;
    this.position = position;
    this.beginning = { cursor: this.cursorAt(position), id: null, body: null };
    return position;
  }

  private cursorAt(snapshot: Snapshot): string {
    let text = formatSnapshot(snapshot);
    // Behind the oldest of what was under way: who goes on there is told some of it again, and misses none.
    if (text.length > LONGEST_CURSOR) text = formatSnapshot({ xmin: snapshot.xmin, xmax: snapshot.xmin, xip: [] });
    return Buffer.from(`${this.era.slice(0, 12)}.${text}`).toString('base64url');
  }

  private async follow(stop: AbortController): Promise<void> {
    const { signal } = stop;
    let failed = false;
    while (!signal.aborted) {
      // Listening begins before looking: what is appended meanwhile is not missed.
      const tick = this.live.waitFor(APPENDED, POLL_MS, signal);
      const { position } = this;
      try {
        if (!(await this.look(signal)) && !signal.aborted) this.stop();
        if (failed) this.logger.log('live events are read again');
        failed = false;
      } catch (error) {
        if (!failed && !signal.aborted) {
          this.logger.warn(`live events are late: ${error instanceof Error ? error.message : error}`);
        }
        failed = true;
        // What was read has not come to all: they come back by their cursors.
        if (this.position !== position && !signal.aborted) this.stop();
      }
      await tick;
      await sleep(this.restMs, undefined, { ref: false });
    }
  }

  /** False when there is nothing to go on from, or nobody to go on for. */
  private async look(signal: AbortSignal): Promise<boolean> {
    const from = this.position;
    const began = performance.now();
    const rows = await this.db.query<Row>(TAIL, [formatSnapshot(from), MOST_AT_ONCE]);
    this.restMs = Math.min(POLL_MS, Math.max(REST_MS, RESTS * (performance.now() - began)));
    if (signal.aborted) return false;
    if (!this.isSameEra(rows) || rows.length === MOST_AT_ONCE) {
      this.logger.warn('live streams begin anew: the database is another one, or too much has happened at once');
      return false;
    }
    const to = this.stand((rows[0] as Row).snap, this.era);
    const byTopic = new Map<LiveTopic, KeptEvent[]>();
    for (const { topic: name, kept } of this.keep(rows, from, to, true, (topic) => this.listening.has(topic))) {
      for (const topic of this.listening.get(name) ?? []) {
        if (kept.event.body && !topic.wants(kept.event.body)) continue;
        const events = byTopic.get(topic);
        if (events) events.push(kept);
        else byTopic.set(topic, [kept]);
      }
    }
    for (const [topic, events] of byTopic) topic.push(events, to);
    let woken = 0;
    for (const topic of byTopic.keys()) {
      topic.wakeAll();
      if (++woken % WOKEN_AT_A_TIME === 0) await turn();
    }
    return this.tidy();
  }

  private isSameEra(rows: readonly Row[]): boolean {
    return rows[0]?.era === this.era;
  }

  /** Each event with the cursor of who has had all up to it: exact between transactions, and at the end of a complete list `to`. */
  private keep(
    rows: readonly Row[],
    from: Snapshot,
    to: Snapshot,
    isComplete: boolean,
    isWanted: (topic: string) => boolean = () => true,
  ) {
    const events = rows.filter((row) => row.id !== null) as (Row & { xid: number })[];
    read.inc({}, events.length);
    return events.flatMap(({ xid, id, topic, body }, index) => {
      if (!isWanted(topic)) return [];
      const next = events[index + 1];
      const hasAll = next ? next.xid !== xid : isComplete;
      const cursor = this.cursorAt(isComplete && !next ? to : advance(from, to, hasAll ? xid + 1 : xid));
      const kept: KeptEvent = { xid, event: { id: String(id), cursor, body } };
      return [{ topic, kept }];
    });
  }

  /** Forgets what is old. False when no topic is left. */
  private tidy(): boolean {
    const now = performance.now();
    if (now - this.tidiedAt < TIDY_MS) return true;
    this.tidiedAt = now;
    const since = now - LINGER_MS;
    for (const [key, topic] of this.topics) {
      if (topic.readers === 0 && topic.idleSince < since) this.forget(key, topic);
      else topic.forgetBefore(since);
    }
    return this.topics.size > 0;
  }

  private forget(key: string, topic: LiveTopic): void {
    this.topics.delete(key);
    for (const name of topic.names) {
      const topics = this.listening.get(name);
      topics?.delete(topic);
      if (topics?.size === 0) this.listening.delete(name);
    }
  }
}
