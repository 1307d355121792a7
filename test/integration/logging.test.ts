import { connect } from 'node:net';
import { Controller, Get, Logger, Param } from '@nestjs/common';
import { Args, Query, Resolver } from '@nestjs/graphql';
import { Public } from '../../src/common/access/index.js';
import { logContext, runWithLogContext } from '../../src/common/logging/index.js';
import { type EdgeApp, startEdge } from './edge/edge-app.js';
import { openStream, SocketClient } from './edge/subscribers.js';

const SECRET = 'planted-0123456789-abcdef';
const log = new Logger('Test');

@Resolver()
class Doors {
  @Public()
  @Query(() => String)
  async knock(@Args('password') password: string): Promise<string> {
    await new Promise(setImmediate);
    log.log({ variables: { password } }, 'knocking');
    log.warn(`connect postgres://user:${password}@db/x with {"password":"${password}"}`);
    return logContext().requestId ?? 'none';
  }

  @Public()
  @Query(() => String)
  fall(@Args('password') password: string): string {
    const error = new Error(`failed at /media/${password}/x?X-Amz-Signature=${password}`);
    throw Object.assign(error, { query: 'SELECT $1', parameters: [password], headers: { cookie: `a=${password}` } });
  }
}

@Controller()
class Media {
  @Get('media/:token/x')
  get(@Param('token') token: string): string {
    throw new Error(`cannot serve /media/${token}/x`);
  }
}

let edge: EdgeApp;
beforeAll(async () => {
  edge = await startEdge([Doors], {}, [Media]);
});
afterAll(() => edge.app.close());
beforeEach(() => {
  edge.log.length = 0;
});
const lines = () => edge.log.map((line) => JSON.parse(line));

it('says for whom it was written', async () => {
  const token = edge.sessions.signIn('u1');
  const { data } = await edge.graphql('{ knock(password: "x") }', { token });
  const written = lines().filter((line) => line.logger === 'Test');
  expect(written).toHaveLength(2);
  expect(written[0]).toMatchObject({ level: 'info', msg: 'knocking', requestId: data.knock, userId: 'u1' });
  expect(lines().find((line) => line.msg === 'answered')).toMatchObject({
    method: 'POST',
    route: '/graphql',
    status: 200,
    requestId: data.knock,
    userId: 'u1',
  });
  edge.log.length = 0;
  runWithLogContext({ jobId: 'j1' }, () => log.log('working'));
  expect(lines()).toEqual([expect.objectContaining({ jobId: 'j1', msg: 'working' })]);
});

it('says of each line only what belongs to it', () => {
  runWithLogContext({ jobId: 'j2' }, () => {
    log.warn({ err: new Error('of the first') }, 'first');
    log.log('second');
  });
  const [, second] = lines();
  expect(Object.keys(second).sort()).toEqual(['jobId', 'level', 'logger', 'msg', 'time']);
});

it('keeps requests apart', async () => {
  const ids = await Promise.all(
    Array.from({ length: 20 }, async () => (await edge.graphql('{ knock(password: "x") }')).data.knock),
  );
  expect(new Set(ids).size).toBe(20);
});

it('knows the request also when its body comes late', async () => {
  const { port } = new URL(edge.url);
  const socket = connect(Number(port), '127.0.0.1');
  const body = JSON.stringify({ query: '{ knock(password: "x") }' });
  socket.write(
    `POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nX-Request-Id: late-12345\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
  );
  setTimeout(() => socket.write(body.slice(5)), 50);
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  expect(answer).toContain('{"data":{"knock":"late-12345"}}');
});

it('takes a request id from outside only when it is one, and gives it back', async () => {
  const ask = async (id: string) =>
    (await fetch(`${edge.url}/`, { headers: { 'x-request-id': id } })).headers.get('x-request-id');
  expect(await ask('proxy-12345678')).toBe('proxy-12345678');
  for (const id of ['short', 'with space in it', 'x'.repeat(200), '{"a":"b"}....']) expect(await ask(id)).not.toBe(id);
});

it('holds no secret, wherever one went through', async () => {
  const ask = (path: string, init?: RequestInit) => fetch(`${edge.url}${path}`, init);
  const headers = {
    authorization: `Bearer ${SECRET}`,
    cookie: `refresh=${SECRET}`,
    'content-type': 'application/json',
  };
  const variables = { password: SECRET };
  for (const field of ['knock', 'fall', 'missing']) {
    const query = `query ($password: String!) { ${field}(password: $password) }`;
    await ask('/graphql', { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
    await edge.graphql(query, { variables });
    await edge.graphql(`{ ${field}(password: "${SECRET}") }`);
  }
  await edge.graphql('query ($password: Int!) { knock(password: $password) }', { variables });
  await ask('/graphql', { method: 'POST', headers, body: `{"query": "${SECRET}` });
  await ask(`/media/${SECRET}/x`);
  await ask(`/media/${SECRET}/not-there?token=${SECRET}`);
  await ask(`/storage/x?signature=${SECRET}`);
  const socket = await SocketClient.open(edge.url, { payload: { authorization: `Bearer ${SECRET}` } });
  await socket.closed;
  const stream = await openStream(edge.url, 'subscription { x }', { token: SECRET, variables });
  stream.close();
  log.error(new Error(`Bearer ${SECRET}`), SECRET.replace(SECRET, 'x'));
  log.debug('planted-token-secret-0123456789abcdef planted-playback-secret-0123456789ab');

  const text = edge.log.join('');
  expect(edge.log.length).toBeGreaterThan(20);
  expect(text).toContain('failed at /media/[redacted]/x');
  expect(text).not.toContain(SECRET);
  expect(text).not.toContain('planted-token-secret');
  expect(text).not.toContain('planted-playback-secret');
});

it('answers an unexpected failure over plain HTTP with its id alone', async () => {
  const response = await fetch(`${edge.url}/media/t/x`);
  expect(response.status).toBe(500);
  const traceId = response.headers.get('x-request-id');
  expect(await response.json()).toEqual({ message: 'Something went wrong on our side.', traceId });
  expect(lines().find((line) => line.level === 'error')).toMatchObject({ requestId: traceId, msg: 'unexpected error' });
});
