/** What a link does that nothing is known of yet. */
const UNKNOWN_RTT_MS = 300;
const STALL_MS = 700;
const SILENCE_MS = 750;
/** How often somebody knocks at a link that is down … */
const KNOCK_MS = 150;
/** … for so long, and then more and more seldom, up to this. */
const EAGER_MS = 30_000;
const SELDOM_MS = 4_000;
const REFUSED_MS = 400;
const MOST_REFUSED_MS = 30_000;
/** A link that carried something for so long was a link: what cuts it then is answered at once. */
const GOOD_LIFE_MS = 500;
const SLOW = 125_000;
const FAR_MS = 300;

export type Failure =
  /** The connection ended. `livedMs`: how long it had carried something. */
  | { readonly kind: 'cut'; readonly livedMs: number }
  /** The server, or something before it, asks for patience. */
  | {
      readonly kind: 'refused';
      readonly retryAfterMs: number | null;
      readonly reason: Reason;
      /** Only a look was refused: when one is answered, that is over. */
      readonly isLook: boolean;
    };

/** Why the server has us wait: its own code, or PROTOCOL where something before it answered. */
export interface Reason {
  readonly code: string;
  readonly message: string;
}

/**
 * What is known of the link, and what follows from it: when silence is a stall, when to try again, how often to look.
 * Times are given in, in milliseconds, so that it decides from its arguments alone.
 */
export class Link {
  /** Round trip, as it is under our own load. */
  rttMs = UNKNOWN_RTT_MS;
  /** Between two signs of progress, as usual. */
  gapMs = 0;
  /** As the server counted. 0 while nothing is known. */
  bytesPerSecond = 0;
  /** No attempt before. */
  attemptAt = 0;
  /** Of the last refusal, until something is stored. */
  refusal: Reason | null = null;
  /** Round trip of an idle link, about. */
  private nearMs = Number.POSITIVE_INFINITY;
  private patience = 1;
  private progressAt: number;
  private cutAt = Number.NEGATIVE_INFINITY;
  private downSince: number | null = null;
  private heardAt: number;
  private refusals = 0;
  private looksRefused = false;
  private heldUntil = 0;
  private failedAt: number;
  private counted: { at: number; bytes: number } | null = null;
  private rttKnown = false;

  constructor(
    now: number,
    private readonly random: () => number = Math.random,
    private readonly mostKnocks = 12,
  ) {
    this.progressAt = now;
    this.heardAt = now;
    this.failedAt = now;
  }

  /** Since when nothing moved. */
  quietMs(now: number): number {
    return now - this.progressAt;
  }

  /** Without progress for so long, somebody has to look. */
  get stallMs(): number {
    return this.patience * Math.max(STALL_MS, 3 * this.gapMs, 5 * this.rttMs);
  }

  /** With no answer for so long, nothing passes. */
  get silenceMs(): number {
    return this.patience * Math.max(SILENCE_MS, 4 * this.rttMs);
  }

  /** For a connection to open, before another is tried beside it. */
  get openMs(): number {
    return Math.max(500, 3 * this.rttMs);
  }

  /** Between two knocks: eager at first, and more and more seldom while nothing is heard. */
  knockMs(now: number): number {
    return Math.max(patienceMs(now - this.heardAt), (2 * this.rttMs) / this.knocks);
  }

  /** For one try that ends with the next: a connection, and an answer over it. Browsers slow down who tries much more often. */
  tryMs(now: number): number {
    return Math.max(patienceMs(now - this.heardAt) + 100, 50 + 2 * Math.min(this.nearMs, this.rttMs));
  }

  /** How many may be under way, so that each has two round trips. */
  get knocks(): number {
    return Math.min(this.mostKnocks, 2 + Math.ceil((2 * this.rttMs) / KNOCK_MS));
  }

  /** Something answers or moves, or there is reason to think that it would. */
  heard(now: number): void {
    this.heardAt = now;
  }

  /** The server asked for patience, and that is not over. */
  holds(now: number): boolean {
    return this.refusals > 0 && now < this.attemptAt;
  }

  get pollMs(): number {
    if (this.refusals > 5) return SELDOM_MS;
    return this.bytesPerSecond > 0 && this.bytesPerSecond < SLOW ? 4_000 : 1_000;
  }

  get waitsSince(): number | null {
    return this.downSince;
  }

  calmMs(now: number): number {
    return now - this.failedAt;
  }

  /** @param trips of the answer: two where a connection had to open first */
  answered(tookMs: number, trips = 1): void {
    const rttMs = tookMs / trips;
    this.nearMs = Math.min(this.nearMs, tookMs);
    this.rttMs = this.rttKnown ? this.rttMs * 0.7 + rttMs * 0.3 : rttMs;
    this.rttKnown = true;
  }

  /** An answer outside of the lanes, over a new connection as a rule. */
  reached(ms: number): void {
    this.nearMs = Math.min(this.nearMs, ms / 2);
    if (!this.rttKnown) this.answered(ms);
  }

  /**
   * Whether one connection at a time carries more than two: a long pipe is not filled again for seconds, once the queue
   * before it overflowed because a second one began.
   */
  get isFar(): boolean {
    return this.nearMs > FAR_MS && this.nearMs < Number.POSITIVE_INFINITY;
  }

  /** Bytes left for the server, or the server counted more. */
  progressed(now: number): void {
    const gap = now - this.progressAt;
    if (gap < this.stallMs) {
      this.gapMs = gap > this.gapMs ? (this.gapMs + gap) / 2 : this.gapMs * Math.max(0, 1 - gap / 10_000);
    }
    this.progressAt = now;
    this.heardAt = now;
  }

  /** The server has this much in all. @returns whether that is more than it had */
  counts(now: number, bytes: number): boolean {
    const last = this.counted;
    if (last && bytes < last.bytes) this.counted = { at: now, bytes };
    if (!last || now <= last.at) {
      this.counted ??= { at: now, bytes };
      return false;
    }
    if (bytes <= last.bytes) return false;
    const seconds = (now - last.at) / 1000;
    const rate = (bytes - last.bytes) / seconds;
    const weight = this.bytesPerSecond === 0 ? 1 : 1 - Math.exp(-seconds / 4);
    this.bytesPerSecond += (rate - this.bytesPerSecond) * weight;
    this.counted = { at: now, bytes };
    this.downSince = null;
    this.progressed(now);
    return true;
  }

  /** More is stored than was. */
  stored(): void {
    this.refusals = 0;
    this.refusal = null;
  }

  /** A look was answered as it should be: what refused the last ones is over. What refuses requests with bytes need not be. */
  accepted(now: number): void {
    if (!this.looksRefused) return;
    this.looksRefused = false;
    this.stored();
    this.downSince = null;
    this.attemptAt = Math.min(this.attemptAt, Math.max(now, this.heldUntil));
  }

  /** What stood still begins to count anew: after a pause, a hole, or a cut. */
  restarted(now: number): void {
    this.progressAt = now;
  }

  /** A connection opened. */
  opened(now: number): void {
    this.downSince = null;
    this.heardAt = now;
    this.restarted(now);
  }

  /** What seemed dead was only slow: look away for longer. */
  wasWrong(): void {
    this.patience = Math.min(8, this.patience * 2);
  }

  wasRight(): void {
    this.patience = Math.max(1, this.patience / 2);
  }

  failed(now: number, failure: Failure): void {
    this.failedAt = now;
    if (failure.kind === 'refused') {
      const { retryAfterMs, reason, isLook } = failure;
      this.downSince ??= now;
      this.refusal = reason;
      this.looksRefused ||= isLook;
      // What was asked before the wait began does not make it longer.
      if (retryAfterMs === null && now < this.attemptAt) return;
      this.heldUntil = now + (retryAfterMs ?? 0);
      const waitMs = Math.min(MOST_REFUSED_MS, REFUSED_MS * 2 ** this.refusals++);
      this.attemptAt = now + Math.max(retryAfterMs ?? 0, waitMs) * (0.75 + this.random() / 2);
      return;
    }
    if (failure.livedMs >= GOOD_LIFE_MS) {
      this.cutAt = now;
      this.attemptAt = now;
      return;
    }
    // What opened a moment ago ends with the others: that is one cut.
    if (now - this.cutAt < 50) return;
    this.downSince ??= now;
    this.attemptAt = now + patienceMs(now - this.downSince) * (0.8 + this.random() * 0.4);
  }
}

const patienceMs = (awayMs: number): number =>
  Math.min(SELDOM_MS, KNOCK_MS * 1.5 ** Math.max(0, (awayMs - EAGER_MS) / 10_000));

/**
 * For requests outside of the lanes: the wait before the next attempt, in milliseconds.
 *
 * @param attempt how many have failed
 * @param reached whether something answered
 */
export function retryMs(attempt: number, reached: boolean, random: () => number = Math.random): number {
  const base = reached
    ? Math.min(MOST_REFUSED_MS, REFUSED_MS * 2 ** attempt)
    : Math.min(SELDOM_MS, KNOCK_MS * 1.5 ** Math.max(0, (attempt - EAGER_MS / KNOCK_MS) / 4));
  return base * (0.75 + random() / 2);
}
