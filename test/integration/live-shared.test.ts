import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  Args,
  Field,
  GraphQLSchemaHost,
  ID,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
  Subscription,
} from '@nestjs/graphql';
import { parse } from 'graphql';
import { DataSource } from 'typeorm';
import { type Actor, CurrentActor, Public } from '../../src/common/access/index.js';
import type { Config } from '../../src/common/config/index.js';
import { Database } from '../../src/common/database/index.js';
import { NotFound } from '../../src/common/errors/index.js';
import { SameForAll } from '../../src/common/graphql/index.js';
import { type Outlet, SharedStreams } from '../../src/common/graphql/shared-streams.js';
import { WebSockets } from '../../src/common/graphql/web-sockets.js';
import { Live, type LiveEvent, LiveEvents, type LiveTopic, type Place } from '../../src/common/live/index.js';
import { type TestDatabase, testDatabase } from '../support/database.js';
import { sharedRedisUrl } from '../support/redis.js';
import { type EdgeApp, startEdge } from './edge/edge-app.js';
import { openStream, SocketClient } from './edge/subscribers.js';

interface Body {
  n: number;
  padding?: string;
}

@ObjectType()
class Saying {
  event: LiveEvent<Body>;

  @SameForAll()
  @Field(() => String)
  cursor: string;

  @SameForAll()
  @Field(() => ID, { nullable: true })
  id: string | null;

  @SameForAll()
  @Field(() => String, { nullable: true })
  padding: string | null;
}

let events: LiveEvents;
let executions = 0;
/** So many executions fail. */
let failures = 0;
const hidden = new Set<string>();

@Resolver(() => Saying)
class Sayings {
  @Public()
  @Query(() => Boolean)
  ok(): boolean {
    return true;
  }

  @Public()
  @SameForAll()
  @Subscription(() => Saying, {
    resolve: (event: LiveEvent<Body>) =>
      Object.assign(new Saying(), { event, cursor: event.cursor, id: event.id, padding: event.body?.padding ?? null }),
  })
  said(@Args('topic') topic: string, @Args('after', { nullable: true }) after?: string) {
    const ask = async () => {
      if (hidden.has(topic)) throw new NotFound('topic');
    };
    return events.stream<Body>({ topic, after, access: { topic: `access:${topic}`, ask } });
  }

  @SameForAll()
  @ResolveField(() => Number, { nullable: true })
  n(@Parent() { event }: Saying): number | null {
    executions++;
    if (failures-- > 0) throw new Error('The database is away.');
    return event.body?.n ?? null;
  }

  @ResolveField(() => String, { nullable: true })
  viewer(@CurrentActor() actor: Actor | null): string | null {
    return actor?.userId ?? null;
  }
}

const SHARED = 'subscription ($topic: String!, $after: String) { said(topic: $topic, after: $after) { cursor id n } }';
const OWN =
  'subscription ($topic: String!, $after: String) { said(topic: $topic, after: $after) { cursor id n viewer } }';

let edge: EdgeApp;
let database: TestDatabase;
let source: DataSource;
let db: Database;
let live: Live;
let topics = 0;
const newTopic = () => `test:${++topics}`;

beforeAll(async () => {
  const config = { liveEventDays: 3, redisUrl: sharedRedisUrl(), redisPrefix: `test-${randomUUID()}:` } as Config;
  database = await testDatabase();
  source = await new DataSource({ type: 'postgres', url: database.url, poolSize: 10 }).initialize();
  db = new Database(source);
  live = new Live(config);
  events = new LiveEvents(db, live, config);
  edge = await startEdge([Sayings], config);
});
afterAll(async () => {
  await edge.app.close();
  events.onApplicationShutdown();
  live.onApplicationShutdown();
  await source.destroy();
  await database.drop();
});

const tail = () => (events as unknown as { tail: { topics: Map<string, LiveTopic>; quietMs: number } }).tail;
const say = (topic: string, n: number, padding?: string) =>
  db.tx((tx) => events.append(tx, topic, { n, ...(padding && { padding }) }));

interface Subscriber {
  next(): Promise<{ n: number | null; cursor: string; id: string | null; viewer?: string } | string>;
  close(): Promise<unknown> | undefined;
}
let users = 0;

async function onSocket(query: string, variables: object): Promise<Subscriber> {
  const client = await SocketClient.signedIn(edge.url, edge.sessions.signIn(`u${++users}`));
  client.subscribe('1', query, variables);
  const next: Subscriber['next'] = async () => {
    const message = await client.next();
    if (message?.type !== 'next') return message?.type ?? `closed ${(await client.closed).code}`;
    return message.payload.errors ? message.payload.errors[0].extensions.code : message.payload.data.said;
  };
  return { next, close: () => client.close() };
}
async function onStream(query: string, variables: object): Promise<Subscriber> {
  const stream = await openStream(edge.url, query, { token: edge.sessions.signIn(`u${++users}`), variables });
  const next: Subscriber['next'] = async () => {
    const message = await stream.next();
    if (message?.event !== 'next') return message?.event ?? 'closed';
    return message.data.errors ? message.data.errors[0].extensions.code : message.data.data.said;
  };
  return { next, close: () => void stream.close() };
}
const numbers = async (subscriber: Subscriber, count: number) => {
  const got: unknown[] = [];
  while (got.length < count) {
    const one = await subscriber.next();
    got.push(typeof one === 'string' ? one : one.n);
  }
  return got;
};

test('one execution serves all that may share it, over sockets and streams', async () => {
  const topic = newTopic();
  const shared: Subscriber[] = [];
  for (let n = 0; n < 16; n++) shared.push(await (n % 4 === 0 ? onStream : onSocket)(SHARED, { topic }));
  for (const one of shared) expect(await one.next()).toMatchObject({ id: null, n: null, cursor: expect.any(String) });
  executions = 0;
  for (let n = 0; n < 5; n++) await say(topic, n);
  for (const one of shared) expect(await numbers(one, 5)).toEqual([0, 1, 2, 3, 4]);
  expect(executions).toBe(5);
  for (const one of shared) await one.close();
});

test('a selection that is not the same for all is executed for each', async () => {
  const topic = newTopic();
  const own = await Promise.all([onSocket(OWN, { topic }), onSocket(OWN, { topic }), onStream(OWN, { topic })]);
  for (const one of own) await one.next();
  executions = 0;
  await say(topic, 1);
  const viewers = [];
  for (const one of own) viewers.push(((await one.next()) as { viewer: string }).viewer);
  expect(new Set(viewers).size).toBe(3);
  expect(executions).toBe(3);
  for (const one of own) await one.close();
});

test.each([
  ['socket', onSocket],
  ['stream', onStream],
])('who comes back over a %s gets what was missed, then what happens, each once', async (_kind, subscribe) => {
  const topic = newTopic();
  const first = await subscribe(SHARED, { topic });
  const begin = (await first.next()) as { cursor: string };
  for (let n = 0; n < 20; n++) await say(topic, n);
  const heard = [];
  for (let n = 0; n < 20; n++) heard.push((await first.next()) as { n: number; cursor: string });
  const all = Array.from({ length: 30 }, (_, n) => n);
  const again = await Promise.all(
    [begin, ...heard].map(async ({ cursor }, index) => ({
      subscriber: await subscribe(SHARED, { topic, after: cursor }),
      rest: all.slice(index),
    })),
  );
  for (let n = 20; n < 30; n++) await say(topic, n);
  for (const { subscriber, rest } of again) expect(await numbers(subscriber, rest.length)).toEqual(rest);
  expect(await numbers(first, 10)).toEqual(all.slice(20));
  for (const { subscriber } of again) await subscriber.close();
  await first.close();
});

test.each([
  ['socket', onSocket],
  ['stream', onStream],
])('a %s learns how it ended', async (_kind, subscribe) => {
  const topic = newTopic();
  const expired = await subscribe(SHARED, { topic, after: 'x.1:1:' });
  expect(await expired.next()).toBe('CURSOR_EXPIRED');
  const watching = await Promise.all([
    subscribe(SHARED, { topic }),
    subscribe(SHARED, { topic }),
    subscribe(OWN, { topic }),
  ]);
  for (const one of watching) await one.next();
  await say(`access:${topic}`, 0);
  await say(topic, 1);
  for (const one of watching) expect(await numbers(one, 1)).toEqual([1]);
  hidden.add(topic);
  await db.tx(async (tx) => {
    await events.append(tx, topic, { n: 2 });
    await events.append(tx, `access:${topic}`, {});
  });
  for (const one of watching) expect(await numbers(one, 2)).toEqual(['NOT_FOUND', 'complete']);
  for (const one of [...watching, expired]) await one.close();

  const other = newTopic();
  const cut = await subscribe(SHARED, { topic: other });
  await cut.next();
  await db.query('UPDATE live_era SET id = gen_random_uuid()');
  expect(await cut.next()).toBe('complete');
  await cut.close();
});

test('who does not read loses the socket, and keeps nobody waiting', async () => {
  const topic = newTopic();
  const slow = await SocketClient.signedIn(edge.url, edge.sessions.signIn('slow'));
  slow.subscribe('1', SHARED.replace('n }', 'n padding }'), { topic });
  await slow.next();
  slow.socket.pause();
  const quick = await onSocket(SHARED.replace('n }', 'n padding }'), { topic });
  await quick.next();
  const { sockets } = edge.app.get(WebSockets) as unknown as { sockets: { clients: Set<unknown> } };
  const before = sockets.clients.size;
  for (let n = 0; sockets.clients.size === before; n++) {
    await say(topic, n, 'x'.repeat(2_000_000));
    expect(await numbers(quick, 1)).toEqual([n]);
  }
  slow.socket.resume();
  await slow.closed;
  await quick.close();
});

test('what everybody has had is not kept for them', async () => {
  const topic = newTopic();
  const all = [await onSocket(SHARED, { topic }), await onStream(SHARED, { topic }), await onSocket(OWN, { topic })];
  for (const one of all) await one.next();
  await say(topic, 0);
  for (const one of all) expect(await numbers(one, 1)).toEqual([0]);
  const [kept] = [...tail().topics.values()].filter(({ names }) => names.includes(topic));
  const first = new WeakRef((kept as unknown as { first: Place }).first);
  for (let n = 1; n <= 600; n += 50) {
    await db.query(
      `INSERT INTO live_event (topic, body) SELECT $1, jsonb_build_object('n', n) FROM generate_series($2::int, $2::int + 49) n`,
      [topic, n],
    );
    for (const one of all) await numbers(one, 50);
  }
  setFlagsFromString('--expose-gc');
  const isGone = async () => {
    await pause(10);
    runInNewContext('gc')();
    return first.deref() === undefined;
  };
  for (let tries = 0; tries < 20 && !(await isGone()); tries++);
  expect(first.deref()).toBeUndefined();
  for (const one of all) await one.close();
});

test('a cursor that the document demands, and variables that it does not know, make no difference', async () => {
  const topic = newTopic();
  const first = await onSocket(SHARED, { topic, request: 1 });
  const { cursor } = (await first.next()) as { cursor: string };
  const demanding = SHARED.replace('$after: String)', '$after: String!)');
  const others = await Promise.all([
    onSocket(SHARED, { topic, after: cursor, request: 2 }),
    onSocket(demanding, { topic, after: cursor, request: 3 }),
    onStream(demanding, { topic, after: cursor, request: 4 }),
  ]);
  executions = 0;
  await say(topic, 1);
  for (const one of [first, ...others]) expect(await numbers(one, 1)).toEqual([1]);
  expect(executions).toBe(2);
  for (const one of [first, ...others]) await one.close();
});

describe('an event that could not be made out', () => {
  it('is tried again before anybody is told', async () => {
    const topic = newTopic();
    const both = [await onSocket(SHARED, { topic }), await onStream(SHARED, { topic })];
    for (const one of both) await one.next();
    failures = 2;
    await say(topic, 1);
    for (const one of both) expect(await numbers(one, 1)).toEqual([1]);
    for (const one of both) await one.close();
  });

  it('is told to who comes back for it once it can be', async () => {
    const topic = newTopic();
    const one = await onSocket(SHARED, { topic });
    const { cursor } = (await one.next()) as { cursor: string };
    failures = Number.POSITIVE_INFINITY;
    await say(topic, 1);
    expect(await numbers(one, 1)).toEqual(['INTERNAL']);
    failures = 0;
    const back = await onSocket(SHARED, { topic, after: cursor });
    expect(await numbers(back, 1)).toEqual([1]);
    for (const each of [one, back]) await each.close();
  });
});

test('who comes back is told what it is by then, not what it was', async () => {
  const topic = newTopic();
  const one = await onSocket(SHARED, { topic });
  const { cursor } = (await one.next()) as { cursor: string };
  executions = 0;
  await say(topic, 1);
  await numbers(one, 1);
  await pause(1_100);
  const back = await Promise.all([1, 2, 3].map(() => onSocket(SHARED, { topic, after: cursor })));
  for (const each of back) expect(await numbers(each, 1)).toEqual([1]);
  expect(executions).toBe(2);
  for (const each of [one, ...back]) await each.close();
});

test('where nothing happens, streams say now and then where they stand', async () => {
  const topic = newTopic();
  tail().quietMs = 200;
  const all = [await onSocket(SHARED, { topic }), await onStream(SHARED, { topic }), await onSocket(OWN, { topic })];
  tail().quietMs = 60_000;
  const begun = [];
  for (const one of all) begun.push((await one.next()) as { cursor: string });
  await say(newTopic(), 1);
  for (const [index, one] of all.entries()) {
    for (let { cursor } = begun[index] as { cursor: string }; cursor === begun[index]?.cursor; ) {
      const standing = await one.next();
      expect(standing).toMatchObject({ id: null, n: null, cursor: expect.any(String) });
      ({ cursor } = standing as { cursor: string });
    }
  }
  for (const one of all) await one.close();
});

describe('a group', () => {
  type Shared = { groups: WeakMap<LiveTopic, Map<string, unknown>> };
  /** What has a padding cannot be made text of. */
  const shared = new SharedStreams(async ({ rootValue }) => {
    const { body } = rootValue as LiveEvent<Body>;
    return { data: { n: body?.n, odd: body?.padding && 0n } };
  });
  const document = parse(SHARED);
  const join = async (topic: string, write: Outlet['write']) => {
    const stream = await events.stream({ topic });
    const { schema } = edge.app.get(GraphQLSchemaHost);
    const over = shared.join({ schema, document, variableValues: { topic } }, stream, { write })?.next();
    return { over: over as Promise<unknown>, stream };
  };
  /** Resolves with what comes next. */
  const reading = () => {
    const got: string[] = [];
    let wake = () => {};
    const write: Outlet['write'] = ({ tail: text }, written) => {
      got.push(text);
      wake();
      written?.();
    };
    const next = async () => {
      while (got.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return JSON.parse(`{${(got.shift() as string).slice(1)}`).payload.data.n;
    };
    return { write, next };
  };

  test('goes on without whom nothing can be written to, and after what cannot be written at all', async () => {
    const topic = newTopic();
    const good = reading();
    let isBroken = false;
    const bad = reading();
    const one = await join(topic, good.write);
    const other = await join(topic, (...parameters) => {
      if (isBroken) throw new Error('The outlet is broken.');
      bad.write(...parameters);
    });
    expect([await good.next(), await bad.next()]).toEqual([undefined, undefined]);
    isBroken = true;
    const ended = expect(other.over).rejects.toThrow('broken');
    await say(topic, 1);
    expect(await good.next()).toBe(1);
    await ended;
    const over = expect(one.over).rejects.toThrow(TypeError);
    await say(topic, 2, 'odd');
    await over;
    expect([one, other].map(({ stream }) => stream.rest())).toEqual([null, null]);

    const later = reading();
    const third = await join(topic, later.write);
    expect(await later.next()).toBeUndefined();
    await say(topic, 3);
    expect(await later.next()).toBe(3);
    await third.stream.return();
  });

  test('is not left behind by a stream that ended before it came', async () => {
    const stream = await events.stream({ topic: newTopic() });
    await stream.return();
    const { schema } = edge.app.get(GraphQLSchemaHost);
    const member = shared.join({ schema, document, variableValues: {} }, stream, reading());
    expect(await member?.next()).toEqual({ value: undefined, done: true });
    expect((shared as unknown as Shared).groups.get(stream.topic)?.size).toBe(0);
  });
});
