import { once } from 'node:events';
import { WebSocket } from 'ws';

import type { Json } from './edge-app.js';

export interface Message {
  type: string;
  id?: string;
  payload?: Json;
}

/** A client of graphql-transport-ws that shows every message as it comes. */
export class SocketClient {
  readonly messages: Message[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  private wake = () => {};
  private read = 0;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data) => {
      this.messages.push(JSON.parse(String(data)) as Message);
      this.wake();
    });
    this.closed = new Promise((resolve) =>
      socket.once('close', (code, reason) => {
        resolve({ code, reason: String(reason) });
        this.wake();
      }),
    );
  }

  static async open(url: string, options: { origin?: string; payload?: object; init?: boolean } = {}) {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      origin: options.origin,
    });
    const client = new SocketClient(socket);
    await once(socket, 'open');
    if (options.init !== false) client.send({ type: 'connection_init', payload: options.payload });
    return client;
  }

  static async signedIn(url: string, token: string): Promise<SocketClient> {
    const client = await SocketClient.open(url, { payload: { authorization: `Bearer ${token}` } });
    const ack = await client.next();
    if (ack?.type !== 'connection_ack') throw new Error(`no acknowledgement but ${JSON.stringify(ack)}`);
    return client;
  }

  send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  subscribe(id: string, query: string, variables?: object): void {
    this.send({ id, type: 'subscribe', payload: { query, variables } });
  }

  /** The next message, or undefined when the socket is closed instead. */
  async next(): Promise<Message | undefined> {
    while (this.messages.length === this.read) {
      if (this.socket.readyState === WebSocket.CLOSED) return undefined;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.messages[this.read++];
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }
}

export interface EventStream {
  status: number;
  headers: Headers;
  /** The next event, or undefined at the end. */
  next(): Promise<{ event: string; data: Json } | undefined>;
  close(): void;
}

/** A client of graphql-sse, one request a subscription. */
export async function openStream(
  url: string,
  query: string,
  options: { token?: string; variables?: object; method?: string; accept?: string } = {},
): Promise<EventStream> {
  const { token, variables, method = 'POST', accept = 'text/event-stream' } = options;
  const abort = new AbortController();
  const response = await fetch(`${url}/graphql/stream`, {
    method,
    signal: abort.signal,
    headers: { accept, 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables }),
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    status: response.status,
    headers: response.headers,
    close: () => abort.abort(),
    async next() {
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end !== -1) {
          const block = text.slice(0, end);
          text = text.slice(end + 2);
          const event = /^event: (.*)$/m.exec(block)?.[1];
          const data = /^data: ?(.*)$/m.exec(block)?.[1];
          if (event) return { event, data: data ? JSON.parse(data) : null };
          continue;
        }
        const { value, done } = (await reader?.read()) ?? { done: true };
        if (done) return undefined;
        text += value;
      }
    },
  };
}
