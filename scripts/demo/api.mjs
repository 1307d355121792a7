import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from 'graphql-sse';

/** A failure that trying again does not mend; `code` is the API's. */
export class ApiError extends Error {
  constructor(code, message) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

const ATTEMPTS = 8;

/** Runs `attempt` again, with growing pauses, while it fails for reasons of the way there. */
export async function patiently(attempt) {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt(tries);
    } catch (error) {
      if (error instanceof ApiError || tries === ATTEMPTS) throw error;
      await pause(Math.min(100 * 2 ** tries, 5000));
    }
  }
}

/** The public GraphQL API, as any frontend uses it. */
export class Api {
  #session = null;

  constructor(url) {
    this.url = url;
  }

  signIn(session) {
    this.#session = session;
  }

  /** The data of one operation. A lost answer is asked for again: every mutation of ours may be repeated. */
  async call(query, variables = {}) {
    const send = () => patiently(() => this.#send(query, variables));
    let answer = await send();
    if (answer.errors?.[0]?.extensions?.code === 'UNAUTHENTICATED' && this.#session) {
      await this.#refresh();
      answer = await send();
    }
    const [error] = answer.errors ?? [];
    if (error) throw new ApiError(error.extensions?.code ?? 'ERROR', error.message);
    return answer.data;
  }

  /** A mutation's payload, without user errors. */
  async mutate(name, inputType, input, fields) {
    const query = `mutation ($input: ${inputType}!) { ${name}(input: $input) { ${fields} userErrors { code message } } }`;
    const payload = (await this.call(query, { input }))[name];
    const [error] = payload.userErrors;
    if (error) throw new ApiError(error.code, error.message);
    return payload;
  }

  /** The states of a live subscription, for as long as it lasts; reconnects by itself. */
  async *watch(query, variables) {
    const client = createClient({
      url: `${this.url}/graphql/stream`,
      headers: () => this.#headers(),
      retryAttempts: 20,
    });
    try {
      for await (const { data, errors } of client.iterate({ query, variables })) {
        if (errors?.[0]) throw new ApiError(errors[0].extensions?.code ?? 'ERROR', errors[0].message);
        yield data;
      }
    } finally {
      client.dispose();
    }
  }

  #headers() {
    return this.#session ? { authorization: `Bearer ${this.#session.accessToken}` } : {};
  }

  async #send(query, variables) {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...this.#headers() },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(30_000),
    });
    if (response.status >= 500) throw new Error(`The server answered ${response.status}.`);
    return response.json();
  }

  async #refresh() {
    const { refreshToken } = this.#session;
    this.#session = null;
    const { session } = await this.mutate('refreshSession', 'RefreshSessionInput', { refreshToken }, SESSION);
    this.#session = session;
  }
}

export const SESSION = 'session { accessToken refreshToken }';
