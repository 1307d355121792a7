import { Args, Field, Int, ObjectType, Query, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import { getIntrospectionQuery } from 'graphql';
import { Public } from '../../src/common/access/index.js';
import { type EdgeApp, startEdge } from './edge/edge-app.js';
import { openStream, SocketClient } from './edge/subscribers.js';

let ran = 0;

@ObjectType()
class Thing {
  @Field(() => Int)
  value: number = 1;
  @Field(() => Thing)
  get thing(): Thing {
    return new Thing();
  }
}

@Resolver(() => Thing)
class Things {
  @ResolveField(() => [Thing])
  things(@Args('first', { type: () => Int, defaultValue: 20 }) first: number): Thing[] {
    return Array.from({ length: Math.min(first, 3) }, () => new Thing());
  }

  @Public()
  @Query(() => Thing)
  thing(): Thing {
    ran++;
    return new Thing();
  }

  @Public()
  @Subscription(() => Thing, { resolve: (thing) => thing })
  async *thingChanged(): AsyncGenerator<Thing> {
    ran++;
    yield new Thing();
  }
}

let edge: EdgeApp;
beforeAll(async () => {
  edge = await startEdge([Things]);
});
afterAll(() => edge.app.close());
beforeEach(() => {
  ran = 0;
});

interface Answer {
  data?: unknown;
  errors?: readonly { message: string; extensions?: { code?: string } }[];
}
type Run = (
  kind: 'http' | 'socket' | 'stream',
  selection: string,
  rest?: string,
  variables?: object,
) => Promise<Answer>;

/** The same selection below the same kind of root field, as a query or as a subscription. */
const run: Run = async (kind, selection, rest = '', variables = {}) => {
  const names = Object.keys(variables);
  const head = names.length > 0 ? `(${names.map((name) => `$${name}: Int`).join(' ')})` : '';
  if (kind === 'http') return edge.graphql(`query ${head} { thing ${selection} } ${rest}`, { variables });
  const query = `subscription ${head} { thingChanged ${selection} } ${rest}`;
  if (kind === 'stream') {
    const stream = await openStream(edge.url, query, { variables });
    const event = await stream.next();
    stream.close();
    return event?.data as Answer;
  }
  const client = await SocketClient.open(edge.url);
  await client.next();
  client.subscribe('1', query, variables);
  const message = await client.next();
  await client.close();
  return message?.type === 'error' ? { errors: message.payload } : (message?.payload as Answer);
};

const nested = (levels: number) => `${'{ thing '.repeat(levels)}{ value }${' }'.repeat(levels)}`;

describe.each(['http', 'socket', 'stream'] as const)('over %s', (kind) => {
  it.each([
    ['what is allowed', nested(8), '', {}, undefined],
    ['11 levels', nested(9), '', {}, /levels deep/],
    [
      '11 levels through fragments',
      '{ ...A }',
      `fragment A on Thing { thing { ...B } } fragment B on Thing ${nested(8)}`,
      {},
      /levels deep/,
    ],
    ['16 aliases', `{ ${Array.from({ length: 16 }, (_, i) => `a${i}: value`).join(' ')} }`, '', {}, /16 aliases/],
    ['1,001 tokens', `{ ${'value '.repeat(1000)} }`, '', {}, /tokens/],
    ['a page of 101', '{ things(first: 101) { value } }', '', {}, /100 is the most/],
    ['a page of 101 by variable', '{ things(first: $n) { value } }', '', { n: 101 }, /100 is the most/],
    ['pages in pages', '{ things(first: 100) { things(first: 100) { value } } }', '', {}, /costs/],
    ['pages in pages by variable', '{ things(first: $n) { things(first: $n) { value } } }', '', { n: 90 }, /costs/],
    ['a fragment within itself', '{ ...A }', 'fragment A on Thing { thing { ...A } }', {}, /within itself/],
  ])('%s', async (_, selection, rest, variables, refused) => {
    const answer = await run(kind, selection, rest, variables);
    if (refused) {
      expect(answer.errors?.[0]?.message).toMatch(refused);
      expect(answer.errors?.[0]?.extensions?.code).toMatch(
        /^(GRAPHQL_PARSE_FAILED|GRAPHQL_VALIDATION_FAILED|BAD_USER_INPUT)$/,
      );
      expect(ran).toBe(0);
    } else {
      expect(answer.errors).toBeUndefined();
      expect(ran).toBe(1);
    }
  });

  it('fragments in fragments are counted without being unfolded one by one', async () => {
    const names = Array.from({ length: 60 }, (_, i) => `F${i}`);
    const rest = names
      .map((name, i) => `fragment ${name} on Thing { ${i === 59 ? 'value' : `...F${i + 1} ...F${i + 1}`} }`)
      .join(' ');
    const started = Date.now();
    const answer = await run(kind, '{ ...F0 }', rest);
    expect(Date.now() - started).toBeLessThan(10_000);
    expect(answer.errors?.[0]?.message).toMatch(/nodes/);
  });

  it('suggests no names', async () => {
    const [error] = (await run(kind, '{ valu }')).errors ?? [];
    expect(error?.message).toBe('Cannot query field "valu" on type "Thing".');
  });

  it('tells of a wrong argument', async () => {
    const [error] = (await run(kind, '{ things(first: $n) { value } }', '', { n: 'many' })).errors ?? [];
    expect(error?.extensions?.code).toBe('BAD_USER_INPUT');
    expect(ran).toBe(0);
  });
});

it('six root fields are too many', async () => {
  const answer = await edge.graphql(
    '{ a: thing { value } b: thing { value } ...R } fragment R on Query { c: thing { value } d: thing { value } e: thing { value } f: thing { value } }',
  );
  expect(answer).toMatchObject({ status: 400, errors: [{ message: expect.stringMatching(/6 root fields/) }] });
  expect(ran).toBe(0);
});

it('the standard introspection query runs, and not where it is switched off', async () => {
  expect((await edge.graphql(getIntrospectionQuery())).data.__schema.queryType.name).toBe('Query');
  const closed = await startEdge([Things], { graphqlIntrospection: false });
  const { errors } = await closed.graphql(getIntrospectionQuery());
  expect(errors?.[0]?.message).toMatch(/switched off/);
  await closed.app.close();
});

it('a body of more than 100 KiB is refused', async () => {
  const { status } = await edge.graphql(`{ thing { value } } #${'x'.repeat(100 * 1024)}`);
  expect(status).toBe(413);
});

it('a list of operations is refused', async () => {
  const response = await fetch(`${edge.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify([{ query: '{ thing { value } }' }]),
  });
  expect(response.status).toBe(400);
  expect(ran).toBe(0);
});

it('what a form of another site could send is refused', async () => {
  const response = await fetch(`${edge.url}/graphql?query=${encodeURIComponent('{ thing { value } }')}`);
  expect(response.status).toBe(400);
  expect(await response.text()).toMatch(/CSRF/);
  expect(ran).toBe(0);
});

it('queries and mutations run over HTTP alone', async () => {
  const client = await SocketClient.open(edge.url);
  await client.next();
  client.subscribe('1', '{ thing { value } }');
  expect(await client.next()).toMatchObject({ type: 'error', payload: [{ extensions: { code: 'BAD_REQUEST' } }] });
  await client.close();
  const stream = await openStream(edge.url, '{ thing { value } }');
  expect((await stream.next())?.data).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST' } }] });
  stream.close();
  expect(ran).toBe(0);
});
