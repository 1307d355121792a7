import { setTimeout as pause } from 'node:timers/promises';
import { Away, EXIT, Problem } from './problem.js';

/** Short at first: where the answer to a token's renewal was lost, it must be asked for again within a minute. */
const PATIENCE_MS = [4_000, 8_000, 16_000];
const MOST_PATIENCE_MS = 20_000;
/** Together some 20 s: longer than a server takes to start anew. */
const PAUSES_MS = [250, 500, 1_000, 2_000, 4_000, 6_000, 6_000];

interface Answer {
  data?: Record<string, unknown> | null;
  errors?: { message: string; extensions?: { code?: string } }[];
}
interface UserError {
  code: string;
  message: string;
}

/**
 * One operation of the API; what is lost on the way is sent again.
 * @throws Problem with the API's code; without one where the server does not answer
 */
export async function ask<Data>(
  endpoint: string,
  query: string,
  variables: object = {},
  accessToken: string | null = null,
): Promise<Data> {
  for (let attempt = 0; ; attempt++) {
    try {
      const { data, errors } = await post(
        endpoint,
        { query, variables },
        accessToken,
        PATIENCE_MS[attempt] ?? MOST_PATIENCE_MS,
      );
      const [error] = errors ?? [];
      if (error) throw new Problem(error.message, EXIT.failed, error.extensions?.code ?? null);
      return data as Data;
    } catch (error) {
      if (error instanceof Problem) throw error;
      const wait = PAUSES_MS[attempt];
      if (wait === undefined) {
        throw new Away(
          `${endpoint} does not answer (${reasonOf(error)}). Look at the address and the network, then run it again.`,
        );
      }
      await pause(wait * (0.5 + Math.random()));
    }
  }
}

/** The payload of a mutation; its first user error is thrown as a Problem. */
export async function mutate<Payload>(
  endpoint: string,
  query: string,
  variables: object = {},
  accessToken: string | null = null,
): Promise<Payload> {
  const { payload } = await ask<{ payload: Payload & { userErrors: UserError[] } }>(
    endpoint,
    query,
    variables,
    accessToken,
  );
  const [error] = payload.userErrors;
  if (error) throw new Problem(error.message, EXIT.failed, error.code);
  return payload;
}

async function post(endpoint: string, body: object, accessToken: string | null, patienceMs: number): Promise<Answer> {
  const response = await fetch(`${endpoint}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/graphql-response+json',
      ...(accessToken === null ? {} : { authorization: `Bearer ${accessToken}` }),
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(patienceMs),
  });
  if (response.status >= 500) throw new Error(`it answered ${response.status}`);
  if (!response.headers.get('content-type')?.includes('json')) {
    throw new Problem(`${endpoint} answers, but is no Sluice (${response.status}). Give the right --endpoint.`);
  }
  return (await response.json()) as Answer;
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error & { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message;
}
