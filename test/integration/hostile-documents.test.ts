import { GraphQLSchemaHost } from '@nestjs/graphql';
import type { GraphQLObjectType } from 'graphql';
import { type HostileDocument, hostileDocuments } from '../support/hostile-documents.js';
import { startApp, type TestApp } from '../support/index.js';
import { SocketClient } from './edge/subscribers.js';

let app: TestApp;
let ran: string[] = [];
beforeAll(async () => {
  app = await startApp({ role: 'api', rateLimitFactor: 1_000 });
  const { schema } = app.get(GraphQLSchemaHost);
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
  for (const field of roots.flatMap((root) => Object.values((root as GraphQLObjectType).getFields()))) {
    for (const step of ['resolve', 'subscribe'] as const) {
      const real = field[step];
      if (!real) continue;
      field[step] = (...args) => {
        ran.push(field.name);
        return real(...args);
      };
    }
  }
});
afterAll(() => app.stop());
beforeEach(() => {
  ran = [];
});

interface Answer {
  status?: number;
  /** Of the WebSocket. */
  closed?: number;
  data?: unknown;
  errors?: readonly { message: string; extensions?: { code?: string } }[];
}

async function post(path: string, accept: string, body: unknown): Promise<Answer> {
  const response = await fetch(`${app.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  const json = /^event: next\ndata: (.*)$/m.exec(text)?.[1] ?? text;
  return { status: response.status, ...(JSON.parse(json) as object) };
}

const over = {
  HTTP: ({ body }: HostileDocument) => post('/graphql', 'application/json', body),
  SSE: ({ body }: HostileDocument) => post('/graphql/stream', 'text/event-stream', body),
  WebSocket: async ({ body }: HostileDocument): Promise<Answer> => {
    const client = await SocketClient.open(app.url);
    await client.next();
    client.send({ id: '1', type: 'subscribe', payload: body });
    const message = await client.next();
    if (!message) return { closed: (await client.closed).code };
    await client.close();
    return message.type === 'error' ? { errors: message.payload } : (message.payload as Answer);
  },
};

it('are fifty at least, of every kind', () => {
  expect(hostileDocuments.length).toBeGreaterThanOrEqual(50);
  expect(new Set(hostileDocuments.map(({ kind, name }) => `${kind} ${name}`)).size).toBe(hostileDocuments.length);
});

describe.each(['HTTP', 'WebSocket', 'SSE'] as const)('over %s', (transport) => {
  it.each(hostileDocuments.map((one) => [`${one.kind}: ${one.name}`, one] as const))('%s', async (_, document) => {
    const answer = await over[transport](document);
    const { code } = document;
    if (code === 'TOO_LARGE') expect(answer.status ?? answer.closed).toBe(transport === 'WebSocket' ? 1009 : 413);
    else if (code === 'NO_REQUEST') expect(answer.status ?? answer.closed).toBe(transport === 'WebSocket' ? 4400 : 400);
    else expect(answer.errors?.map(({ extensions }) => extensions?.code)).toContain(code);
    expect(answer.data ?? null).toBeNull();
    expect(ran).toEqual([]);
    // A refusal is short, however much was asked.
    expect(JSON.stringify(answer).length).toBeLessThan(60_000);
  });
});
