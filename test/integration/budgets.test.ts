import { randomUUID } from 'node:crypto';
import { Injectable, Module } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Extensions, Int, Mutation, Query, Resolver, Subscription } from '@nestjs/graphql';
import type { FastifyInstance, RouteOptions } from 'fastify';
import type { Redis } from 'ioredis';
import { Public } from '../../src/common/access/index.js';
import { limitOf } from '../../src/common/http/index.js';
import { RateLimits } from '../../src/common/rate-limits/index.js';
import { graphql, startApp, type TestApp, until } from '../support/index.js';
import { deleteKeys, sharedRedisUrl } from '../support/redis.js';
import { type EdgeApp, startEdge } from './edge/edge-app.js';
import { openStream, SocketClient } from './edge/subscribers.js';

let ran = 0;

@Resolver()
class Dear {
  @Public()
  @Query(() => Int, { complexity: 4_000 })
  dear(): number {
    return ++ran;
  }

  @Public()
  @Extensions({ complexity: 4_000 })
  @Subscription(() => Int, { resolve: (value) => value })
  async *dearly(): AsyncGenerator<number> {
    yield ++ran;
  }

  @Public()
  @Extensions({ complexity: 4_000 })
  @Subscription(() => Int, { resolve: (value) => value })
  async *always(): AsyncGenerator<number> {
    for (let count = 1; ; count++) yield count;
  }

  @Public()
  @Mutation(() => Int, { complexity: 100 })
  login(): number {
    return 1;
  }
}

const BUDGET = 300_000;
const STATE = '{ rateLimit { cost limit remaining resetAt } }';
const redisPrefix = `test-${randomUUID()}:`;
const edges: EdgeApp[] = [];
const start = async (redisUrl?: string, rateLimitFactor = 1): Promise<EdgeApp> => {
  const edge = await startEdge([Dear], { redisPrefix, trustProxy: 1, rateLimitFactor, ...(redisUrl && { redisUrl }) });
  edges.push(edge);
  return edge;
};
afterAll(async () => {
  for (const { app } of edges) await app.close();
  await deleteKeys(redisPrefix);
});

const ask = (edge: EdgeApp, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${edge.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const from = (address: string) => ({ 'x-forwarded-for': address });
/** How many of these that cost 4,000 run, in the order of asking. */
const admitted = async (edge: EdgeApp, headers: Record<string, string>, times: number): Promise<number> => {
  let count = 0;
  for (let k = 0; k < times; k++) if ((await ask(edge, { query: '{ dear }' }, headers)).status === 200) count++;
  return count;
};

it('tells what an operation cost, and what is left of it', async () => {
  const edge = await start();
  const token = edge.sessions.signIn('ada');
  const state = async (query = STATE) => {
    const { data } = (await (await ask(edge, { query }, bearer(token))).json()) as {
      data: { rateLimit: { cost: number; limit: number; remaining: number; resetAt: string } };
    };
    return data.rateLimit;
  };
  const first = await state();
  expect(first).toEqual({ cost: 1, limit: BUDGET, remaining: BUDGET - 1, resetAt: expect.any(String) });
  const within = Date.parse(first.resetAt) - Date.now();
  expect(within).toBeGreaterThan(50_000);
  expect(within).toBeLessThanOrEqual(60_000);
  expect(await state(`{ dear ...S } fragment S on Query ${STATE}`)).toMatchObject({
    cost: 4_001,
    remaining: BUDGET - 4_002,
  });
  // What cannot be read costs too.
  expect((await ask(edge, { query: '{ nothing }' }, bearer(token))).status).toBe(400);
  expect(await state()).toMatchObject({ remaining: BUDGET - 5_003 });
});

it('says on every answer of /graphql how one stands', async () => {
  const edge = await start();
  const policy = async (body: unknown, headers?: Record<string, string>) => {
    const answer = await ask(edge, body, headers);
    expect(answer.headers.get('ratelimit')).toMatch(/^"[a-z-]+";r=\d+;t=\d+$/);
    return answer.headers.get('ratelimit-policy');
  };
  const budget = `"graphql";q=${BUDGET};w=60`;
  expect(await policy({ query: '{ dear }' })).toBe(budget);
  expect(await policy({ query: '{ dear }' }, bearer(edge.sessions.signIn('bob')))).toBe(budget);
  expect(await policy({ query: '{ nothing }' })).toBe(budget);
  expect(await policy({ query: '{' })).toBe(budget);
  expect(await policy([{ query: '{ dear }' }])).toMatch(/^"requests"/);
  expect((await fetch(`${edge.url}/graphql?query={dear}`)).headers.get('ratelimit')).toMatch(/^"requests"/);
  const stream = await openStream(edge.url, STATE);
  expect(stream.headers.get('ratelimit-policy')).toBe(budget);
  stream.close();
});

it('refuses on every transport what goes beyond it, and runs nothing of it', async () => {
  const edge = await start();
  const token = edge.sessions.signIn('eve');
  const client = await SocketClient.signedIn(edge.url, token);
  client.subscribe('1', STATE);
  expect(await client.next()).toMatchObject({
    type: 'next',
    payload: { data: { rateLimit: { cost: 1, limit: BUDGET, remaining: BUDGET - 1 } } },
  });
  expect(await client.next()).toMatchObject({ type: 'complete' });
  const told = await openStream(edge.url, STATE, { token });
  expect((await told.next())?.data).toMatchObject({ data: { rateLimit: { remaining: BUDGET - 2 } } });
  told.close();

  const before = ran;
  for (let k = 0; k < 10; k++) {
    client.subscribe(`dear ${k}`, 'subscription { dearly }');
    expect((await client.next())?.type).toBe('next');
    expect((await client.next())?.type).toBe('complete');
    const stream = await openStream(edge.url, 'subscription { dearly }', { token });
    expect((await stream.next())?.data).toMatchObject({ data: { dearly: expect.any(Number) } });
    stream.close();
  }
  client.subscribe('2', STATE);
  expect(await client.next()).toMatchObject({ payload: { data: { rateLimit: { remaining: BUDGET - 80_003 } } } });
  expect((await client.next())?.type).toBe('complete');
  expect(await admitted(edge, bearer(token), 55)).toBe(54);
  expect(ran - before).toBe(74);

  const refusal = { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) };
  const answer = await ask(edge, { query: '{ dear }' }, bearer(token));
  expect(answer.status).toBe(429);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(answer.headers.get('ratelimit')).toMatch(/^"graphql";r=\d+;t=\d+$/);
  expect(await answer.json()).toMatchObject({ errors: [{ extensions: refusal }] });
  client.subscribe('last', 'subscription { dearly }');
  expect(await client.next()).toMatchObject({ type: 'error', payload: [{ extensions: refusal }] });
  await client.close();
  const stream = await openStream(edge.url, 'subscription { dearly }', { token });
  expect(stream.status).toBe(429);
  expect(Number(stream.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(stream.headers.get('ratelimit')).toMatch(/^"graphql";r=\d+;t=\d+$/);
  stream.close();
  expect(ran - before).toBe(74);
  // It is the user's, whatever the address; and nobody else's.
  expect(await admitted(edge, { ...bearer(token), ...from('203.0.113.7') }, 1)).toBe(0);
  expect(await admitted(edge, bearer(edge.sessions.signIn('zoe')), 1)).toBe(1);
  expect(await admitted(edge, {}, 1)).toBe(1);
});

it('knows those who are not signed in by their address, of IPv6 by its first half', async () => {
  const edge = await start();
  expect(await admitted(edge, from('2001:db8::1'), 80)).toBe(75);
  expect(await admitted(edge, from('2001:db8:0:0:ffff::2'), 1)).toBe(0);
  expect(await admitted(edge, from('[2001:db8::3]:50123'), 1)).toBe(0);
  expect(await admitted(edge, from('2001:db8:0:1::1'), 1)).toBe(1);
  expect(await admitted(edge, from('198.51.100.1'), 1)).toBe(1);
});

it('has each event of a stream paid for, and ends the stream that cannot pay', async () => {
  const edge = await start();
  const refusal = { code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) };
  const stream = await openStream(edge.url, 'subscription { always }', { token: edge.sessions.signIn('ida') });
  for (let count = 1; count <= 75; count++) {
    expect((await stream.next())?.data).toEqual({ data: { always: count } });
  }
  expect((await stream.next())?.data).toMatchObject({ errors: [{ extensions: refusal }] });
  expect((await stream.next())?.event).toBe('complete');
  const client = await SocketClient.signedIn(edge.url, edge.sessions.signIn('ivo'));
  client.subscribe('1', 'subscription { always }');
  for (let count = 1; count <= 75; count++) {
    expect(await client.next()).toMatchObject({ payload: { data: { always: count } } });
  }
  expect(await client.next()).toMatchObject({ payload: { errors: [{ extensions: refusal }] } });
  expect(await client.next()).toMatchObject({ type: 'complete' });
  await client.close();
});

it('is bounded for all accounts that one address has', async () => {
  const edge = await start(undefined, 0.1);
  const there = from('198.51.100.40');
  let count = 0;
  const tokens = Array.from({ length: 11 }, (_, k) => bearer(edge.sessions.signIn(`many-${k}`)));
  for (const token of tokens) count += await admitted(edge, { ...token, ...there }, 7);
  expect(count).toBe(75);
  const last = tokens.at(-1) as Record<string, string>;
  expect(await admitted(edge, { ...last, ...from('198.51.100.41') }, 1)).toBe(1);
});

it('has nobody read on at an address whose accounts have used up nearly all of it', async () => {
  const edge = await start(undefined, 0.1);
  const there = from('198.51.100.60');
  const tokens = Array.from({ length: 11 }, (_, k) => ({ ...bearer(edge.sessions.signIn(`nearly-${k}`)), ...there }));
  let count = 0;
  for (const [k, token] of tokens.entries()) count += await admitted(edge, token, k < 10 ? 7 : 4);
  expect(count).toBe(74);
  const last = tokens.at(-1) as Record<string, string>;
  const status = async (query: string) => (await ask(edge, { query }, last)).status;
  // All but 999 of what the address has, and a third of what this account has.
  for (let k = 0; k < 3; k++) expect(await status('{ nothing }')).toBe(400);
  expect(await status(STATE)).toBe(200);
  expect(await status('{ nothing }')).toBe(400);
  expect(await status('no GraphQL at all')).toBe(429);
});

it('has something apart for who signs in, which nothing else takes from', async () => {
  const edge = await start();
  const there = from('198.51.100.50');
  expect(await admitted(edge, there, 76)).toBe(75);
  const login = (query: string) => ask(edge, { query }, there);
  const answer = await login('mutation { login }');
  expect(answer.status).toBe(200);
  expect(answer.headers.get('ratelimit')).toMatch(/^"graphql-signing-in";r=99900;/);
  expect((await login('mutation { login nothing }')).status).toBe(400);
  expect((await login('mutation { login }')).headers.get('ratelimit')).toMatch(/;r=99700;/);
  expect((await login('mutation { nothing login }')).status).toBe(429);
  expect((await login('mutation { login } '.padEnd(2_000))).status).toBe(429);
});

it('looks at nothing of what comes from somebody who is known to have nothing left', async () => {
  const edge = await start();
  const there = from('192.0.2.99');
  // The first refusal takes nothing, since nothing is left.
  expect(await admitted(edge, there, 76)).toBe(75);
  const answer = await ask(edge, { query: 'no GraphQL at all' }, there);
  expect(answer.status).toBe(429);
});

it('is one budget for all processes, but for parcels that they have taken', async () => {
  const [one, other] = [await start(sharedRedisUrl()), await start(sharedRedisUrl())];
  // Until then each counts alone.
  const redisOf = ({ app }: EdgeApp) => (app.get(RateLimits, { strict: false }) as unknown as { redis: Redis }).redis;
  for (const edge of [one, other])
    await until(
      async () => redisOf(edge).status,
      (status) => status === 'ready',
      10,
    );
  const tokens = [one, other].map((edge) => bearer(edge.sessions.signIn('kim')));
  let count = 0;
  for (let k = 0; k < 40; k++) {
    count += await admitted(one, tokens[0] as Record<string, string>, 1);
    count += await admitted(other, tokens[1] as Record<string, string>, 1);
  }
  expect(count).toBeLessThanOrEqual(75);
  expect(count).toBeGreaterThanOrEqual(73);
});

describe('plain endpoints', () => {
  const routes: { method: string; url: string }[] = [];

  @Injectable()
  class Routes {
    constructor(host: HttpAdapterHost) {
      const server: FastifyInstance = host.httpAdapter.getInstance();
      server.addHook('onRoute', ({ method, url }: RouteOptions) => {
        for (const one of [method].flat()) routes.push({ method: one, url });
      });
    }
  }
  @Module({ providers: [Routes] })
  class RoutesModule {}

  let app: TestApp;
  beforeAll(async () => {
    app = await startApp({ role: 'api', trustProxy: 1 }, [RoutesModule]);
  });
  afterAll(() => app.stop());

  const EXEMPT = ['/livez', '/metrics', '/readyz'];
  const ADDRESS = '203.0.113.50';

  it('are all bounded, or named here', async () => {
    const limits = app.get(RateLimits);
    for (const limit of [limitOf('/media'), limitOf('/'), { name: 'tus', points: 6_000, seconds: 60 }]) {
      if (!limit) throw new Error('There is no such limit.');
      await limits.spend(limit, ADDRESS, limit.points);
    }
    expect(routes.length).toBeGreaterThan(25);
    const statuses: [string, number][] = [];
    for (const { method, url } of [...routes, { method: 'GET', url: '/nothing/here' }]) {
      const path = url.replaceAll(/:\w+/g, 'x').replaceAll('*', 'x');
      const { status } = await fetch(`${app.url}${path}`, { method, headers: from(ADDRESS) });
      statuses.push([`${method} ${url}`, status]);
    }
    // tus' own clients take other answers for "later"; its OPTIONS says what this server can, and asks nothing.
    const later = statuses.filter(([, status]) => ![429, 503, 423].includes(status)).map(([route]) => route);
    expect(later.filter((route) => !route.startsWith('OPTIONS /tus')).sort()).toEqual(
      EXEMPT.flatMap((url) => [`GET ${url}`, `HEAD ${url}`]).sort(),
    );
  });

  it('say when to come back, to pages of other origins too', async () => {
    const answer = await fetch(`${app.url}/media/t/v/x`, {
      headers: { ...from(ADDRESS), origin: 'https://a.example' },
    });
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(answer.headers.get('access-control-allow-origin')).not.toBeNull();
    expect(await answer.json()).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) });
    const graph = await graphql(app.url, STATE);
    expect(graph.errors).toBeUndefined();
    expect((await fetch(`${app.url}/media/t/v/x`, { headers: from('203.0.113.51') })).status).toBe(404);
  });
});
