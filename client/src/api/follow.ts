import { type Client, createClient, type FormattedExecutionResult } from 'graphql-ws/client';
import { ApiError, type Operation } from './operation.js';

/** What every event of an event stream has. */
export interface StreamEvent {
  /** Where the stream stands after it. */
  readonly cursor: string;
  /** Null in the first event of a stream without a cursor: nothing happened, it only says where it begins. */
  readonly id: string | null;
}

export interface Follower<Event extends StreamEvent> {
  /** Each event once, in its order. */
  onEvent(event: Event): void;
  /** The stream begins here, the first time or after a gap: read anew what it is about. What happens after it is told. */
  onBegin(): void;
  /** Whether it is connected. */
  onLive?(live: boolean): void;
  /** It will not go on by itself: missing, not yours to see any more, or nobody is signed in. */
  onEnd?(error: ApiError): void;
}

/** Events are told again after a break; so many of the latest are known. */
const KNOWN = 1_000;
/** Browsers tell; Node does not. */
const machine = globalThis as unknown as {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
};
const PING_MS = 12_000;
const PONG_MS = 6_000;
const WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 30_000;
/** A stream that goes on says nothing before something happens: it stands when it was asked for so long ago and not refused. */
const STANDS_MS = 1_000;
/** Answers that another try does not change. */
const FINAL = new Set([
  'NOT_FOUND',
  'FORBIDDEN',
  'BAD_USER_INPUT',
  'GRAPHQL_VALIDATION_FAILED',
  'GRAPHQL_PARSE_FAILED',
]);

/** @internal One socket for all streams of an Api, there as long as one of them is. */
export function socketTo(url: string, tokenOf: (refused: string | null) => Promise<string | null>): Socket {
  let token: string | null = null;
  let isExpired = false;
  let isOpen = false;
  let waiting: ReturnType<typeof setTimeout> | undefined;
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    // Each stream comes back by itself, with its own cursor.
    retryAttempts: 0,
    keepAlive: PING_MS,
    connectionParams: async () => {
      token = await tokenOf(isExpired ? token : null);
      isExpired = false;
      return token === null ? {} : { authorization: `Bearer ${token}` };
    },
    on: {
      // A link that is dead says nothing: the socket has to be given up.
      ping: (received) => {
        if (!received) waiting = setTimeout(() => client.terminate(), PONG_MS);
      },
      pong: (received) => {
        if (received) clearTimeout(waiting);
      },
      connected: () => {
        isOpen = true;
      },
      closed: () => {
        isOpen = false;
        clearTimeout(waiting);
      },
    },
  });
  return {
    client,
    whenOpen: (call) => {
      if (isOpen) call();
      return client.on('connected', call);
    },
    expire: () => {
      isExpired = true;
    },
  };
}

/** @internal */
export interface Socket {
  readonly client: Client;
  /** Calls it now, or when it is, and each time that it is again. @returns how to stop */
  whenOpen(call: () => void): () => void;
  /** The next connection takes a new token. */
  expire(): void;
}

/**
 * Follows an event stream without end: after any break it goes on at the last cursor, after a while that is random, so that
 * all clients of a server that was away do not come back at once.
 * @internal
 * @returns how to stop
 */
export function follow<Event extends StreamEvent, Variables extends object>(
  { client, expire, whenOpen }: Socket,
  query: Operation<Record<string, Event>, Variables>,
  variables: Omit<Variables, 'after'>,
  follower: Follower<Event>,
): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  void run();
  return () => stop.abort();

  async function run(): Promise<void> {
    let after: string | null = null;
    let refused = 0;
    let standing: ReturnType<typeof setTimeout> | undefined;
    const known = new Set<string>();
    for (let attempt = 0; !signal.aborted; attempt++) {
      let leastMs = 0;
      const stands = () => {
        attempt = 0;
        refused = 0;
        tell(() => follower.onLive?.(true));
      };
      const leave = whenOpen(() => {
        clearTimeout(standing);
        if (after !== null) standing = setTimeout(stands, STANDS_MS);
      });
      try {
        // Read at each sending: graphql-ws sends it again by itself where a socket was closed in good order.
        const current = {
          ...variables,
          get after() {
            return after;
          },
        };
        const payload = { query, variables: current };
        const results: AsyncIterableIterator<FormattedExecutionResult<Record<string, Event>, unknown>> =
          client.iterate<Record<string, Event>>(payload);
        const end = () => void results.return?.();
        signal.addEventListener('abort', end, { once: true });
        try {
          for await (const { data, errors } of results) {
            if (signal.aborted) return;
            const [error] = errors ?? [];
            if (error) throw refusalOf([error]);
            const event: Event | null | undefined = data && Object.values(data)[0];
            if (!event) continue;
            stands();
            const isFirst = after === null;
            after = event.cursor;
            if (isFirst) tell(() => follower.onBegin());
            if (event.id === null || known.has(event.id)) continue;
            known.add(event.id);
            for (const oldest of known.size > KNOWN ? known : []) {
              known.delete(oldest);
              break;
            }
            tell(() => follower.onEvent(event));
          }
        } finally {
          signal.removeEventListener('abort', end);
        }
      } catch (error) {
        if (signal.aborted) return;
        const refusal = refusalOf(error);
        const { code } = refusal;
        leastMs = refusal.retryAfterMs ?? 0;
        if (code === 'CURSOR_EXPIRED') {
          after = null;
          // A database that was restored gives numbers again.
          known.clear();
        }
        if (code === 'UNAUTHENTICATED') {
          expire();
          refused++;
        }
        if (FINAL.has(code) || refused > 1) {
          tell(() => follower.onLive?.(false));
          return tell(() => follower.onEnd?.(refusal));
        }
      } finally {
        leave();
        clearTimeout(standing);
      }
      if (signal.aborted) return;
      tell(() => follower.onLive?.(false));
      await wait(leastMs + Math.random() * Math.min(LONGEST_WAIT_MS, WAIT_MS * 2 ** attempt), signal);
    }
  }
}

/** What a listener throws is its own, and stops nothing here. */
function tell(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

interface GraphQLFailure {
  message: string;
  extensions?: { code?: unknown; retryAfterMs?: number };
}

function refusalOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  // What was refused before it began comes as a list of GraphQL errors.
  const [refused] = Array.isArray(error) ? (error as GraphQLFailure[]) : [];
  if (refused) {
    const { code = 'INTERNAL', retryAfterMs = null } = refused.extensions ?? {};
    return new ApiError(String(code), refused.message, null, retryAfterMs);
  }
  // The login session ended, or the token was no good.
  if ((error as { code?: number } | null)?.code === 4401) return new ApiError('UNAUTHENTICATED', 'Sign in again.');
  return new ApiError('OFFLINE', 'The server is not to be reached.');
}

/** @internal The machine's coming online ends it early. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      machine.removeEventListener?.('online', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    machine.addEventListener?.('online', done);
  });
}
