import { foreign, refusalOf, snapshotOf } from './answers.js';
import { ConnectionLost, UploadError } from './errors.js';
import type { Ledger, Snapshot } from './ledger.js';
import type { Link } from './link.js';
import { nextRange, SHARED_REQUEST } from './plan.js';
import type { Answer, Outgoing, Platform, Sending, Source } from './platform.js';
import { covers, type Range, type Ranges, subtract, union } from './ranges.js';

const TICK_MS = 50;
const TUS = { 'tus-resumable': '1.0.0' };
/** Fits between the requests of one client, so that the end of one is not waited for. */
const AT_ONCE = 4;
const SHORTEST_REQUEST = 256 * 1024;
/** A place that is refused so often while others are taken is passed over for a while. */
const REFUSALS_OF_A_PLACE = 3;
const PASSED_OVER_MS = 30_000;
const PASSED_OVER_BYTES = 8 * 1024 * 1024;
/** What a cut left out comes after so long at most: processing goes by the order of the file. */
const LEFT_OUT_S = 60;
const SHARED_MS = 10_000;
const MANNERS_MS = 500;
/** So old may be what is known of other clients when a place is chosen. */
const FRESH_MS = 400;
/** Where knocking is done in another way, a request waits as long for its connection: that way may not be open to all. */
const UNHEARD_MS = 20_000;
/** Between knocks that will be answered. */
const OWED_MS = 1_000;
/** Shorter interruptions are nobody's concern. */
const WAITING_MS = 2_000;
/** What a server takes to settle what has arrived, at the very most. */
const SETTLING_MS = 30_000;
/** Something that is no Sluice may stand in for one that starts, but not for longer where there never was one. */
const FOREIGN_MS = 60_000;

/** What the lanes and the upload share. */
export interface Shared {
  readonly platform: Platform;
  readonly source: Source;
  /** Its path is the session's; its host may turn out not to be reached from here. */
  readonly tusUrl: string;
  readonly ledger: Ledger;
  readonly link: Link;
  /** Ends the upload. */
  fail(error: UploadError): void;
  /** Something about progress or the way to the server changed. */
  changed(): void;
  tell(event: ChunkEvent): void;
}

export interface ChunkEvent {
  readonly start: number;
  readonly end: number;
  /** `failed`: it did not get through whole; `passedOver`: others go first; `revisited`: tried again; `stored`. */
  readonly state: 'failed' | 'passedOver' | 'revisited' | 'stored';
  readonly attempts: number;
  /** For people. */
  readonly reason: string | null;
}

/** A request that is under way. */
interface Put {
  readonly range: Range;
  readonly sending: Sending;
  readonly startedAt: number;
  /** The connection is there. */
  openedAt: number | null;
  handed: number;
  handedAt: number;
}

/** What is left of a request that was cut: nobody knows yet how much of it arrived. */
interface Doubt {
  readonly range: Range;
  asking: Sending | null;
  askedAt: number;
}

/**
 * Sends long requests to `{tusUrl}/ranges`, whose bytes the server keeps also when they are cut. It goes on behind the
 * last byte that may have left, at once, and asks meanwhile what of the rest arrived.
 */
export class AppendLane {
  private puts: Put[] = [];
  private doubts: Doubt[] = [];
  private asking = new Map<Sending, number>();
  private polls = 0;
  private polledAt = Number.NEGATIVE_INFINITY;
  private lookedAt = Number.NEGATIVE_INFINITY;
  private stopTicking: (() => void) | null = null;
  /** Since when nothing has moved for too long. */
  private stalledAt: number | null = null;
  private knockedAt = Number.NEGATIVE_INFINITY;
  private stopKnocking: () => void = () => undefined;
  /**
   * Knocks that are to be answered: a browser delays them by seconds, once many failed for each that did not. One for eight, and
   * some before the first hole; no more are caught up with than there are in a hole of 16 s.
   */
  private owed = 4;
  private still = 0;
  private lastStill = -1;
  /** Nobody answers either: whoever gets through first goes on. */
  private silent = false;
  private longest = Number.POSITIVE_INFINITY;
  private readonly refusals = new Map<number, number>();
  /** Where a request of ours was ended by another, without anything stored since. */
  private evictedAt = -1;
  /** The server itself has answered here. */
  isReached = false;
  private foreignSince: number | null = null;
  private passedOver: { range: Range; until: number }[] = [];
  /** Where our last request began: beside other clients we stay in its neighbourhood. */
  private at = 0;

  constructor(
    private readonly shared: Shared,
    /** Of a request, in bytes. */
    private readonly most: () => number,
    /** False: only looks how far the upload is. */
    public sends = true,
    /** Whether what is there already is known: else somebody has to look before anything is sent. */
    private isKnown = true,
  ) {}

  /** When another client was last seen at it. Until they have been gone for a while, each keeps its requests short and looks before it takes a place. */
  private metAt = Number.NEGATIVE_INFINITY;

  /** Since when what is there, or who else is at it, has to be looked at before anything is sent. */
  private blindSince: number | null = null;

  /** What the other lane is at. */
  elsewhere: () => Ranges = () => [];

  /** Nothing can be sent, and nobody answers. */
  isWaiting(now: number): boolean {
    const { link } = this.shared;
    if (this.silent || (this.blindSince !== null && now - this.blindSince > WAITING_MS)) return true;
    if (this.puts.some(({ openedAt }) => openedAt !== null)) return false;
    const [first] = this.puts;
    return (
      (link.waitsSince !== null && now - link.waitsSince > WAITING_MS) ||
      (first !== undefined && now - first.startedAt > WAITING_MS)
    );
  }

  get runs(): boolean {
    return this.stopTicking !== null;
  }

  start(): void {
    if (this.runs) return;
    this.shared.link.restarted(performance.now());
    this.shared.link.heard(performance.now());
    if (!this.isKnown) this.blindSince = performance.now();
    this.stopTicking = this.shared.source.every(TICK_MS, this.tick);
    // Takes the connection that the API was asked over, and with its answer ends it.
    if (this.shared.platform.knock) this.poll(performance.now());
    this.tick();
  }

  stop(): void {
    this.stopTicking?.();
    this.stopTicking = null;
    for (const { sending } of this.puts) sending.abort();
    for (const { asking } of this.doubts) asking?.abort();
    this.stopAsking();
    this.puts = [];
    // What they left is covered or it is not: a look tells, before it goes on.
    this.doubts = [];
    this.blindSince = null;
    this.isKnown = false;
    this.polledAt = Number.NEGATIVE_INFINITY;
    this.calm();
  }

  /** Looks at once: the machine says that it is online, or somebody wants to know. */
  readonly hurry = (): void => {
    this.shared.link.attemptAt = 0;
    this.shared.link.heard(performance.now());
    this.polledAt = Number.NEGATIVE_INFINITY;
    if (this.runs) this.tick();
  };

  private readonly tick = (): void => {
    if (!this.runs) return;
    const now = performance.now();
    const { ledger, link } = this.shared;
    if (ledger.isWhole || ledger.state !== 'OPEN') {
      this.shared.changed();
      return;
    }
    // A lost answer must not keep the next question from being asked.
    for (const [sending, askedAt] of this.asking)
      if (now - askedAt > Math.max(4_000, 2 * link.silenceMs)) this.forget(sending);
    this.watch(now);
    this.revisit(now);
    // First: where connections are handed out in turn, what was asked before a cut waits for one that never opens.
    if (this.sends) this.fill(now);
    this.resolveDoubts(now);
    const isEager = this.blindSince !== null && !link.holds(now);
    const everyMs = Math.max(isEager ? 0 : link.pollMs, link.knockMs(now));
    if (this.asking.size < (this.blindSince === null ? 1 : link.knocks) && now - this.polledAt >= everyMs)
      this.poll(now);
    this.shared.changed();
  };

  // ── watching ───────────────────────────────────────────────────────────────────────────────────────────────────

  private watch(now: number): void {
    const { link, platform } = this.shared;
    if (!this.puts.some(({ openedAt }) => openedAt !== null)) {
      this.calm();
      return;
    }
    if (link.quietMs(now) < link.stallMs) {
      this.calm();
      if (platform.knock && this.owed >= 1 && now - this.knockedAt >= OWED_MS) {
        this.owed--;
        this.knock(now);
      }
      return;
    }
    if (this.stalledAt === null) {
      this.stalledAt = now;
      platform.forget();
    }
    if (!this.silent && now - this.stalledAt >= link.silenceMs) {
      this.silent = true;
      platform.forget();
      // Those were asked through the hole, and may hold what is needed to get through.
      if (platform.sockets < Number.POSITIVE_INFINITY) this.stopAsking();
    }
    if (platform.knock) {
      if (now - this.knockedAt < link.tryMs(now)) return;
      this.owed = Math.min(8, this.owed + 1 / 8);
      this.knock(now);
      return;
    }
    const hasNothingToSend = this.silent && this.range() === null;
    if ((!this.silent || hasNothingToSend) && now - this.polledAt >= link.knockMs(now)) {
      const [oldest] = this.asking.keys();
      if (oldest && this.asking.size >= link.knocks) this.forget(oldest);
      platform.forget();
      this.poll(now);
    }
  }

  private knock(now: number): void {
    const { platform, tusUrl } = this.shared;
    this.knockedAt = now;
    this.stopKnocking();
    this.stopKnocking = platform.knock?.(tusUrl, () => this.passes()) ?? (() => undefined);
  }

  /** A connection opened while our requests stand still: over others like it they would move. */
  private passes(): void {
    if (!this.runs || this.stalledAt === null) return;
    const now = performance.now();
    const { link } = this.shared;
    link.heard(now);
    if (!this.silent) {
      this.poll(now);
      return;
    }
    link.wasRight();
    this.giveUp(
      this.puts.filter(({ openedAt }) => openedAt !== null),
      now,
      'Nothing got through for a while.',
    );
    this.calm();
    link.opened(now);
    const [opening] = this.puts;
    if (opening) this.put(opening.range, now);
    this.tick();
  }

  private calm(): void {
    if (this.stalledAt !== null) this.stopKnocking();
    this.stalledAt = null;
    this.silent = false;
    this.still = 0;
    this.lastStill = -1;
  }

  private forget(sending: Sending): void {
    this.asking.delete(sending);
    sending.abort();
  }

  private stopAsking(): void {
    for (const sending of this.asking.keys()) this.forget(sending);
  }

  private poll(now: number): void {
    const { platform, tusUrl } = this.shared;
    this.polledAt = now;
    const moment = this.shared.ledger.moment;
    // Each at an address of its own: browsers send one request for an address at a time, bodies included, for their cache's sake.
    const sending = platform.send({ method: 'GET', url: `${tusUrl}/ranges?${this.polls++}` });
    this.asking.set(sending, now);
    sending.answer.then(
      (answer) => {
        if (this.asking.delete(sending)) this.look(answer, now, moment);
      },
      () => this.asking.delete(sending),
    );
  }

  private look(answer: Answer, askedAt: number, moment: number): void {
    const { ledger, link, platform } = this.shared;
    const now = performance.now();
    link.heard(now);
    const snapshot = snapshotOf(answer);
    if (!snapshot) {
      this.refused(answer, null);
      return;
    }
    this.isReached = true;
    link.accepted(now);
    const before = ledger.committedBytes;
    // Through a hole an answer takes as long as the hole: that is no round trip.
    link.answered(
      this.stalledAt === null ? now - askedAt : Math.min(now - askedAt, 2 * link.rttMs),
      platform.knock ? 2 : 1,
    );
    this.lookedAt = askedAt;
    const ours = new Set([...this.puts, ...this.doubts].map(({ range: [start] }) => start));
    ledger.merge(snapshot, moment, (start) => ours.has(start), now);
    if (ledger.committedBytes > before) this.stored();
    this.blindSince = null;
    if (ledger.others.length > 0) {
      this.metAt = now;
      for (const doubt of this.doubts) this.recall(doubt);
      this.doubts = [];
    }
    const moved = link.counts(now, ledger.counted);
    if (this.silent) this.judge(now, snapshot);
    else if (moved) this.calm();
    else if (this.stalledAt !== null) this.judge(now, snapshot);
    // The answer to a request may be lost where its bytes are not.
    for (const put of [...this.puts]) {
      if (put.openedAt !== null && put.openedAt < askedAt && covers(ledger.covered, put.range))
        this.done(put, put.range[1]);
    }
    this.tick();
  }

  /** Somebody answered while our requests stand still. */
  private judge(now: number, snapshot: Snapshot): void {
    const { link, ledger } = this.shared;
    const open = this.puts.filter(({ openedAt }) => openedAt !== null);
    const settling = open.every(
      ({ range: [start, end], handedAt }) =>
        now - handedAt < SETTLING_MS &&
        snapshot.writers.some((writer) => writer.start === start && writer.received >= end - start),
    );
    // All of it has arrived: the server is at work, not the link.
    if (settling && open.length > 0) {
      link.restarted(now);
      this.calm();
      return;
    }
    const wasSilent = this.silent || now - (this.stalledAt as number) > link.silenceMs;
    this.still = ledger.counted === this.lastStill ? this.still + 1 : 0;
    this.lastStill = ledger.counted;
    if (!wasSilent && this.still < 2) return;
    if (!wasSilent) link.wasWrong();
    this.giveUp(open, now, wasSilent ? 'Nothing got through for a while.' : 'It stood still.');
    link.restarted(now);
    link.attemptAt = now;
    this.calm();
  }

  // ── sending ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** @param at where to look first */
  private range(at = this.at): Range | null {
    const { ledger, source, link } = this.shared;
    const leftOut =
      this.doubts.length > 0 ? Math.max(SHARED_REQUEST, LEFT_OUT_S * link.bytesPerSecond) : Number.POSITIVE_INFINITY;
    return nextRange({
      size: source.size,
      covered: ledger.covered,
      busy: union(this.busy(), this.elsewhere(), ledger.theirs),
      others: ledger.others,
      at,
      wanted: ledger.wanted,
      most: Math.min(this.isShared(performance.now()) ? SHARED_REQUEST : this.most(), leftOut, this.longest),
    });
  }

  /** What is under way, not known yet, or passed over. Of what stands still only what may have left. */
  busy(): Ranges {
    return union(
      this.puts
        .filter(({ openedAt }) => openedAt !== null)
        .map(({ range: [start, end], handed }) => [start, this.silent ? Math.min(end, start + handed) : end] as const),
      this.doubts.map(({ range }) => range),
      this.passedOver.map(({ range }) => range),
    );
  }

  private fill(now: number): void {
    const { link, platform } = this.shared;
    if (now < link.attemptAt || this.blindSince !== null) return;
    const opening = this.puts.filter(({ openedAt }) => openedAt === null);
    const newest = opening.at(-1);
    if (newest) {
      // A connection that does not open may never do so: another one is tried beside it.
      const isUrgent = this.silent || opening.length > 1;
      const patienceMs = !isUrgent ? link.openMs : platform.knock ? UNHEARD_MS : link.knockMs(now);
      if (now - newest.startedAt < patienceMs) return;
      if (opening.length >= link.knocks) this.drop(opening[0] as Put);
      platform.forget();
      this.put(newest.range, now);
      return;
    }
    if (this.puts.length >= AT_ONCE && !this.silent) return;
    // What others are at changes with every request of theirs, and taking it would end that.
    if (this.isShared(now) && now - this.lookedAt > Math.max(FRESH_MS, 2 * link.rttMs)) {
      if (this.asking.size === 0) this.poll(now);
      return;
    }
    // A long way: one after the other, over the connection that is there. What was cut goes on where it ended.
    if (link.isFar && !this.silent && (this.doubts.length > 0 || this.puts.length > 0)) return;
    const sending = this.silent ? [] : this.puts.filter(({ range: [start, end], handed }) => handed < end - start);
    if (sending.length > 1) return;
    // Beside a long request goes what an earlier one left out; what follows it, once all of it is on its way.
    const [first] = sending;
    const range = this.range(first && !this.isShared(now) ? 0 : this.at);
    if (!range || (first && range[0] > first.range[0])) return;
    if (!first) this.at = range[0];
    this.put(range, now);
  }

  private put(range: Range, now: number): void {
    const { platform, source, tusUrl, link } = this.shared;
    const [start, end] = range;
    const attempts = this.refusals.get(start);
    if (attempts) this.shared.tell({ start, end, state: 'revisited', attempts: attempts + 1, reason: null });
    const request: Outgoing = {
      method: 'PATCH',
      url: `${tusUrl}/ranges`,
      headers: { ...TUS, 'upload-offset': String(start), 'content-type': 'application/offset+octet-stream' },
      body: { source, start, end },
      onOpen: () => this.opened(put),
      onHanded: (bytes) => {
        if (!this.puts.includes(put)) return;
        put.handed = bytes;
        put.handedAt = performance.now();
        // What seemed dead moves again.
        if (this.silent) {
          if (put.handedAt - (this.stalledAt ?? 0) < 3 * link.silenceMs) link.wasWrong();
          for (const one of this.puts.filter(({ openedAt }) => openedAt === null)) this.drop(one);
        }
        this.calm();
        link.progressed(put.handedAt);
      },
    };
    const put: Put = {
      range,
      sending: platform.send(request),
      startedAt: now,
      openedAt: null,
      handed: 0,
      handedAt: now,
    };
    this.puts.push(put);
    put.sending.answer.then(
      (answer) => this.answered(put, answer),
      (error: unknown) => this.cut(put, error),
    );
  }

  private opened(put: Put): void {
    if (!this.puts.includes(put)) return;
    const now = performance.now();
    put.openedAt = now;
    const { link } = this.shared;
    // The others that knocked for the same bytes have done their part.
    for (const one of this.puts) if (one.openedAt === null && one.range[0] === put.range[0]) this.drop(one);
    if (this.silent) {
      link.wasRight();
      const dead = this.puts.filter((one) => one !== put && one.openedAt !== null);
      this.giveUp(dead, now, 'Nothing got through for a while.');
    }
    this.calm();
    link.opened(now);
    // Whoever was asked through the hole will not hear it.
    for (const doubt of this.doubts) if (now - doubt.askedAt > link.openMs) this.recall(doubt);
    this.tick();
  }

  /** It never opened, so nothing of it arrived. */
  private drop(put: Put): void {
    this.puts = this.puts.filter((one) => one !== put);
    put.sending.abort();
  }

  /** Ends what stands still, and has it asked how far it came. */
  private giveUp(puts: readonly Put[], now: number, reason: string): void {
    this.puts = this.puts.filter((one) => !puts.includes(one));
    for (const put of puts) {
      put.sending.abort();
      this.doubt(put, reason);
    }
    this.resolveDoubts(now);
  }

  private cut(put: Put, error: unknown): void {
    if (!this.puts.includes(put)) return;
    this.puts = this.puts.filter((one) => one !== put);
    if (error instanceof UploadError) {
      this.shared.fail(error);
      return;
    }
    const now = performance.now();
    const { link, platform } = this.shared;
    platform.forget();
    // It may have been their doing: where they are has to be known first.
    if (this.isShared(now)) this.lookFirst();
    link.failed(now, { kind: 'cut', livedMs: put.openedAt === null ? 0 : now - put.openedAt });
    this.doubt(put, error instanceof ConnectionLost ? error.message : String(error));
    this.checkSource();
    this.tick();
    // One connection more than requests, for the one that was to open and is lost.
    if (platform.knock && this.asking.size > 0) this.poll(now);
  }

  private answered(put: Put, answer: Answer): void {
    if (!this.puts.includes(put)) return;
    const offset = Number(answer.header('upload-offset'));
    if (answer.status === 204 && answer.header('upload-offset') !== null && offset >= put.range[0]) {
      this.done(put, offset);
      this.tick();
      return;
    }
    this.puts = this.puts.filter((one) => one !== put);
    this.doubt(put, `The server answered ${answer.status}.`);
    this.refused(answer, put);
    this.tick();
  }

  private done(put: Put, offset: number): void {
    this.puts = this.puts.filter((one) => one !== put);
    put.sending.abort();
    const { ledger, link } = this.shared;
    const [start] = put.range;
    this.isReached = true;
    ledger.add([start, offset]);
    if (offset > start) this.stored();
    this.refusals.delete(start);
    link.counts(performance.now(), ledger.counted);
    this.shared.tell({ start, end: offset, state: 'stored', attempts: 1, reason: null });
  }

  private stored(): void {
    this.evictedAt = -1;
    this.shared.link.stored();
  }

  private refused(answer: Answer, put: Put | null): void {
    const { link } = this.shared;
    const { status } = answer;
    const now = performance.now();
    const [start, end] = put?.range ?? [-1, -1];
    // Again at the same place, and nothing stored since: others do as we do, and somebody has to wait.
    if (status === 423 && start !== this.evictedAt) {
      this.evictedAt = start;
      this.lookFirst();
      return;
    }
    const reason = refusalOf(answer);
    if (status === 413 && !reason && end - start > SHORTEST_REQUEST) {
      // A proxy's bound, not ours.
      this.longest = Math.max(SHORTEST_REQUEST, Math.floor((end - start) / 4));
      return;
    }
    this.isReached ||= reason !== null;
    const mayPass = status >= 500 || [408, 423, 425, 429].includes(status);
    if (!mayPass) this.foreignSince ??= now;
    if (!mayPass && (reason || (!this.isReached && now - (this.foreignSince as number) > FOREIGN_MS))) {
      const { code, message } = reason ?? foreign(status);
      this.shared.fail(new UploadError(code, message));
      return;
    }
    const seconds = Number(answer.header('retry-after'));
    link.failed(now, {
      kind: 'refused',
      retryAfterMs: seconds > 0 ? seconds * 1000 : null,
      reason: reason ?? foreign(status),
      isLook: !put,
    });
    if (status >= 500 && put && put.openedAt !== null) this.passOver(put, status);
  }

  private isShared(now: number): boolean {
    return now - this.metAt < SHARED_MS;
  }

  private lookFirst(): void {
    this.blindSince ??= performance.now();
    const now = performance.now();
    this.polledAt = Number.NEGATIVE_INFINITY;
    if (this.isShared(now)) {
      // Two that ended each other's requests must not come back together, and not to one place.
      this.polledAt = now - this.shared.link.knockMs(now) + Math.random() * MANNERS_MS;
      this.at = Math.floor((Math.random() * this.shared.source.size) / SHORTEST_REQUEST) * SHORTEST_REQUEST;
    }
    this.stopAsking();
  }

  /** Refused again and again at one place: others go first. */
  private passOver({ range: [start, end] }: Put, status: number): void {
    const attempts = (this.refusals.get(start) ?? 0) + 1;
    this.refusals.set(start, attempts);
    if (attempts % REFUSALS_OF_A_PLACE !== 0) return;
    const range: Range = [start, Math.min(end, start + PASSED_OVER_BYTES)];
    this.passedOver.push({ range, until: performance.now() + PASSED_OVER_MS });
    const reason = `The server answered ${status}.`;
    this.shared.tell({ start, end: range[1], state: 'passedOver', attempts, reason });
  }

  private revisit(now: number): void {
    if (this.passedOver.length === 0) return;
    const nothingElse = this.puts.length === 0 && this.doubts.length === 0 && this.range() === null;
    this.passedOver = this.passedOver.filter(({ until }) => !nothingElse && until > now);
  }

  // ── what became of it ──────────────────────────────────────────────────────────────────────────────────────────

  private doubt({ range: [start, end], handed }: Put, reason: string): void {
    if (handed === 0) return;
    const range: Range = [start, Math.min(end, start + handed)];
    // To ask there would end whoever has gone on there: a look tells as well.
    if (!this.isShared(performance.now())) {
      this.doubts.push({ range, asking: null, askedAt: Number.NEGATIVE_INFINITY });
    }
    this.shared.tell({ start, end: range[1], state: 'failed', attempts: 1, reason });
  }

  private recall(doubt: Doubt): void {
    doubt.asking?.abort();
    doubt.asking = null;
    doubt.askedAt = Number.NEGATIVE_INFINITY;
  }

  private resolveDoubts(now: number): void {
    const { platform, tusUrl, link, ledger } = this.shared;
    const everyMs = link.knockMs(now);
    for (const doubt of this.doubts) {
      const [start] = doubt.range;
      if (subtract([doubt.range], ledger.covered).length === 0) {
        this.settle(doubt, doubt.range[1]);
        continue;
      }
      if (doubt.asking && now - doubt.askedAt > Math.max(1_500, 2 * link.silenceMs, everyMs)) {
        platform.forget();
        this.recall(doubt);
      }
      if (doubt.asking || link.holds(now) || now - doubt.askedAt < everyMs) continue;
      const open = this.puts.length + this.asking.size + this.doubts.filter((one) => one.asking).length;
      // Two are left for those that knock.
      if (open >= platform.sockets - 2) continue;
      const asking = platform.send({ method: 'HEAD', url: `${tusUrl}/ranges/${start}` });
      doubt.asking = asking;
      doubt.askedAt = now;
      asking.answer.then(
        (answer) => {
          if (doubt.asking !== asking) return;
          doubt.asking = null;
          link.heard(performance.now());
          const offset = Number(answer.header('upload-offset'));
          if ((answer.status === 200 || answer.status === 204) && answer.header('upload-offset') !== null) {
            this.settle(doubt, offset);
          } else if (answer.status >= 500 || answer.status === 429) this.refused(answer, null);
          // It has no body that says why: a look does.
          else this.polledAt = Number.NEGATIVE_INFINITY;
          this.tick();
        },
        () => {
          if (doubt.asking === asking) doubt.asking = null;
        },
      );
    }
  }

  private settle(doubt: Doubt, offset: number): void {
    const { ledger, link } = this.shared;
    doubt.asking?.abort();
    doubt.asking = null;
    this.doubts = this.doubts.filter((one) => one !== doubt);
    const [start] = doubt.range;
    if (offset > start) ledger.add([start, offset]);
    link.counts(performance.now(), ledger.counted);
  }

  /** A browser does not say whether the link or the file failed. */
  private checkSource(): void {
    this.shared.source.check().catch((error: unknown) => this.shared.fail(error as UploadError));
  }
}
