import { Api, pause, type Session, type Token } from './api.js';
import { AppendLane, type ChunkEvent, type Shared } from './append.js';
import { DirectLane } from './direct.js';
import { UploadError } from './errors.js';
import { Ledger } from './ledger.js';
import { Link } from './link.js';
import { isFast, LONGEST_REQUEST, prefersDirect, SHARED_REQUEST } from './plan.js';
import type { Platform, Source } from './platform.js';
import { type Range, subtract } from './ranges.js';

export type UploadState =
  | 'idle'
  | 'preparing'
  | 'sending'
  /** The link or the server is away; it goes on by itself. */
  | 'waiting'
  | 'paused'
  /** All bytes are there; the server puts them together and verifies them. */
  | 'completing'
  | 'done'
  | 'failed'
  | 'cancelled';

export interface UploadOptions {
  /** The server, such as `https://video.example`. In browsers `location.origin` unless given. */
  readonly endpoint?: string;
  /** An access token, or a function that gives one; it is asked again when the last one is not taken any more. */
  readonly token: Token;
  readonly channelId: string;
  /** The file's own name unless given. */
  readonly fileName?: string;
  /** The file's name unless given. */
  readonly title?: string;
  readonly description?: string;
  readonly visibility?: 'PRIVATE' | 'UNLISTED' | 'PUBLIC';
  /** Goes on with this very session, on any device that has the file. */
  readonly sessionId?: string;
  /** `auto` by the link: `append` survives everything, `direct` spares the server on fast links. */
  readonly lane?: 'auto' | 'append' | 'direct';
}

export interface Progress {
  /** Stored and counted by the server. */
  readonly committedBytes: number;
  readonly sizeBytes: number;
  /** As the server counted lately; null while nothing is known. */
  readonly bytesPerSecond: number | null;
  /** At that rate. */
  readonly secondsLeft: number | null;
}

export interface Snapshot extends Progress {
  readonly state: UploadState;
  readonly sessionId: string | null;
  readonly videoId: string | null;
  readonly error: UploadError | null;
  /** In `waiting`, what the server said, such as STORAGE_FULL; null where it does not answer. */
  readonly waitingFor: { readonly code: string; readonly message: string } | null;
}

export interface UploadEvents {
  progress: Progress;
  state: UploadState;
  chunk: ChunkEvent;
}

export interface Uploaded {
  readonly sessionId: string;
  readonly videoId: string;
}

const pairs = (ranges: Session['wantedRanges']): Range[] => ranges.map(({ start, end }) => [start, end]);
const FINGERPRINT_BYTES = 64 * 1024;
const FINGERPRINT = /^\d+-[\da-f]{32}-[\da-f]{32}$/;
const REPAIRS = 3;
const PROGRESS_MS = 250;
const CANCELLING_MS = 60_000;
const COMPLETING_MS = 500;
const MOST_COMPLETING_MS = 4_000;
const MOST_DISCARDED_AT_ONCE = 500;
/** So long no answer, and the other name is tried. */
const OTHER_NAME_MS = 30_000;
/** After trouble in the direct lane. */
const DIRECT_AGAIN_MS = 60_000;

/** One upload of one file. */
export class Upload {
  private state: UploadState = 'idle';
  private error: UploadError | null = null;
  private running: Promise<Uploaded> | null = null;
  private readonly listeners: { [Name in keyof UploadEvents]: Set<(event: UploadEvents[Name]) => void> } = {
    progress: new Set(),
    state: new Set(),
    chunk: new Set(),
  };
  private readonly over = new AbortController();
  private readonly link: Link;
  private readonly api: Api;
  private source: Source | null = null;
  private session: Session | null = null;
  private ledger: Ledger | null = null;
  private append: AppendLane | null = null;
  private direct: DirectLane | null = null;
  private directTrouble = Number.NEGATIVE_INFINITY;
  private directIsOut = false;
  /** What a session was asked for with. */
  private creating: object | null = null;
  private isPaused = false;
  private isAway = false;
  private toldAt = Number.NEGATIVE_INFINITY;
  private told = '';
  /** Ends the sending of bytes, one way or the other. */
  private sent: { resolve: () => void; reject: (error: UploadError) => void } | null = null;

  constructor(
    private readonly platform: Platform,
    private readonly file: unknown,
    private readonly options: UploadOptions & { readonly endpoint: string },
  ) {
    this.link = new Link(performance.now(), Math.random, Math.min(12, Math.floor(platform.sockets / 2)));
    this.api = this.apiUntil(this.over.signal);
  }

  private apiUntil(signal: AbortSignal): Api {
    const { endpoint, token } = this.options;
    const onReach = (reached: boolean) => {
      this.isAway = !reached;
      this.show();
    };
    return new Api(this.platform, endpoint.replace(/\/+$/, ''), token, signal, onReach, (ms) => this.link.reached(ms));
  }

  /** @returns how to stop listening */
  on<Name extends keyof UploadEvents>(name: Name, listener: (event: UploadEvents[Name]) => void): () => void {
    this.listeners[name].add(listener);
    return () => void this.listeners[name].delete(listener);
  }

  get snapshot(): Snapshot {
    return {
      ...this.progress(),
      state: this.state,
      sessionId: this.session?.id ?? null,
      videoId: this.session?.video.id ?? null,
      error: this.error,
      waitingFor: this.state === 'waiting' ? this.link.refusal : null,
    };
  }

  /**
   * Begins, or goes on where the file's unfinished upload stands, and sees it through drops, restarts and outages.
   * Resolves when the server has put the file together and verified it. Calling it again gives the same promise.
   *
   * @throws UploadError on a final refusal, and on `cancel`
   */
  start(): Promise<Uploaded> {
    // Later, so that whoever hears of its first step and calls this again gets the same promise.
    this.running ??= Promise.resolve().then(() => this.run());
    return this.running;
  }

  /** Stops sending. What arrived stays, and counts. */
  pause(): void {
    if (this.isPaused || this.isOver) return;
    this.isPaused = true;
    this.append?.stop();
    this.direct?.stop();
    this.note('pause');
    this.show();
  }

  resume(): void {
    if (!this.isPaused || this.isOver) return;
    this.isPaused = false;
    this.note('resume');
    if (this.append && this.sent) {
      // Whatever sent before: the other lane is begun again where it is worth it.
      this.append.sends = this.options.lane !== 'direct';
      this.append.start();
    }
    this.show();
  }

  /** Gives it up, here at once and on the server, with every byte. Resolves when the server knows, or cannot be told. */
  async cancel(): Promise<void> {
    if (this.isOver) return;
    const { session } = this;
    const creating = this.creating;
    this.fail(new UploadError('CANCELLED', 'The upload was cancelled.'));
    if (!session && !creating) return;
    try {
      const api = this.apiUntil(AbortSignal.timeout(CANCELLING_MS));
      // It may be there by now, though nobody heard so: the same key answers it.
      const { id, state } = session ?? (await api.create(creating as object));
      if (state === 'OPEN' || state === 'COMPLETING') await api.move('cancel', id);
    } catch {
      // Nobody can be reached, or it has ended otherwise. What is left of it expires.
    }
  }

  /**
   * Ends it here and nowhere else, and frees what it holds: what arrived stays, and the same file goes on there. Nobody
   * is told of a state any more, and `start` rejects with LEFT.
   */
  leave(): void {
    for (const listeners of Object.values(this.listeners)) listeners.clear();
    this.fail(new UploadError('LEFT', 'The upload was left.'));
  }

  private get isOver(): boolean {
    return this.over.signal.aborted || this.state === 'done';
  }

  private async run(): Promise<Uploaded> {
    if (this.error) throw this.error;
    const stopListening = this.platform.onOnline(() => this.append?.hurry());
    // What is being read or hashed is not waited for.
    const ended = new Promise<never>((_, reject) =>
      this.over.signal.addEventListener('abort', () => reject(this.error)),
    );
    try {
      this.show('preparing');
      const uploaded = await Promise.race([this.work(), ended]);
      this.show('done');
      return uploaded;
    } catch (thrown) {
      const error = thrown instanceof UploadError ? thrown : new UploadError('INTERNAL', String(thrown));
      this.fail(error);
      throw this.error ?? error;
    } finally {
      stopListening();
      this.append?.stop();
      this.direct?.stop();
      await this.source?.close();
    }
  }

  private async work(): Promise<Uploaded> {
    const source = await this.platform.open(this.file);
    if (this.isOver) await source.close();
    this.over.signal.throwIfAborted();
    this.source = source;
    if (source.size === 0) throw new UploadError('EMPTY_FILE', 'The file is empty.');
    const session = await this.begin(source);
    if (session.state !== 'COMPLETED') await this.finish(source, session);
    return { sessionId: session.id, videoId: session.video.id };
  }

  /** Sends, completes, and mends what arrived wrong. */
  private async finish(source: Source, session: Session): Promise<void> {
    this.ledger = new Ledger(source.size);
    this.ledger.state = session.state;
    this.ledger.wanted = pairs(session.wantedRanges);
    for (const range of pairs(session.committedRanges)) this.ledger.add(range);
    let whole: Promise<string> | null = null;
    // What another client, or an earlier request of ours, is about to settle is not committed yet: that wants a look.
    this.ledger.isKnown =
      this.ledger.committedBytes === session.committedBytes &&
      !session.isReceiving &&
      !this.platform.repeats(session.tusUrl);
    for (let repairs = 0; ; ) {
      if (this.ledger.state === 'OPEN') {
        this.show('sending');
        await this.send(source, session, () => {
          // Behind the first bytes: what is read for them is in memory then.
          whole ??= this.quietly(source.digest(0, source.size));
        });
      }
      await this.unpaused();
      this.show('completing');
      await source.check();
      whole ??= this.quietly(source.digest(0, source.size));
      const outcome = await this.complete(session.id, await whole);
      if (outcome === 'done') return;
      this.ledger = new Ledger(source.size);
      if (outcome === 'incomplete') continue;
      if (repairs++ === REPAIRS) {
        throw new UploadError(
          'FILE_DIGEST_MISMATCH',
          'What arrived is not the file, and sending it again did not help.',
        );
      }
      await this.repair(source, session.id);
    }
  }

  /** A promise that is waited for later. */
  private quietly<T>(promise: Promise<T>): Promise<T> {
    promise.catch((error: UploadError) => this.fail(error));
    return promise;
  }

  // ── finding the session ────────────────────────────────────────────────────────────────────────────────────────

  private async begin(source: Source): Promise<Session> {
    const { channelId, title, description, visibility, sessionId, fileName = source.name } = this.options;
    if (sessionId) {
      const session = await this.api.session(sessionId);
      if (!session) throw new UploadError('NOT_FOUND', 'There is no such upload session.');
      if (session.sizeBytes !== source.size) {
        throw new UploadError('FILE_DIFFERS', `This is another file: that upload is of ${session.sizeBytes} bytes.`);
      }
      // Other clients have other fingerprints, or none: then the digest at the end tells.
      const known = session.fingerprint;
      if (known && FINGERPRINT.test(known) && known !== (await fingerprintOf(source))) {
        throw new UploadError('FILE_DIFFERS', 'This is another file of the same size.');
      }
      return this.entered(session);
    }
    const fingerprint = await fingerprintOf(source);
    const input = {
      ...{ channelId, fileName, sizeBytes: source.size, fingerprint },
      ...{ contentType: source.type || null, title: title ?? null, description: description ?? null },
      visibility: visibility ?? null,
    };
    const sameFile = `${fingerprint}@${channelId}`.slice(0, 200);
    try {
      const session = await this.create({ ...input, idempotencyKey: sameFile });
      if (session.state === 'OPEN' || session.state === 'COMPLETING') return this.entered(session);
    } catch (error) {
      if (!(error instanceof UploadError) || error.code !== 'IDEMPOTENCY_KEY_REUSED') throw error;
    }
    // An earlier upload of the same file has ended, or had another title: there may be one that is not finished.
    const found = (await this.api.findOpen(fingerprint)).find(
      (one) => one.sizeBytes === source.size && one.video.channel.id === channelId,
    );
    if (!found) {
      // Not `crypto.randomUUID`: pages without https have none.
      const idempotencyKey = crypto.getRandomValues(new Uint32Array(4)).join('-');
      return this.entered(await this.create({ ...input, idempotencyKey }));
    }
    const session = this.entered(found);
    const asked = { title, description, visibility };
    if (Object.values(asked).some((value) => value !== undefined)) await this.api.describe(session.video.id, asked);
    return session;
  }

  private async create(input: object): Promise<Session> {
    this.creating = input;
    return this.api.create(input);
  }

  private entered(session: Session): Session {
    if (session.state === 'CANCELLED' || session.state === 'EXPIRED') {
      throw new UploadError('SESSION_ENDED', `This upload session is ${session.state}.`);
    }
    if (this.over.signal.aborted) throw this.error ?? new UploadError('CANCELLED', 'The upload was cancelled.');
    this.session = session;
    if (session.pausedAt && !this.isPaused) this.note('resume');
    return session;
  }

  // ── sending ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Until the server has every byte, or the session is not open any more. */
  private async send(source: Source, session: Session, onFirstBytes: () => void): Promise<void> {
    const ledger = this.ledger as Ledger;
    const { lane = 'auto' } = this.options;
    let isSent = false;
    let isHere = false;
    const here = this.options.endpoint.replace(/\/+$/, '') + session.tusUrl.slice(session.tusUrl.lastIndexOf('/tus/'));
    const begunAt = performance.now();
    const shared: Shared = {
      ...{ platform: this.platform, source, ledger, link: this.link },
      // The API was reached: where the name that the server has for itself is not, it is tried at that one, in turns.
      get tusUrl() {
        const turn = Math.floor((performance.now() - begunAt) / OTHER_NAME_MS);
        if (!append.isReached) isHere = turn % 2 === 1;
        return isHere ? here : session.tusUrl;
      },
      // What goes wrong in tidying up is of no account.
      fail: (error) => isSent || this.fail(error),
      tell: (event) => this.tell('chunk', event),
      changed: () => this.changed(),
    };
    const direct = new DirectLane(shared, this.api, session.id, {
      chunkBytes: () => session.chunkSize.recommendedBytes,
      busy: () => append.busy(),
      onFailure: (everStored) => {
        if (lane === 'direct') return;
        this.directTrouble = performance.now();
        this.directIsOut ||= !everStored;
        direct.stop();
        append.sends = true;
      },
      onEnded: () => append.hurry(),
    });
    // Short requests while the other lane may be better.
    const most = () => (lane === 'auto' && this.mayGoDirect() ? SHARED_REQUEST : LONGEST_REQUEST);
    const append = new AppendLane(shared, most, lane !== 'direct', ledger.isKnown);
    append.elsewhere = () => direct.busy();
    this.append = append;
    this.direct = direct;
    try {
      await new Promise<void>((resolve, reject) => {
        this.sent = { resolve, reject };
        if (this.over.signal.aborted) return reject(this.error as UploadError);
        if (!this.isPaused) append.start();
        onFirstBytes();
      });
    } finally {
      isSent = true;
      this.sent = null;
      append.stop();
      direct.stop();
    }
  }

  private mayGoDirect(): boolean {
    const { ledger, source } = this;
    if (!ledger || !source || this.directIsOut || performance.now() - this.directTrouble < DIRECT_AGAIN_MS)
      return false;
    const { bytesPerSecond } = this.link;
    return source.size > LONGEST_REQUEST && (bytesPerSecond === 0 || isFast(bytesPerSecond));
  }

  private changed(): void {
    const { ledger, append, direct, link, source } = this;
    if (!ledger || !append || !source || !this.sent) return;
    if (ledger.state === 'CANCELLED' || ledger.state === 'EXPIRED') {
      this.fail(new UploadError('SESSION_ENDED', `This upload session is ${ledger.state}.`));
      return;
    }
    if (ledger.isWhole || ledger.state !== 'OPEN') {
      this.progressed(true);
      this.sent.resolve();
      return;
    }
    const now = performance.now();
    const { lane = 'auto' } = this.options;
    if (direct && !direct.runs && ledger.isKnown && !this.isPaused && lane !== 'append') {
      const missing = subtract([[0, source.size]], ledger.covered);
      const calm = {
        bytesPerSecond: link.bytesPerSecond,
        calmMs: Math.min(link.calmMs(now), now - this.directTrouble),
      };
      if (lane === 'direct' || (this.mayGoDirect() && prefersDirect(calm, missing))) {
        append.sends = false;
        direct.start();
      }
    }
    this.show();
    this.progressed(false);
  }

  // ── the end ────────────────────────────────────────────────────────────────────────────────────────────────────

  private async complete(sessionId: string, sha256: string): Promise<'done' | 'incomplete' | 'mismatch'> {
    let session: Session | null;
    try {
      session = await this.api.complete(sessionId, sha256);
    } catch (error) {
      if (error instanceof UploadError && error.code === 'UPLOAD_INCOMPLETE') return 'incomplete';
      throw error;
    }
    for (
      let waitMs = COMPLETING_MS;
      session?.state === 'COMPLETING';
      waitMs = Math.min(MOST_COMPLETING_MS, waitMs * 1.3)
    ) {
      await pause(waitMs, this.over.signal, this.platform);
      session = await this.api.session(sessionId);
    }
    if (session?.state === 'COMPLETED') return 'done';
    if (session?.state === 'OPEN') return session.failure ? 'mismatch' : 'incomplete';
    throw new UploadError('SESSION_ENDED', `This upload session is ${session?.state ?? 'gone'}.`);
  }

  /** Takes back what the server has otherwise than the file, and nothing else. */
  private async repair(source: Source, sessionId: string): Promise<void> {
    const wrong: Range[] = [];
    const unknown: Range[] = [];
    for await (const { offset, sizeBytes, sha256 } of this.api.chunks(sessionId)) {
      const range: Range = [offset, offset + sizeBytes];
      if (sha256 === null) unknown.push(range);
      else if ((await source.digest(...range)) !== sha256) wrong.push(range);
    }
    const bad = wrong.length > 0 ? wrong : unknown;
    for (let from = 0; from < bad.length; from += MOST_DISCARDED_AT_ONCE) {
      await this.api.discard(sessionId, bad.slice(from, from + MOST_DISCARDED_AT_ONCE));
    }
    for (const [start, end] of bad) {
      this.tell('chunk', { start, end, state: 'failed', attempts: 1, reason: 'Other bytes arrived than were sent.' });
    }
  }

  // ── telling ────────────────────────────────────────────────────────────────────────────────────────────────────

  private note(what: 'pause' | 'resume'): void {
    const { session } = this;
    if (!session) return;
    // A note for people: the bytes decide.
    this.api.move(what, session.id).catch((error: unknown) => {
      if (error instanceof UploadError && error.code !== 'SESSION_ENDED' && error.code !== 'CANCELLED')
        this.fail(error);
    });
  }

  private async unpaused(): Promise<void> {
    while (this.isPaused) await pause(200, this.over.signal);
  }

  private fail(error: UploadError): void {
    if (this.isOver) return;
    this.error = error;
    this.sent?.reject(error);
    this.over.abort();
    this.append?.stop();
    this.direct?.stop();
    this.stage = error.code === 'CANCELLED' ? 'cancelled' : error.code === 'LEFT' ? 'paused' : 'failed';
    this.show();
  }

  /** @param stage the step that begins; without it what is going on is looked at again */
  private show(stage?: UploadState): void {
    // Its last one stays.
    if (stage && !this.error) this.stage = stage;
    let state = this.stage;
    if (state === 'preparing' || state === 'sending' || state === 'completing') {
      const waits = this.isAway || (state === 'sending' && this.append?.isWaiting(performance.now()));
      if (this.isPaused) state = 'paused';
      else if (waits) state = 'waiting';
    }
    if (state === this.state) return;
    this.state = state;
    this.tell('state', state);
  }
  private stage: UploadState = 'idle';

  private progress(): Progress {
    const sizeBytes = this.source?.size ?? 0;
    const isDone = this.state === 'done' || this.session?.state === 'COMPLETED';
    const committedBytes = isDone ? sizeBytes : (this.ledger?.committedBytes ?? 0);
    const rate = this.link.bytesPerSecond > 0 ? this.link.bytesPerSecond : null;
    return {
      committedBytes,
      sizeBytes,
      bytesPerSecond: rate && Math.round(rate),
      secondsLeft: rate && Math.ceil((sizeBytes - committedBytes) / rate),
    };
  }

  private progressed(atOnce: boolean): void {
    const now = performance.now();
    if (!atOnce && now - this.toldAt < PROGRESS_MS) return;
    const progress = this.progress();
    const key = `${progress.committedBytes} ${progress.bytesPerSecond}`;
    if (key === this.told) return;
    this.told = key;
    this.toldAt = now;
    this.tell('progress', progress);
  }

  private tell<Name extends keyof UploadEvents>(name: Name, event: UploadEvents[Name]): void {
    for (const listener of [...this.listeners[name]]) {
      try {
        listener(event);
      } catch (error) {
        // The listener's affair, and not the upload's.
        this.platform.report(error);
      }
    }
  }
}

/** The size, and digests of the beginning and the end: names the same file again without reading all of it. */
async function fingerprintOf(source: Source): Promise<string> {
  const edge = Math.min(FINGERPRINT_BYTES, source.size);
  const ends = await Promise.all([source.digest(0, edge), source.digest(source.size - edge, source.size)]);
  return [source.size, ...ends.map((hex) => hex.slice(0, 32))].join('-');
}
