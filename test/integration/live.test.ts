import events from 'node:events';
import { connect } from 'node:net';
import { Args, Field, ObjectType, Query, Resolver, Subscription } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor, Public, Role } from '../../src/common/access/index.js';
import { NotFound } from '../../src/common/errors/index.js';
import { WebSockets } from '../../src/common/graphql/web-sockets.js';
import { Live } from '../../src/common/live/index.js';
import { freePort } from '../support/index.js';
import { type EdgeApp, startEdge } from './edge/edge-app.js';
import { startRedis } from './edge/redis.js';
import { openStream, SocketClient } from './edge/subscribers.js';

@ObjectType()
class Counter {
  @Field(() => Number)
  value: number;
}

/** What the counters say, and which of them each user may see. */
const values = new Map<string, number>();
let loads = 0;
let failing = false;
/** How many events the flood has made. */
let flooded = 0;

@Resolver(() => Counter)
class Counters {
  constructor(private readonly live: Live) {}

  @Public()
  @Query(() => Boolean)
  ok(): boolean {
    return true;
  }

  @Authenticated()
  @Subscription(() => Counter, { resolve: (counter) => counter })
  counter(@Args('name') name: string, @CurrentActor() actor: Actor): AsyncGenerator<Counter> {
    return this.live.stateStream({
      topic: `counter:${name}`,
      load: async () => {
        loads++;
        if (failing) throw new Error('the database is away');
        if (name.startsWith('private') && actor.userId !== 'owner') throw new NotFound('counter');
        const value = values.get(name);
        return value === undefined ? null : { value };
      },
    });
  }

  @Role('ADMIN')
  @Subscription(() => Boolean, { resolve: (value) => value })
  async *adminsOnly(): AsyncGenerator<boolean> {
    yield true;
  }

  @Public()
  @Subscription(() => String, { resolve: (value) => value })
  async *flood(): AsyncGenerator<string> {
    for (;;) {
      flooded++;
      yield 'x'.repeat(64 * 1024);
      await new Promise(setImmediate);
    }
  }

  @Authenticated()
  @Subscription(() => Boolean, { resolve: (value) => value })
  async slowToStart(): Promise<AsyncGenerator<boolean>> {
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    return this.live.stateStream({ topic: 'slow', load: async () => true });
  }

  @Public()
  @Subscription(() => Boolean, { resolve: (value) => value })
  async *anybody(): AsyncGenerator<boolean> {
    yield true;
  }
}

const QUERY = 'subscription ($name: String!) { counter(name: $name) { value } }';
let edge: EdgeApp;
let other: EdgeApp;
let stopRedis: () => Promise<void>;
let redisPort: number;

beforeAll(async () => {
  redisPort = await freePort();
  stopRedis = await startRedis(redisPort);
  const redisUrl = `redis://127.0.0.1:${redisPort}`;
  edge = await startEdge([Counters], { redisUrl });
  other = await startEdge([Counters], { redisUrl });
  await edge.app.get(Live).waitFor('', 300);
});
afterAll(async () => {
  await edge.app.close();
  await other.app.close();
  await stopRedis();
});
beforeEach(() => {
  failing = false;
});

function set(name: string, value: number, from: EdgeApp | null = edge): void {
  values.set(name, value);
  from?.app.get(Live).tick(`counter:${name}`);
}

describe.each(['socket', 'stream'] as const)('over a %s', (kind) => {
  /** Subscribes and gives one result after the other. */
  async function subscribe(query: string, token: string | undefined, variables?: object) {
    if (kind === 'stream') {
      const stream = await openStream(edge.url, query, { token, variables });
      return {
        next: async () => {
          const event = await stream.next();
          return event?.event === 'next' ? event.data : event?.event;
        },
        close: async () => stream.close(),
      };
    }
    const client = await SocketClient.open(edge.url, { payload: token ? { authorization: `Bearer ${token}` } : {} });
    await client.next();
    client.subscribe('1', query, variables);
    return {
      next: async () => {
        const message = await client.next();
        if (message?.type === 'error') return { errors: message.payload };
        return message?.type === 'next' ? message.payload : message?.type;
      },
      close: () => client.close(),
    };
  }

  it('gives the state first, then each change, also of another process', async () => {
    const name = `first-${kind}`;
    set(name, 1);
    const token = edge.sessions.signIn('u1');
    const stream = await subscribe(QUERY, token, { name });
    expect(await stream.next()).toEqual({ data: { counter: { value: 1 } } });
    set(name, 2);
    expect(await stream.next()).toEqual({ data: { counter: { value: 2 } } });
    set(name, 3, other);
    const before = Date.now();
    expect(await stream.next()).toEqual({ data: { counter: { value: 3 } } });
    expect(Date.now() - before).toBeLessThan(1_500);
    values.delete(name);
    edge.app.get(Live).tick(`counter:${name}`);
    expect(await stream.next()).toBe('complete');
    await stream.close();
  });

  it('gives the latest of many changes, four a second at most', async () => {
    const name = `many-${kind}`;
    set(name, 0);
    const stream = await subscribe(QUERY, edge.sessions.signIn('u2'), { name });
    const seen: number[] = [];
    const started = Date.now();
    let value = 0;
    const ticking = setInterval(() => set(name, ++value), 5);
    while (Date.now() - started < 1_100) seen.push((await stream.next()).data.counter.value);
    clearInterval(ticking);
    expect(seen.length).toBeLessThanOrEqual(6);
    expect(seen.length).toBeGreaterThanOrEqual(4);
    let last = seen.at(-1);
    while (last !== value) last = (await stream.next()).data.counter.value;
    await stream.close();
  });

  it('refuses who is not signed in, and who has not the role', async () => {
    const stranger = await subscribe(QUERY, undefined, { name: 'x' });
    expect(await stranger.next()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
    await stranger.close();
    const member = await subscribe('subscription { adminsOnly }', edge.sessions.signIn('u3'));
    expect(await member.next()).toMatchObject({ errors: [{ extensions: { code: 'FORBIDDEN' } }] });
    await member.close();
    const admin = await subscribe('subscription { adminsOnly }', edge.sessions.signIn('u4', 'ADMIN'));
    expect(await admin.next()).toEqual({ data: { adminsOnly: true } });
    await admin.close();
    const anybody = await subscribe('subscription { anybody }', undefined);
    expect(await anybody.next()).toEqual({ data: { anybody: true } });
    await anybody.close();
  });

  it('ends with an error when the viewer may no longer see it', async () => {
    const name = `private-${kind}`;
    set(name, 1);
    const owner = edge.sessions.signIn('owner');
    const stream = await subscribe(QUERY, owner, { name });
    expect(await stream.next()).toEqual({ data: { counter: { value: 1 } } });
    await stream.close();
    const stranger = await subscribe(QUERY, edge.sessions.signIn('u5'), { name });
    expect(await stranger.next()).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
    expect(await stranger.next()).toMatch(/complete/);
    await stranger.close();
  });

  it('goes on when loading fails for a while', async () => {
    const name = `failing-${kind}`;
    set(name, 1);
    const stream = await subscribe(QUERY, edge.sessions.signIn('u6'), { name });
    await stream.next();
    failing = true;
    const before = loads;
    set(name, 2);
    while (loads === before) await new Promise(setImmediate);
    failing = false;
    set(name, 3);
    expect(await stream.next()).toEqual({ data: { counter: { value: 3 } } });
    await stream.close();
  });

  it('stops loading when the client goes', async () => {
    const name = `gone-${kind}`;
    set(name, 1);
    const stream = await subscribe(QUERY, edge.sessions.signIn('u7'), { name });
    await stream.next();
    await stream.close();
    const live = edge.app.get(Live);
    const listeners = (live as unknown as { topics: { listenerCount(event: string): number } }).topics;
    const deadline = Date.now() + 2_000;
    while (listeners.listenerCount(`topic counter:${name}`) > 0 && Date.now() < deadline) await live.waitFor('', 10);
    expect(listeners.listenerCount(`topic counter:${name}`)).toBe(0);
  });

  it('ends within 2 s after the login session did', async () => {
    const name = `session-${kind}`;
    set(name, 1);
    for (const hastened of [true, false]) {
      const token = edge.sessions.signIn('u8');
      const stream = await subscribe(QUERY, token, { name });
      await stream.next();
      edge.sessions.live.delete(token);
      if (hastened) other.app.get(Live).tick(`session:${token}`);
      const before = Date.now();
      let last: unknown = {};
      while (last !== undefined && last !== 'complete') last = await stream.next();
      expect(Date.now() - before).toBeLessThan(hastened ? 500 : 2_000);
      await stream.close();
    }
  });
});

it('a stream ends also when the login session did before it began', async () => {
  const token = edge.sessions.signIn('gone-early');
  const opening = openStream(edge.url, 'subscription { slowToStart }', { token });
  await new Promise((resolve) => setTimeout(resolve, 300));
  edge.sessions.live.delete(token);
  const stream = await opening;
  expect(await stream.next()).toMatchObject({ data: { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] } });
  expect((await stream.next())?.event).toBe('complete');
  stream.close();
});

describe('a hostile client does not end the process', () => {
  const { once } = events;
  const alive = async () => expect((await fetch(`${edge.url}/graphql?query={ok}`, json)).status).toBe(200);
  const json = { headers: { 'apollo-require-preflight': '1' } };
  const port = () => Number(new URL(edge.url).port);
  const upgrade = (target: string, origin = '') =>
    `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n${origin}\r\n`;

  it.each(['//', '//:', 'http://', '/elsewhere'])('who asks for a socket at %s', async (target) => {
    const socket = connect(port(), '127.0.0.1');
    socket.write(upgrade(target));
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 404 /);
    await once(socket, 'close');
    await alive();
  });

  it('who breaks off where there is no socket', async () => {
    for (let i = 0; i < 20; i++) {
      const socket = connect(port(), '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write(upgrade('/elsewhere'), () => socket.resetAndDestroy());
      await once(socket, 'close');
    }
    await alive();
  });

  it('who sends a bad frame after being refused', async () => {
    const socket = connect(port(), '127.0.0.1');
    socket.write(upgrade('/graphql', 'Origin: https://evil.example\r\n'));
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 101 /);
    // A reserved bit, and no mask.
    socket.write(Buffer.from([0xf1, 0x00]));
    await once(socket, 'close');
    await alive();
  });
});

describe('sockets', () => {
  it('close with a code that says why', async () => {
    const bad = await SocketClient.open(edge.url, { payload: { authorization: 'Bearer nobody' } });
    expect((await bad.closed).code).toBe(4401);
    const foreign = await SocketClient.open(edge.url, { origin: 'https://evil.example', init: false });
    expect((await foreign.closed).code).toBe(4403);
    const token = edge.sessions.signIn('codes');
    const ended = await SocketClient.signedIn(edge.url, token);
    edge.sessions.live.delete(token);
    expect(await ended.closed).toEqual({ code: 4401, reason: 'The login session has ended' });
    const silent = await SocketClient.open(edge.url, { init: false });
    expect((await silent.closed).code).toBe(4408);
  });

  it('take the token in any of the usual places, from allowed origins', async () => {
    const token = edge.sessions.signIn('places');
    for (const payload of [{ authorization: `Bearer ${token}` }, { Authorization: `Bearer ${token}` }, { token }]) {
      for (const origin of ['https://app.example', 'http://localhost:3000', undefined]) {
        const client = await SocketClient.open(edge.url, { payload, origin });
        expect((await client.next())?.type).toBe('connection_ack');
        client.subscribe('1', QUERY, { name: 'nothing' });
        expect((await client.next())?.type).toBe('complete');
        await client.close();
      }
    }
  });

  it('are five for a user, and carry 20 subscriptions each', async () => {
    const token = edge.sessions.signIn('greedy');
    set('greedy', 1);
    const clients = [];
    for (let i = 0; i < 5; i++) clients.push(await SocketClient.signedIn(edge.url, token));
    const sixth = await SocketClient.open(edge.url, { payload: { token } });
    expect((await sixth.closed).code).toBe(4429);
    const [first] = clients;
    for (let i = 0; i < 20; i++) first?.subscribe(String(i), QUERY, { name: 'greedy' });
    for (let i = 0; i < 20; i++) expect((await first?.next())?.type).toBe('next');
    first?.subscribe('21st', QUERY, { name: 'greedy' });
    expect(await first?.next()).toMatchObject({
      id: '21st',
      type: 'error',
      payload: [{ extensions: { code: 'RATE_LIMITED' } }],
    });
    await first?.close();
    const again = await SocketClient.signedIn(edge.url, token);
    for (const client of [again, ...clients.slice(1)]) await client.close();
  });

  it('take messages of 64 KiB at most', async () => {
    const client = await SocketClient.open(edge.url);
    await client.next();
    client.subscribe('1', `subscription { anybody } #${'x'.repeat(65 * 1024)}`);
    expect((await client.closed).code).toBe(1009);
  });

  it('are at one path alone, and an odd one does no harm', async () => {
    for (const path of ['/', '//', '/graphql/stream', '/graphqlx', '/%']) {
      const socket = connect(Number(new URL(edge.url).port), '127.0.0.1');
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
      );
      let answer = '';
      for await (const chunk of socket) answer += chunk;
      expect([path, answer.split('\r\n')[0]]).toEqual([path, 'HTTP/1.1 404 Not Found']);
    }
    expect((await edge.graphql('{ ok }')).data).toEqual({ ok: true });
  });

  it('send clients elsewhere when the server stops', async () => {
    const app = await startEdge([Counters], { redisUrl: `redis://127.0.0.1:${redisPort}` });
    set('stopping', 1);
    const token = app.sessions.signIn('stopping');
    const client = await SocketClient.signedIn(app.url, token);
    const stream = await openStream(app.url, QUERY, { token, variables: { name: 'stopping' } });
    await stream.next();
    const started = Date.now();
    await app.app.close();
    expect(Date.now() - started).toBeLessThan(3_000);
    expect((await client.closed).code).toBe(1012);
    expect(await stream.next()).toBeUndefined();
  });
});

describe('who does not read', () => {
  const settled = async (ms: number) => {
    await edge.app.get(Live).waitFor('', ms);
    return flooded;
  };

  it('loses the socket when too much waits to be sent', async () => {
    const sockets = (edge.app.get(WebSockets) as unknown as { sockets: { clients: Set<unknown> } }).sockets.clients;
    const client = await SocketClient.open(edge.url);
    await client.next();
    expect(sockets.size).toBe(1);
    client.socket.pause();
    for (let i = 0; i < 20; i++) client.subscribe(String(i), 'subscription { flood }');
    const deadline = Date.now() + 15_000;
    while (sockets.size > 0 && Date.now() < deadline) await settled(50);
    expect(sockets.size).toBe(0);
    expect(await settled(500)).toBe(await settled(500));
    client.socket.resume();
    await client.closed;
  });

  it('keeps a stream waiting, and nothing piles up', async () => {
    const stream = await openStream(edge.url, 'subscription { flood }');
    const deadline = Date.now() + 15_000;
    while ((await settled(0)) !== (await settled(500)) && Date.now() < deadline);
    expect(Date.now()).toBeLessThan(deadline);
    stream.close();
    expect(await settled(500)).toBe(await settled(500));
  });
});

describe('streams', () => {
  it('refuse what is not one subscription a request', async () => {
    const token = edge.sessions.signIn('sse');
    expect((await openStream(edge.url, QUERY, { token, method: 'PUT' })).status).toBe(405);
    expect((await openStream(edge.url, QUERY, { token, accept: 'application/json' })).status).toBe(406);
    expect((await openStream(edge.url, QUERY, { token: 'nobody' })).status).toBe(401);
    const stream = await openStream(edge.url, 'subscription { anybody }', { token });
    expect(stream.headers.get('x-accel-buffering')).toBe('no');
    expect(stream.headers.get('x-request-id')).toMatch(/./);
    expect(stream.headers.get('content-type')).toMatch(/text\/event-stream/);
    stream.close();
  });

  it('are 20 for a user', async () => {
    const token = edge.sessions.signIn('streams');
    set('streams', 1);
    const open = await Promise.all(
      Array.from({ length: 20 }, () => openStream(edge.url, QUERY, { token, variables: { name: 'streams' } })),
    );
    expect((await openStream(edge.url, QUERY, { token, variables: { name: 'streams' } })).status).toBe(429);
    for (const stream of open) stream.close();
  });
});

it('goes on without Redis, and with it again', async () => {
  set('outage', 1);
  const client = await SocketClient.signedIn(edge.url, edge.sessions.signIn('outage'));
  client.subscribe('1', QUERY, { name: 'outage' });
  await client.next();
  await stopRedis();
  set('outage', 2);
  expect((await client.next())?.payload).toEqual({ data: { counter: { value: 2 } } });
  set('outage', 3, other);
  const before = Date.now();
  expect((await client.next())?.payload).toEqual({ data: { counter: { value: 3 } } });
  expect(Date.now() - before).toBeLessThan(6_000);
  stopRedis = await startRedis(redisPort);
  await edge.app.get(Live).waitFor('', 3_000);
  set('outage', 4, other);
  const again = Date.now();
  expect((await client.next())?.payload).toEqual({ data: { counter: { value: 4 } } });
  expect(Date.now() - again).toBeLessThan(1_000);
  await client.close();
});
