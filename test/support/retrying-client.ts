import { setTimeout as pause } from 'node:timers/promises';
import { type Answer, ApiClient, type Chunk, type Target } from './client.js';

const GIVE_UP_MS = 30_000;
/** What a proxy or a server says that did nothing, or cannot tell: the same may be sent again. */
const REPEATABLE = new Set([502, 503, 504]);

/** Of everything that a client sent, how much it had to send again, and why. */
export class Retries {
  requests = 0;
  readonly repeated: Record<string, number> = {};
  longestMs = 0;

  /**
   * Sends until there is an answer, as every client of a network should: a connection that failed, 502, 503 and 504 are
   * tried again, sooner at first. The caller sees to it that twice is as good as once.
   * @throws after 30 s
   */
  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const begun = performance.now();
    this.requests++;
    for (let attempt = 0; ; attempt++) {
      let why: string;
      try {
        const response = await fetch(url, { ...init, signal: AbortSignal.timeout(20_000) });
        const body = await response.arrayBuffer();
        if (!REPEATABLE.has(response.status)) {
          this.longestMs = Math.max(this.longestMs, performance.now() - begun);
          return new Response(body.byteLength > 0 ? body : null, response);
        }
        why = String(response.status);
      } catch (error) {
        const { message, cause } = error as Error & { cause?: NodeJS.ErrnoException };
        why = cause?.code ?? message;
      }
      const what = `${init.method ?? 'GET'} ${new URL(url).pathname.split('/', 2)[1]}: ${why}`;
      this.repeated[what] = (this.repeated[what] ?? 0) + 1;
      if (performance.now() - begun > GIVE_UP_MS) throw new Error(`${what}, for ${GIVE_UP_MS / 1000} s`);
      await pause(Math.min(1_000, 50 * 2 ** attempt) * (0.5 + Math.random() / 2));
    }
  }
}

/** An ApiClient that gives up nothing for one bad answer. All that it sends may be sent twice. */
export class RetryingClient extends ApiClient {
  constructor(
    client: ApiClient,
    readonly retries: Retries,
  ) {
    super(client.url, client.token, client.email);
  }

  override async post(query: string, variables: object = {}): Promise<Answer> {
    const response = await this.retries.fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${this.token}` },
      body: JSON.stringify({ query, variables }),
    });
    return response.json();
  }

  /** One chunk from signing to its commit. @returns what commitChunks answered at the end */
  async sendChunk(sessionId: string, chunk: Chunk, body: Buffer): Promise<Answer> {
    const { targets } = await this.commit(sessionId, { next: [chunk] });
    for (const target of targets as Target[]) {
      const { status } = await this.retries.fetch(target.url, {
        method: target.method,
        headers: Object.fromEntries(target.headers.map(({ name, value }) => [name, value])),
        body: new Uint8Array(body),
      });
      // 412: there already, by an attempt whose answer was lost.
      if (status !== 200 && status !== 412) throw new Error(`The store answered ${status}.`);
    }
    return this.commit(sessionId, { stored: [chunk] });
  }
}
