import { ForbiddenException } from '@nestjs/common';
import {
  Args,
  Context,
  Field,
  InputType,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { Type } from 'class-transformer';
import { MaxLength, MinLength, ValidateNested } from 'class-validator';
import { type Actor, Authenticated, CurrentActor, Public } from '../../src/common/access/index.js';
import { DomainError, InvalidInput, NotFound, Refusal } from '../../src/common/errors/index.js';
import {
  connectionOf,
  decodeCursor,
  decodeId,
  encodeCursor,
  encodeId,
  GraphQLBytes,
  GraphQLDateTime,
  GraphQLSha256,
  GraphQLUrl,
  Loaders,
  Mutates,
  Node,
  NodeResolver,
  type OperationContext,
  OperationLoaders,
  PageArgs,
  toConnection,
  UserError,
} from '../../src/common/graphql/index.js';
import { type EdgeApp, startEdge } from './edge/edge-app.js';

const UUID = '0192f0c1-aaaa-7bbb-8ccc-0123456789ab';

@ObjectType({ implements: () => Node })
class Cup extends Node {
  @Field()
  name: string;
}
const { Connection: CupConnection } = connectionOf(() => Cup, { totalCount: true });

@ObjectType('CupTooSmall', { implements: () => UserError })
class CupTooSmallError extends UserError {
  @Field(() => GraphQLBytes)
  limitBytes: number;
}
void CupTooSmallError;

@InputType()
class SaucerInput {
  @Field()
  @MaxLength(3)
  colour: string;
}
@InputType()
class CupInput {
  @Field()
  @MinLength(2)
  name: string;
  @Field(() => [SaucerInput], { defaultValue: [] })
  @ValidateNested({ each: true })
  @Type(() => SaucerInput)
  saucers: SaucerInput[];
}
@ObjectType()
class CupPayload {
  @Field(() => Cup, { nullable: true })
  cup: Cup | null = null;
  @Field(() => [UserError])
  userErrors: DomainError[] = [];
}

@ObjectType()
class Scalars {
  @Field(() => GraphQLDateTime)
  time: Date;
  @Field(() => GraphQLBytes)
  bytes: number;
  @Field(() => GraphQLSha256)
  digest: string;
  @Field(() => GraphQLUrl)
  url: string;
}

const throwing: Record<string, () => Error> = {
  domain: () =>
    new DomainError('CUP_TOO_SMALL', 'Too small.', {
      field: ['name'],
      type: 'CupTooSmall',
      details: { limitBytes: 2 ** 40 },
    }),
  invalid: () => new InvalidInput('Not like this.', ['name'], 'NAME_ODD'),
  missing: () => new NotFound('cup'),
  limited: () => new Refusal('RATE_LIMITED', 'Later.', { retryAfterMs: 1500 }),
  http: () => new ForbiddenException('No.'),
  unexpected: () => new Error('password=hunter2 at host db-internal'),
};
const fail = (how: string): never => {
  throw (throwing[how] as () => Error)();
};

let batches: string[][] = [];

@Resolver(() => Cup)
class Cups {
  @Public()
  @Query(() => Cup)
  cup(@Args('how') how: string): Cup {
    return fail(how);
  }
  @Public()
  @Query(() => Cup, { nullable: true })
  cupOrNull(@Args('how') how: string): Cup {
    return fail(how);
  }
  @Public()
  @Query(() => Cup, { nullable: true })
  byId(@Args('id') id: string): Cup {
    return Object.assign(new Cup(), { id, name: decodeId('Cup', id) });
  }
  @Public()
  @Query(() => CupConnection)
  cups(@Args() page: PageArgs) {
    const from = page.after ? decodeCursor(page.after, 'integer')[0] : 0;
    const rows = Array.from({ length: page.first }, (_, index) => from + index + 1);
    const toCup = (n: number) => Object.assign(new Cup(), { id: encodeId('Cup', UUID), name: `cup ${n}` });
    return toConnection({ rows, hasNextPage: true }, page, encodeCursor, toCup, async () => 1234);
  }
  @Public()
  @Query(() => Scalars)
  scalars(
    @Args('time', { type: () => GraphQLDateTime }) time: Date,
    @Args('bytes', { type: () => GraphQLBytes }) bytes: number,
    @Args('digest', { type: () => GraphQLSha256 }) digest: string,
    @Args('url', { type: () => GraphQLUrl }) url: string,
  ): Scalars {
    return { time, bytes, digest, url };
  }
  @Public()
  @Query(() => Int)
  notAnInt(): number {
    return 1.5;
  }
  @Authenticated()
  @Query(() => String)
  me(@CurrentActor() actor: Actor): string {
    return actor.userId;
  }
  @Public()
  @Query(() => String, { nullable: true })
  maybeMe(@CurrentActor() actor: Actor | null): string | null {
    return actor?.userId ?? null;
  }
  @Public({ ignoresBadToken: true })
  @Query(() => Boolean)
  anyToken(@Context() context: OperationContext): boolean {
    return context.badToken;
  }
  @Public()
  @Mutates(() => CupPayload)
  makeCup(@Args('input') input: CupInput): CupPayload {
    if (input.name in throwing) fail(input.name);
    return { cup: Object.assign(new Cup(), { id: encodeId('Cup', UUID), name: input.name }), userErrors: [] };
  }
  @Public()
  @Mutation(() => Boolean)
  plain(@Args('how') how: string): boolean {
    return fail(how);
  }
  @ResolveField(() => String)
  async owner(@Parent() cup: Cup, @OperationLoaders() loaders: Loaders): Promise<string | null> {
    const owners = loaders.loader('owners', async (names: readonly string[]) => {
      batches.push([...names]);
      return new Map(names.map((name) => [name, `owner of ${name}`]));
    });
    return owners.load(cup.name);
  }
  @NodeResolver('Cup')
  async node(uuid: string, actor: Actor | null): Promise<Cup | null> {
    return actor ? Object.assign(new Cup(), { id: encodeId('Cup', uuid), name: 'by node' }) : null;
  }
}

let edge: EdgeApp;
beforeAll(async () => {
  edge = await startEdge([Cups]);
});
afterAll(() => edge.app.close());

describe('in a mutation', () => {
  const make = (name: string) =>
    edge.graphql(
      `mutation ($name: String!) { makeCup(input: { name: $name }) { cup { name }
        userErrors { __typename code message field ... on CupTooSmall { limitBytes } } } }`,
      { variables: { name } },
    );

  it('what the caller can act on is data', async () => {
    expect((await make('domain')).data.makeCup).toEqual({
      cup: null,
      userErrors: [
        {
          __typename: 'CupTooSmall',
          code: 'CUP_TOO_SMALL',
          message: 'Too small.',
          field: ['name'],
          limitBytes: 2 ** 40,
        },
      ],
    });
    expect((await make('missing')).data.makeCup.userErrors).toEqual([
      { __typename: 'NotFound', code: 'NOT_FOUND', message: expect.stringMatching(/no such cup/), field: null },
    ]);
    expect((await make('fine')).data.makeCup).toEqual({ cup: { name: 'fine' }, userErrors: [] });
  });

  it('each wrong input is an error of its own, with its path', async () => {
    const { data } = await edge.graphql(
      'mutation { makeCup(input: { name: "x", saucers: [{ colour: "red" }, { colour: "green" }] }) { userErrors { __typename code field } } }',
    );
    expect(data.makeCup.userErrors).toEqual([
      { __typename: 'InvalidInput', code: 'INVALID_INPUT', field: ['name'] },
      { __typename: 'InvalidInput', code: 'INVALID_INPUT', field: ['saucers', '1', 'colour'] },
    ]);
  });

  it('the rest is a top-level error', async () => {
    expect((await make('limited')).errors?.[0]).toMatchObject({
      extensions: { code: 'RATE_LIMITED', retryAfterMs: 1500 },
    });
    expect((await make('unexpected')).errors?.[0]?.extensions.code).toBe('INTERNAL');
  });
});

describe('in a query', () => {
  it.each([
    ['domain', { code: 'CUP_TOO_SMALL', field: ['name'], limitBytes: 2 ** 40 }],
    ['invalid', { code: 'BAD_USER_INPUT', reason: 'NAME_ODD', field: ['name'] }],
    ['missing', { code: 'NOT_FOUND', field: null }],
    ['limited', { code: 'RATE_LIMITED', retryAfterMs: 1500 }],
    ['http', { code: 'FORBIDDEN' }],
  ])('%s is a top-level error', async (how, extensions) => {
    const { errors } = await edge.graphql(`{ cup(how: "${how}") { name } }`);
    expect(errors).toEqual([expect.objectContaining({ path: ['cup'], extensions })]);
  });

  it('what is missing is null where it may be', async () => {
    expect(await edge.graphql('{ cupOrNull(how: "missing") { name } }')).toEqual({
      status: 200,
      data: { cupOrNull: null },
    });
    expect((await edge.graphql('{ cupOrNull(how: "domain") { name } }')).errors).toHaveLength(1);
  });

  it('what nobody expected is masked, and logged with the id that the client was told', async () => {
    edge.log.length = 0;
    const { errors } = await edge.graphql('{ cup(how: "unexpected") { name } }');
    const { code, traceId } = errors?.[0]?.extensions ?? {};
    expect(code).toBe('INTERNAL');
    expect(JSON.stringify(errors)).not.toMatch(/hunter2|db-internal|\.ts|at /);
    const line = JSON.parse(edge.log.find((text) => text.includes(traceId)) ?? '{}');
    expect(line).toMatchObject({ level: 'error', requestId: traceId, path: 'cup', err: { stack: expect.any(String) } });
    const other = await edge.graphql('{ notAnInt }');
    expect(other.errors?.[0]?.extensions.code).toBe('INTERNAL');
  });

  it('an error that was expected is not logged as one', async () => {
    edge.log.length = 0;
    await edge.graphql('{ cup(how: "missing") { name } }');
    expect(edge.log.filter((line) => /"level":"(error|fatal)"/.test(line))).toEqual([]);
  });
});

describe('a token', () => {
  it('tells who acts, asked once for the request', async () => {
    const token = edge.sessions.signIn('somebody');
    edge.sessions.resolved = 0;
    expect((await edge.graphql('{ me maybeMe }', { token })).data).toEqual({ me: 'somebody', maybeMe: 'somebody' });
    expect(edge.sessions.resolved).toBe(1);
  });

  it('that is missing or no good is said to be so', async () => {
    expect((await edge.graphql('{ me }')).errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    expect((await edge.graphql('{ maybeMe }')).data).toEqual({ maybeMe: null });
    for (const query of ['{ me }', '{ maybeMe }']) {
      expect((await edge.graphql(query, { token: 'expired' })).errors?.[0]?.extensions.code).toBe('UNAUTHENTICATED');
    }
    expect((await edge.graphql('{ anyToken }', { token: 'expired' })).data).toEqual({ anyToken: true });
    const odd = await fetch(`${edge.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Basic c29tZWJvZHk6aHVudGVyMg==' },
      body: JSON.stringify({ query: '{ maybeMe }' }),
    });
    expect(await odd.json()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  });
});

describe('scalars', () => {
  const good = {
    time: '2026-11-21T12:15:30.5+02:00',
    bytes: 2 ** 53 - 1,
    digest: 'ab'.repeat(32),
    url: 'https://v.example/x',
  };
  const query = `query ($time: DateTime!, $bytes: Bytes!, $digest: Sha256!, $url: URL!) {
    scalars(time: $time, bytes: $bytes, digest: $digest, url: $url) { time bytes digest url } }`;

  it('come back in one form', async () => {
    const { data } = await edge.graphql(query, { variables: good });
    expect(data.scalars).toEqual({ ...good, time: '2026-11-21T10:15:30.500Z' });
    const literal = await edge.graphql(
      `{ scalars(time: "2024-02-29T00:00:00Z", bytes: 0, digest: "${good.digest}", url: "${good.url}") { time bytes } }`,
    );
    expect(literal.data.scalars).toEqual({ time: '2024-02-29T00:00:00.000Z', bytes: 0 });
  });

  it.each([
    ['time', ['2026-11-21', '2026-02-29T00:00:00Z', '2026-11-21T10:15:30', '2026-11-21T25:00:00Z', 1, '']],
    ['bytes', [-1, 1.5, 2 ** 53, '5', true]],
    ['digest', ['AB'.repeat(32), 'ab'.repeat(31), 5]],
    ['url', ['ftp://x', 'javascript:alert(1)', '/x', 'https://']],
  ])('refuse a wrong %s', async (name, values) => {
    for (const value of values) {
      const { errors } = await edge.graphql(query, { variables: { ...good, [name]: value } });
      expect([value, errors?.[0]?.extensions.code]).toEqual([value, 'BAD_USER_INPUT']);
    }
  });
});

describe('ids', () => {
  it('are found by node, by type and by who asks', async () => {
    const token = edge.sessions.signIn('finder');
    const id = encodeId('Cup', UUID);
    const query = `{ node(id: "${id}") { __typename id ... on Cup { name } } }`;
    expect((await edge.graphql(query, { token })).data.node).toEqual({ __typename: 'Cup', id, name: 'by node' });
    expect((await edge.graphql(query)).data.node).toBeNull();
    expect((await edge.graphql(`{ byId(id: "${id}") { name } }`)).data.byId).toEqual({ name: UUID });
  });

  it.each([
    encodeId('Saucer', UUID),
    encodeId('Cup', "x' OR 1=1"),
    `${encodeId('Cup', UUID)}=`,
    `${encodeId('Cup', UUID)}\n`,
    'x'.repeat(1000),
    UUID,
    '',
  ])('%s is the id of nothing', async (id) => {
    const token = edge.sessions.signIn('guesser');
    const variables = { id };
    const query = 'query ($id: ID!, $s: String!) { node(id: $id) { id } byId(id: $s) { name } }';
    expect(await edge.graphql(query, { token, variables: { ...variables, s: id } })).toEqual({
      status: 200,
      data: { node: null, byId: null },
    });
  });
});

describe('lists', () => {
  const query =
    'query ($first: Int, $after: Cursor) { cups(first: $first, after: $after) { nodes { name } edges { cursor } totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }';

  it('have 20 items when nothing else is said, and go on where the page ended', async () => {
    for (const variables of [{}, { first: null }]) {
      expect((await edge.graphql(query, { variables })).data.cups.nodes).toHaveLength(20);
    }
    const one = (await edge.graphql(query, { variables: { first: 2 } })).data.cups;
    expect(one.pageInfo).toEqual({
      hasNextPage: true,
      hasPreviousPage: false,
      startCursor: one.edges[0].cursor,
      endCursor: one.edges[1].cursor,
    });
    expect(one.totalCount).toBe(1234);
    const two = (await edge.graphql(query, { variables: { first: 1, after: one.pageInfo.endCursor } })).data.cups;
    expect(two.nodes).toEqual([{ name: 'cup 3' }]);
    expect(two.pageInfo.hasPreviousPage).toBe(true);
  });

  it.each([
    [{ first: 0 }, ['first']],
    [{ first: -1 }, ['first']],
    [{ after: encodeCursor('x') }, ['after']],
    [{ after: encodeCursor(1, 2) }, ['after']],
    [{ after: 'bm9uc2Vuc2U' }, ['after']],
  ])('refuse %j', async (variables, field) => {
    const { errors } = await edge.graphql(query, { variables });
    expect(errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
    expect(JSON.stringify(errors?.[0]?.extensions)).toContain(JSON.stringify(field));
  });

  it('load what belongs to their items at once', async () => {
    batches = [];
    const { data } = await edge.graphql('{ cups(first: 3) { nodes { owner } } }');
    expect(data.cups.nodes.map((cup: { owner: string }) => cup.owner)).toEqual([
      'owner of cup 1',
      'owner of cup 2',
      'owner of cup 3',
    ]);
    expect(batches).toEqual([['cup 1', 'cup 2', 'cup 3']]);
  });
});
