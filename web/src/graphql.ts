import { type Client, createClient, type SubscribePayload } from 'graphql-ws';

const HTTP_URL = new URL('/graphql', window.location.href).href;
const SOCKET_URL = HTTP_URL.replace(/^http/, 'ws');

/** What the server answers: RFC-like shape of the GraphQL specification, section 7. */
export interface GraphQLAnswer {
  data?: Record<string, unknown> | null;
  errors?: readonly { message: string; extensions?: { code?: string } }[];
}

/** A failure of the whole operation. `code` is `extensions.code` of the first error, or NETWORK. */
export class OperationFailed extends Error {
  constructor(
    message: string,
    readonly code: string,
  ) {
    super(message);
  }
}

/** A connection may die without a word; other tabs wait while a login is renewed. */
const PATIENCE_MS = 15_000;

/** One operation over HTTP. The cookie with the refresh token travels along; the server reads it in `refreshSession` alone. */
export async function post(operation: SubscribePayload, headers: Record<string, string>): Promise<GraphQLAnswer> {
  try {
    const response = await fetch(HTTP_URL, {
      method: 'POST',
      credentials: 'same-origin',
      headers: { accept: 'application/graphql-response+json', ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(operation),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const type = response.headers.get('content-type') ?? '';
    if (!type.includes('json')) throw new Error(`${response.status} ${response.statusText}`);
    return (await response.json()) as GraphQLAnswer;
  } catch (error) {
    const { message } = error as Error;
    throw new OperationFailed(
      `The server does not answer (${message}). Look at your network, and try again.`,
      'NETWORK',
    );
  }
}

/** A graphql-ws socket that comes back by itself for as long as something is subscribed. */
export function openSocket(connectionParams: () => Promise<Record<string, unknown>>): Client {
  return createClient({
    url: SOCKET_URL,
    connectionParams,
    retryAttempts: Number.POSITIVE_INFINITY,
    shouldRetry: () => true,
    retryWait: (retries) =>
      new Promise((resolve) => setTimeout(resolve, Math.min(10_000, 500 * 2 ** retries) * (0.5 + Math.random()))),
  });
}

/** `data`, or what went wrong as an exception. */
export function dataOf<Data>(answer: GraphQLAnswer): Data {
  const error = answer.errors?.[0];
  if (error) throw new OperationFailed(error.message, error.extensions?.code ?? 'INTERNAL');
  if (!answer.data) throw new OperationFailed('The server answered nothing.', 'NETWORK');
  return answer.data as Data;
}
