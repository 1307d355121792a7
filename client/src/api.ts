import { foreign, jsonOf } from './answers.js';
import { ConnectionLost, UploadError } from './errors.js';
import type { SessionState } from './ledger.js';
import { retryMs } from './link.js';
import type { Answer, Outgoing, Platform } from './platform.js';
import type { Range } from './ranges.js';

/**
 * A token, or who gives one. `expired`: the last one is not taken any more. What it throws is taken for a network that is
 * away, and it is asked again; an UploadError ends the upload.
 */
export type Token = string | ((asked: { expired: boolean }) => string | Promise<string>);

export interface Session {
  readonly id: string;
  readonly state: SessionState;
  readonly sizeBytes: number;
  readonly committedBytes: number;
  /** Of the file, as whoever began it gave it. */
  readonly fingerprint: string | null;
  readonly pausedAt: string | null;
  readonly tusUrl: string;
  readonly video: { readonly id: string; readonly channel: { readonly id: string } };
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly chunkSize: { readonly recommendedBytes: number };
  readonly wantedRanges: readonly { readonly start: number; readonly end: number }[];
  /** The first hundred of them. */
  readonly committedRanges: readonly { readonly start: number; readonly end: number }[];
  readonly isReceiving: boolean;
}
const SESSION =
  'id state sizeBytes committedBytes fingerprint pausedAt tusUrl video { id channel { id } } failure { code message } chunkSize { recommendedBytes } wantedRanges { start end } committedRanges { start end } isReceiving';
const PAYLOAD = `session { ${SESSION} } userErrors { code message }`;
const TARGETS = 'targets { offset sizeBytes method url headers { name value } }';

export interface Chunk {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly sha256: string;
}
export interface Target {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly method: string;
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}
export interface Committed {
  readonly results: readonly { offset: number; sizeBytes: number; outcome: string; code: string | null }[];
  readonly targets: readonly Target[];
}

interface Failed {
  message: string;
  extensions?: { code?: string; retryAfterMs?: number };
}
interface UserErrors {
  userErrors: { code: string; message: string }[];
}
type WithSession = UserErrors & { session: Session };

/** Answers of the whole operation that another try may change. */
const PASSING = new Set(['RATE_LIMITED', 'STORAGE_UNAVAILABLE', 'INTERNAL']);
/** For who gives tokens. */
const TOKEN_MS = 30_000;
/** So long something else may answer while the server itself never did. */
const FOREIGN_MS = 20_000;
const PATIENCE_MS = [5_000, 10_000, 20_000, 30_000] as const;

/**
 * The GraphQL API as uploads need it. Every call can be repeated, so each is, until it is answered or `signal` ends it.
 */
export class Api {
  private token: string | null = null;
  private isReached = false;

  constructor(
    private readonly platform: Platform,
    private readonly endpoint: string,
    private readonly tokenOf: Token,
    private readonly signal: AbortSignal,
    /** Told whether the server is there. */
    private readonly onReach: (reached: boolean) => void,
    /** Told how long an answer took, in milliseconds. */
    private readonly onAnswer: (ms: number) => void,
  ) {}

  async create(input: object): Promise<Session> {
    const data = await this.mutate<WithSession>('createUploadSession', 'CreateUploadSession', input, PAYLOAD);
    return data.session;
  }

  async session(id: string): Promise<Session | null> {
    const query = `query ($id: ID!) { uploadSession(id: $id) { ${SESSION} } }`;
    return (await this.ask<{ uploadSession: Session | null }>(query, { id })).uploadSession;
  }

  async findOpen(fingerprint: string): Promise<readonly Session[]> {
    const query = `query ($fingerprint: String) { viewer {
      uploadSessions(first: 20, state: OPEN, fingerprint: $fingerprint) { nodes { ${SESSION} } } } }`;
    const { viewer } = await this.ask<{ viewer: { uploadSessions: { nodes: Session[] } } | null }>(query, {
      fingerprint,
    });
    return viewer?.uploadSessions.nodes ?? [];
  }

  async commit(input: object): Promise<Committed> {
    const fields = `results { offset sizeBytes outcome code } ${TARGETS} userErrors { code message }`;
    return this.mutate<Committed & UserErrors>('commitChunks', 'CommitChunks', input, fields);
  }

  async complete(sessionId: string, sha256: string): Promise<Session> {
    const name = 'completeUploadSession';
    return (await this.mutate<WithSession>(name, 'CompleteUploadSession', { sessionId, sha256 }, PAYLOAD)).session;
  }

  async discard(sessionId: string, ranges: readonly Range[]): Promise<void> {
    const input = { sessionId, ranges: ranges.map(([start, end]) => ({ start, end })) };
    await this.mutate('discardRanges', 'DiscardRanges', input, PAYLOAD);
  }

  /** Undefined stays as it is. */
  async describe(videoId: string, changes: object): Promise<void> {
    await this.mutate('updateVideo', 'UpdateVideo', { videoId, ...changes }, 'userErrors { code message }');
  }

  /** Pause, resume or cancel. */
  async move(what: 'pause' | 'resume' | 'cancel', sessionId: string): Promise<void> {
    await this.mutate(`${what}UploadSession`, 'UploadSession', { sessionId }, PAYLOAD);
  }

  /** The committed chunks with their digests, in the order of the file, a page at a time. */
  async *chunks(id: string): AsyncGenerator<{ offset: number; sizeBytes: number; sha256: string | null }> {
    const query = `query ($id: ID!, $after: Cursor) { uploadSession(id: $id) {
      chunks(first: 100, after: $after, state: COMMITTED) {
        nodes { offset sizeBytes sha256 } pageInfo { hasNextPage endCursor } } } }`;
    type Page = {
      nodes: { offset: number; sizeBytes: number; sha256: string | null }[];
      pageInfo: { hasNextPage: boolean; endCursor: string | null };
    };
    for (let after: string | null = null; ; ) {
      const { uploadSession }: { uploadSession: { chunks: Page } | null } = await this.ask(query, { id, after });
      yield* uploadSession?.chunks.nodes ?? [];
      if (!uploadSession?.chunks.pageInfo.hasNextPage) return;
      after = uploadSession.chunks.pageInfo.endCursor;
    }
  }

  private async mutate<Data extends UserErrors>(
    name: string,
    type: string,
    input: object,
    fields: string,
  ): Promise<Data> {
    const query = `mutation ($input: ${type}Input!) { ${name}(input: $input) { ${fields} } }`;
    const data = (await this.ask<Record<string, Data>>(query, { input }))[name] as Data;
    const [error] = data.userErrors;
    if (error) throw new UploadError(error.code, error.message);
    return data;
  }

  private async ask<Data>(query: string, variables: object): Promise<Data> {
    let renewals = 0;
    const begunAt = performance.now();
    for (let attempt = 0; ; attempt++) {
      let reached = false;
      let leastMs = 0;
      try {
        this.token ??= await this.newToken(renewals > 0);
        const answer = await this.post(
          { query, variables },
          this.token,
          PATIENCE_MS[Math.min(attempt, PATIENCE_MS.length - 1)] as number,
        );
        const said = jsonOf<{ data?: Data; errors?: Failed[] }>(answer.body);
        const data = said?.data;
        const error = said?.errors?.[0];
        if (!data && !error) {
          // A proxy's page while the server starts, or a portal's: final only where there never was a server.
          if (answer.status >= 500 || this.isReached || performance.now() - begunAt < FOREIGN_MS)
            throw new ConnectionLost();
          const { code, message } = foreign(answer.status);
          throw new UploadError(code, message);
        }
        reached = true;
        this.isReached = true;
        const { code = 'INTERNAL', retryAfterMs = 0 } = error?.extensions ?? {};
        leastMs = retryAfterMs;
        // One that has just been given may be taken back while its request is under way.
        if (code === 'UNAUTHENTICATED' && renewals++ < 2 && typeof this.tokenOf !== 'string') {
          this.token = null;
          continue;
        }
        this.onReach(true);
        if (!error) return data as Data;
        if (!PASSING.has(code)) throw new UploadError(code, error.message);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        // By the time that somebody is reached it may have run out again.
        if (this.token) renewals = 0;
      }
      if (!reached) {
        this.platform.forget();
        this.onReach(false);
      }
      await pause(Math.max(leastMs, retryMs(attempt, reached)), this.signal, this.platform);
    }
  }

  /** Who gives tokens may be away as well: only an UploadError is final. */
  private async newToken(expired: boolean): Promise<string> {
    const { tokenOf, signal } = this;
    if (typeof tokenOf === 'string') return tokenOf;
    const ended = new AbortController();
    try {
      const late = pause(TOKEN_MS, AbortSignal.any([signal, ended.signal])).then(() => {
        throw new ConnectionLost('No token came.');
      });
      return await Promise.race([tokenOf({ expired }), late]);
    } catch (error) {
      if (error instanceof UploadError) throw error;
      throw new ConnectionLost(String(error));
    } finally {
      ended.abort();
    }
  }

  private async post(body: object, token: string, patienceMs: number): Promise<Answer> {
    const begun = performance.now();
    const answer = await within(patienceMs, this.signal, this.platform, {
      method: 'POST',
      url: `${this.endpoint}/graphql`,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify(body),
    });
    this.onAnswer(performance.now() - begun);
    return answer;
  }
}

/** A request that has an end, whatever becomes of it. */
export async function within(ms: number, signal: AbortSignal, platform: Platform, request: Outgoing): Promise<Answer> {
  if (signal.aborted) throw new ConnectionLost('Given up.');
  const sending = platform.send(request);
  const timer = setTimeout(() => sending.abort(), ms);
  const abort = () => sending.abort();
  signal.addEventListener('abort', abort);
  try {
    return await sending.answer;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

/** Waits; the machine's coming online ends it early. @throws UploadError CANCELLED when `signal` ends it */
export async function pause(ms: number, signal: AbortSignal, platform?: Platform): Promise<void> {
  if (!signal.aborted) {
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        stop?.();
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      const stop = platform?.onOnline(done);
    });
  }
  if (signal.aborted) throw new UploadError('CANCELLED', 'The upload was cancelled.');
}
