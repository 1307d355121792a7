import type { Api, Chunk, Target } from './api.js';
import type { Shared } from './append.js';
import { UploadError } from './errors.js';
import { retryMs } from './link.js';
import { nextRange } from './plan.js';
import type { Answer, Sending } from './platform.js';
import { type Range, type Ranges, union } from './ranges.js';

const AT_ONCE = 3;
/** Hashed and signed before they are needed, so that no put waits for a round trip. */
const AHEAD = 8;
/** A put that hands nothing over for so long is stuck. */
const STUCK_MS = 15_000;
/** The store may be where this client cannot come. */
const UNREACHED_MS = 5_000;
/** Until others go first. */
const QUICK_TRIES = 3;
const TICK_MS = 200;

interface Piece {
  readonly range: Range;
  chunk?: Chunk;
  target?: Target | undefined;
  state: 'hashing' | 'unsigned' | 'signed' | 'sending' | 'stored' | 'failed';
  attempts: number;
  /** A target that ran out is renewed once without counting. */
  renewed?: true;
  reason: string | null;
  notBefore: number;
  sending?: Sending;
  movedAt: number;
}

/** Puts parts straight into the store, by targets that the server signs and the store checks. */
export class DirectLane {
  private pieces: Piece[] = [];
  private unreported: Piece[] = [];
  private committing = false;
  private stopTicking: (() => void) | null = null;
  /** The session takes nothing more. */
  private isOver = false;

  constructor(
    private readonly shared: Shared,
    private readonly api: Api,
    private readonly sessionId: string,
    private readonly how: {
      /** Of a part, in bytes. */
      readonly chunkBytes: () => number;
      /** What the other lane is at. */
      readonly busy: () => Ranges;
      /** A part did not get through. `everStored`: the store took others. */
      readonly onFailure: (everStored: boolean) => void;
      /** The session is not open any more: completed elsewhere, or given up. */
      readonly onEnded: () => void;
    },
  ) {}

  private everStored = false;

  get runs(): boolean {
    return this.stopTicking !== null;
  }

  start(): void {
    if (this.runs) return;
    this.stopTicking = this.shared.source.every(TICK_MS, this.pump);
    this.pump();
  }

  /** What is stored already is still counted. */
  stop(): void {
    this.stopTicking?.();
    this.stopTicking = null;
    for (const piece of this.pieces) piece.sending?.abort();
    this.pieces = this.pieces.filter(({ state }) => state === 'stored');
    this.commit();
  }

  busy(): Ranges {
    return union(this.pieces.map(({ range }) => range));
  }

  private readonly pump = (): void => {
    if (!this.runs) return;
    const now = performance.now();
    for (const piece of this.pieces) {
      const stuckMs = this.everStored ? STUCK_MS : UNREACHED_MS;
      if (piece.state === 'sending' && now - piece.movedAt > stuckMs) piece.sending?.abort();
      if (piece.state === 'failed' && now >= piece.notBefore) this.again(piece);
    }
    this.cut();
    for (const piece of this.pieces) {
      if (now < this.shared.link.attemptAt) break;
      if (this.pieces.filter(({ state }) => state === 'sending').length >= AT_ONCE) break;
      if (piece.state === 'signed') this.put(piece, now);
    }
    this.commit();
  };

  private again(piece: Piece): void {
    const [start, end] = piece.range;
    piece.state = piece.target ? 'signed' : piece.chunk ? 'unsigned' : 'hashing';
    if (piece.state === 'hashing') this.hash(piece);
    this.shared.tell({ start, end, state: 'revisited', attempts: piece.attempts + 1, reason: piece.reason });
  }

  private cut(): void {
    const { ledger, source } = this.shared;
    const active = this.pieces.filter(({ state }) => state !== 'stored').length;
    for (let count = active; count < AHEAD; count++) {
      const range = nextRange({
        size: source.size,
        covered: ledger.covered,
        busy: union(this.busy(), this.how.busy(), ledger.theirs),
        others: ledger.others,
        at: 0,
        wanted: ledger.wanted,
        most: this.how.chunkBytes(),
      });
      if (!range) return;
      const piece: Piece = {
        range,
        state: 'hashing',
        attempts: 0,
        reason: null,
        notBefore: 0,
        movedAt: 0,
      };
      this.pieces.push(piece);
      this.hash(piece);
    }
  }

  private hash(piece: Piece): void {
    const [start, end] = piece.range;
    this.shared.source.digest(start, end).then(
      (sha256) => {
        piece.chunk = { offset: start, sizeBytes: end - start, sha256 };
        piece.state = 'unsigned';
        this.pump();
      },
      (error: unknown) => this.shared.fail(error as UploadError),
    );
  }

  private put(piece: Piece, now: number): void {
    const { platform, source, link } = this.shared;
    const { method, url, headers } = piece.target as Target;
    const [start, end] = piece.range;
    piece.state = 'sending';
    piece.movedAt = now;
    const sending = platform.send({
      method,
      url,
      headers: Object.fromEntries(
        headers.filter(({ name }) => !/^(content-length|host)$/i.test(name)).map(({ name, value }) => [name, value]),
      ),
      body: { source, start, end },
      onHanded: () => {
        piece.movedAt = performance.now();
        link.progressed(piece.movedAt);
      },
    });
    piece.sending = sending;
    sending.answer.then(
      (answer) => this.answered(piece, answer),
      (error: unknown) => {
        if (error instanceof UploadError) this.shared.fail(error);
        else this.failed(piece, (error as Error).message);
      },
    );
  }

  private answered(piece: Piece, { status }: Answer): void {
    if (!this.pieces.includes(piece)) return;
    if (status === 200 || status === 201 || status === 204 || status === 412) {
      piece.state = 'stored';
      this.everStored = true;
      this.pump();
    } else if (status === 403 && !piece.renewed) {
      piece.renewed = true;
      piece.target = undefined;
      piece.state = 'unsigned';
      this.pump();
    } else {
      if (status === 403) piece.target = undefined;
      this.failed(piece, `The store answered ${status}.`);
    }
  }

  private failed(piece: Piece, reason: string): void {
    if (!this.pieces.includes(piece)) return;
    const now = performance.now();
    const [start, end] = piece.range;
    piece.state = 'failed';
    piece.attempts++;
    piece.reason = reason;
    piece.notBefore = now + retryMs(piece.attempts, true);
    this.unreported.push(piece);
    this.shared.platform.forget();
    this.shared.link.failed(now, { kind: 'cut', livedMs: 0 });
    const state = piece.attempts % QUICK_TRIES === 0 ? 'passedOver' : 'failed';
    this.shared.tell({ start, end, state, attempts: piece.attempts, reason });
    this.how.onFailure(this.everStored);
    this.pump();
  }

  /** One round trip: what is stored, what failed, what is to be signed. */
  private commit(): void {
    if (this.committing || this.isOver) return;
    const stored = this.pieces.filter(({ state }) => state === 'stored');
    const next = this.runs ? this.pieces.filter(({ state }) => state === 'unsigned') : [];
    const failed = this.unreported;
    if (stored.length + next.length + failed.length === 0) return;
    this.unreported = [];
    this.committing = true;
    this.api
      .commit({
        sessionId: this.sessionId,
        stored: stored.map(({ chunk }) => chunk),
        failed: failed.map(({ range: [start, end], reason }) => ({
          offset: start,
          sizeBytes: end - start,
          reason: (reason ?? '').slice(0, 500),
        })),
        next: next.map(({ chunk }) => chunk),
      })
      .then(
        ({ results, targets }) => {
          this.committing = false;
          for (const [index, piece] of stored.entries()) this.counted(piece, results[index]);
          for (const [index, piece] of next.entries()) {
            piece.target = targets[index];
            if (piece.target && piece.state === 'unsigned') piece.state = 'signed';
          }
          if (this.runs) this.pump();
          else this.commit();
          this.shared.changed();
        },
        (error: unknown) => {
          this.committing = false;
          if ((error as UploadError).code !== 'SESSION_ENDED') return this.shared.fail(error as UploadError);
          this.isOver = true;
          this.how.onEnded();
        },
      );
  }

  private counted(piece: Piece, result: { outcome: string; code: string | null } | undefined): void {
    const [start, end] = piece.range;
    if (result?.outcome === 'REFUSED') {
      piece.target = undefined;
      piece.state = 'sending';
      this.failed(piece, result.code ?? 'REFUSED');
      return;
    }
    this.pieces = this.pieces.filter((one) => one !== piece);
    const { ledger, link } = this.shared;
    ledger.add([start, end]);
    link.stored();
    link.counts(performance.now(), ledger.counted);
    this.shared.tell({ start, end, state: 'stored', attempts: piece.attempts + 1, reason: null });
  }
}
