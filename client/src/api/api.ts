import type { Token } from '../api.js';
import { type Follower, follow, type Socket, type StreamEvent, socketTo } from './follow.js';
import { ApiError, type Operation } from './operation.js';

export interface ApiOptions {
  /** `https://video.example`; of a page's own server unless given. */
  endpoint?: string;
  /** A token, or who gives one. Left out: what nobody in particular may ask. */
  token?: Token;
}

interface Answer<Data> {
  data?: Data | null;
  errors?: readonly { message: string; extensions?: { code?: string; retryAfterMs?: number } }[];
}

/** In browsers; Node names an endpoint. */
const page = globalThis as unknown as { location: { origin: string } };
const ANSWER_MS = 20_000;

/** The GraphQL API with typed operations: `await api.request(Channel, { handle: 'ada' })`. */
export class Api {
  private readonly endpoint: string;
  private readonly url: string;
  private token: Promise<string> | null = null;
  private socket: Socket | null = null;

  constructor(private readonly options: ApiOptions = {}) {
    this.endpoint = options.endpoint ?? page.location.origin;
    this.url = `${this.endpoint}/graphql`;
  }

  /**
   * Asks once; with a new token a second time where the first was refused. Whether to try again after OFFLINE is for the caller:
   * reads can be, and mutations that say so.
   * @throws ApiError
   */
  async request<Data, Variables>(
    operation: Operation<Data, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ): Promise<Data> {
    for (let refused: string | null = null; ; ) {
      const token = await this.tokenFor(refused);
      const { data, errors } = await this.post<Data>(operation, variables, token, signal);
      const [error] = errors ?? [];
      if (!error && data) return data;
      const code = error?.extensions?.code ?? 'INTERNAL';
      if (code === 'UNAUTHENTICATED' && refused === null && typeof this.options.token === 'function') {
        refused = token;
        continue;
      }
      const message = error?.message ?? 'The server answered nothing.';
      throw new ApiError(code, message, null, error?.extensions?.retryAfterMs ?? null);
    }
  }

  /**
   * Follows an event stream without end: after a break it goes on where it was, and each event is told once.
   * @returns how to stop
   */
  follow<Event extends StreamEvent, Variables extends { after?: string | null }>(
    operation: Operation<Record<string, Event>, Variables>,
    variables: Omit<Variables, 'after'>,
    follower: Follower<Event>,
  ): () => void {
    this.socket ??= socketTo(this.url, (refused) => this.tokenFor(refused));
    return follow(this.socket, operation, variables, follower);
  }

  /**
   * Says that a video is being watched, some seconds into it. It counts once per viewer and hour however often it is said, so this tries
   * again by itself, for a minute.
   * @throws ApiError `NOT_FOUND` where there is nothing to watch, `OFFLINE` where nobody took it, or what else the server refuses it for
   */
  async recordView(videoId: string): Promise<void> {
    let refused: string | null = null;
    for (let wait = 1_000; wait < 64_000; wait *= 2) {
      const token = await this.tokenFor(refused);
      const response = await fetch(`${this.endpoint}/views/${encodeURIComponent(videoId)}`, {
        method: 'POST',
        // Goes out also where the page is left.
        keepalive: true,
        headers: token ? { authorization: `Bearer ${token}` } : {},
        signal: AbortSignal.timeout(ANSWER_MS),
      }).catch(() => null);
      const status = response?.status ?? 0;
      if (status === 204) return;
      if (status === 401 && refused === null && typeof this.options.token === 'function') {
        refused = token;
        continue;
      }
      // Later is no better.
      if (status >= 400 && status < 500 && status !== 429) {
        const code = status === 404 ? 'NOT_FOUND' : status === 401 ? 'UNAUTHENTICATED' : 'ORIGIN_NOT_ALLOWED';
        throw new ApiError(code, 'The view was not taken.');
      }
      const asked = Math.min(Number(response?.headers.get('retry-after')) || 0, 60) * 1_000;
      await new Promise((resolve) => setTimeout(resolve, asked + wait * (0.5 + Math.random() / 2)));
    }
    throw new ApiError('OFFLINE', 'The view was not taken.');
  }

  /** @param refused what was no good: whoever comes with it gets another one, which is asked for once */
  private async tokenFor(refused: string | null): Promise<string | null> {
    const give = this.options.token;
    if (typeof give !== 'function') return give ?? null;
    this.token ??= this.asked(give, false);
    const kept = this.token;
    if (refused === null || (await kept) !== refused) return kept;
    if (this.token === kept) this.token = this.asked(give, true);
    return this.token;
  }

  private async asked(give: Exclude<Token, string>, expired: boolean): Promise<string> {
    try {
      return await give({ expired });
    } catch (error) {
      this.token = null;
      throw error;
    }
  }

  private async post<Data>(
    query: string,
    variables: unknown,
    token: string | null,
    signal?: AbortSignal,
  ): Promise<Answer<Data>> {
    const late = AbortSignal.timeout(ANSWER_MS);
    try {
      const response = await fetch(this.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
        body: JSON.stringify({ query, variables }),
        signal: signal ? AbortSignal.any([signal, late]) : late,
      });
      const answer = (await response.json()) as Answer<Data> | null;
      if (answer && (answer.data !== undefined || answer.errors)) return answer;
    } catch (error) {
      signal?.throwIfAborted();
      throw new ApiError('OFFLINE', error instanceof Error ? error.message : String(error));
    }
    throw new ApiError('OFFLINE', 'What answered is no Sluice.');
  }
}
