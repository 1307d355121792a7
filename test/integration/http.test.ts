import { connect } from 'node:net';
import { Query, Resolver } from '@nestjs/graphql';
import pg from 'pg';
import { ensureBuilt } from '../../scripts/setup.mjs';
import { Public } from '../../src/common/access/index.js';
import type { Config } from '../../src/common/config/index.js';
import { Database } from '../../src/common/database/index.js';
import { type HttpServer, httpAdapter } from '../../src/common/http/index.js';
import { startApp, type TestApp, testRedis, until } from '../support/index.js';
import { type EdgeApp, startEdge } from './edge/edge-app.js';

@Resolver()
class Ok {
  @Public()
  @Query(() => Boolean)
  ok(): boolean {
    return true;
  }
}

describe('other origins', () => {
  let edge: EdgeApp;
  beforeAll(async () => {
    edge = await startEdge([Ok], { corsOrigins: ['https://app.example', 'https://b.example'] });
  });
  afterAll(() => edge.app.close());

  const preflight = (origin: string, path: string, method: string, headers: string) =>
    fetch(`${edge.url}${path}`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': headers },
    });

  it.each([
    ['/graphql', 'POST', 'authorization,content-type'],
    ['/graphql/stream', 'POST', 'authorization,content-type'],
    ['/media/token/video/x.m4s', 'GET', 'range'],
    ['/storage/incoming/x', 'PUT', 'x-amz-checksum-sha256,if-none-match'],
  ])('may use %s (%s) when they are named', async (path, method, headers) => {
    const answer = await preflight('https://b.example', path, method, headers);
    expect(answer.status).toBe(204);
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://b.example');
    expect(answer.headers.get('access-control-allow-methods')).toContain(method);
    expect(answer.headers.get('access-control-allow-headers')).toBe(headers);
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
    expect(answer.headers.get('vary')).toMatch(/origin/i);
    const foreign = await preflight('https://evil.example', path, method, headers);
    expect(foreign.headers.get('access-control-allow-origin')).not.toBe('https://evil.example');
    expect(foreign.headers.get('access-control-allow-origin')).not.toBe('*');
  });

  it('may read the headers that they need', async () => {
    const answer = await fetch(`${edge.url}/graphql`, {
      method: 'POST',
      headers: { origin: 'https://app.example', 'content-type': 'application/json' },
      body: '{"query":"{ ok }"}',
    });
    expect(await answer.json()).toEqual({ data: { ok: true } });
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example');
    const exposed = answer.headers.get('access-control-expose-headers')?.split(/, ?/);
    expect(exposed).toEqual(
      expect.arrayContaining(['X-Request-Id', 'ETag', 'Content-Range', 'Accept-Ranges', 'Retry-After']),
    );
  });

  it('are all welcome when none is named', async () => {
    const open = await startEdge([Ok], { corsOrigins: '*' });
    const answer = await fetch(`${open.url}/graphql`, { headers: { origin: 'https://any.example' } });
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    await open.app.close();
  });
});

describe('the pages', () => {
  let edge: EdgeApp;
  beforeAll(async () => {
    ensureBuilt({ parts: ['pages'] });
    edge = await startEdge([Ok]);
  }, 120_000);
  afterAll(() => edge.app.close());

  it.each([
    '/',
    '/watch/VmlkZW86MQ',
    '/setup',
    '/graphql',
  ])('%s works offline and under a strict policy', async (path) => {
    const answer = await fetch(`${edge.url}${path}`, {
      headers: { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' },
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^text\/html/);
    expect(answer.headers.get('cache-control')).toBe('no-cache');
    expect(answer.headers.get('content-security-policy')).toMatch(/default-src 'self'; script-src 'self';/);
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer');
    const html = await answer.text();
    expect(html).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
    const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((match) => match[1]);
    expect(assets.length).toBeGreaterThan(0);
    for (const asset of assets) {
      const file = await fetch(`${edge.url}${asset}`);
      expect([asset, file.status]).toEqual([asset, 200]);
      expect(file.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    }
  });

  it('are all there is to read', async () => {
    for (const path of [
      '/assets/',
      '/assets/../index.html',
      '/assets/%2e%2e/index.html',
      '/assets/..%2f..%2fmain.js',
    ]) {
      expect((await fetch(`${edge.url}${path}`)).status).toBeGreaterThanOrEqual(400);
    }
  });
});

describe('health', () => {
  let app: TestApp;
  let redis: Awaited<ReturnType<typeof testRedis>>;
  beforeAll(async () => {
    redis = await testRedis();
    app = await startApp({ redisUrl: redis.url });
  });
  afterAll(() => app.stop());

  const ask = async (path: string) => {
    const answer = await fetch(`${app.url}${path}`);
    return { status: answer.status, body: await answer.json() };
  };

  it('tells what is there and what is away, in time', async () => {
    expect(await ask('/livez')).toEqual({ status: 200, body: { status: 'ok' } });
    expect(await ask('/readyz')).toEqual({ status: 200, body: { status: 'ok', database: 'ok', redis: 'ok' } });
    await redis.stop();
    const started = Date.now();
    // An answer is kept for half a second.
    const ready = await until(
      () => ask('/readyz'),
      ({ body }) => (body as { redis: string }).redis !== 'ok',
    );
    expect(ready).toEqual({ status: 200, body: { status: 'degraded', database: 'ok', redis: 'away' } });
    expect(Date.now() - started).toBeLessThan(3_000);
  });

  it('asks the database once for all who want to know', async () => {
    const query = jest.spyOn(app.get(Database), 'query');
    const asked = () => query.mock.calls.filter(([sql]) => sql === 'SELECT 1').length;
    await until(
      () => ask('/readyz'),
      () => asked() > 0,
    );
    query.mockClear();
    await Promise.all(Array.from({ length: 200 }, () => ask('/readyz')));
    expect(asked()).toBeLessThan(10);
    query.mockRestore();
  });

  it('sends nobody here while the database is away, or the process drains', async () => {
    const name = new URL(app.database.url).pathname.slice(1);
    const admin = new pg.Client(process.env.SLUICE_TEST_POSTGRES);
    await admin.connect();
    await admin.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`);
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
    const asked = (status: number) =>
      until(
        () => ask('/readyz'),
        (answer) => answer.status === status,
      );
    expect(await asked(503)).toMatchObject({ body: { status: 'unavailable', database: 'away' } });
    expect(await ask('/livez')).toMatchObject({ status: 200 });
    await admin.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS true`);
    await admin.end();
    expect(await asked(200)).toMatchObject({ body: { database: 'ok' } });
    (app.nest.getHttpAdapter() as unknown as HttpServer).beforeClose();
    expect(await ask('/readyz')).toMatchObject({ status: 503, body: { status: 'draining' } });
  });
});

it('a body that trickles is cut off, one that is there may be worked on for longer', async () => {
  const config = { publicUrl: 'http://localhost', corsOrigins: '*', trustProxy: false, s3: null } as unknown as Config;
  const adapter = httpAdapter(config, { bodyMs: 300 });
  const fastify = adapter.getInstance();
  fastify.post('/late', async () => {
    await new Promise((resolve) => setTimeout(resolve, 900));
    return { ok: true };
  });
  const url = await fastify.listen({ port: 0, host: '127.0.0.1' });
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => undefined).resume();
  socket.write('POST /late HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{');
  const trickle = setInterval(() => socket.write(' '), 50);
  const [answer] = await Promise.all([
    fetch(`${url}/late`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }),
    // Not once(): being reset is an end too.
    new Promise((resolve) => socket.once('close', resolve)),
  ]);
  clearInterval(trickle);
  expect(await answer.json()).toEqual({ ok: true });
  expect(answer.headers.get('cache-control')).toBe('no-store');
  await fastify.close();
}, 10_000);

it('a head that trickles is cut off, and so is a connection that says nothing', async () => {
  const config = { publicUrl: 'http://localhost', corsOrigins: '*', trustProxy: false, s3: null } as unknown as Config;
  const fastify = httpAdapter(config, { headersMs: 300 }).getInstance();
  const url = await fastify.listen({ port: 0, host: '127.0.0.1' });
  const sockets = Array.from({ length: 2 }, () => connect(Number(new URL(url).port), '127.0.0.1'));
  const closed = sockets.map(
    (socket) =>
      new Promise((resolve) =>
        socket
          .on('error', () => undefined)
          .resume()
          .once('close', resolve),
      ),
  );
  sockets[0]?.write('GET /livez HTTP/1.1\r\nHost: x\r\n');
  const trickle = setInterval(() => sockets[0]?.write('X-A: b\r\n'), 50);
  await Promise.all(closed);
  clearInterval(trickle);
  await fastify.close();
}, 5_000);
