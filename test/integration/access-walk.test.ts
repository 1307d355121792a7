import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Query, Resolver } from '@nestjs/graphql';
import {
  type GraphQLNamedType,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
} from 'graphql';
import { AccessGuard, Public } from '../../src/common/access/index.js';
import { buildSchema, schemaText } from '../../src/schema.js';
import { startApp, type TestApp } from '../support/index.js';
import { startEdge } from './edge/edge-app.js';

describe('the schema', () => {
  let schema: GraphQLSchema;
  beforeAll(async () => {
    schema = await buildSchema();
  });

  it('is what schema.graphql says: run `npm run schema` after a change', async () => {
    expect(await schemaText()).toBe(await readFile(join(import.meta.dirname, '../../schema.graphql'), 'utf8'));
  });

  it('describes every type, field and value', () => {
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
    const bare = Object.values(schema.getTypeMap())
      .filter((type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type))
      .flatMap((type) => [
        ...(type.description || roots.includes(type as never) ? [] : [type.name]),
        ...bareParts(type),
      ]);
    expect(bare).toEqual([]);
  });

  it('pages every list that can grow', () => {
    const connections = Object.values(schema.getTypeMap()).flatMap((type) =>
      isObjectType(type)
        ? Object.values(type.getFields()).filter((field) => String(field.type).endsWith('Connection!'))
        : [],
    );
    expect(connections.length).toBeGreaterThan(0);
    for (const { args } of connections) {
      expect(args.map(({ name }) => name)).toEqual(expect.arrayContaining(['first', 'after']));
    }
  });
});

function bareParts(type: GraphQLNamedType): string[] {
  const parts = isEnumType(type)
    ? type.getValues()
    : isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)
      ? Object.values(type.getFields())
      : [];
  return parts.filter((part) => !part.description).map((part) => `${type.name}.${part.name}`);
}

describe('access', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startApp();
  });
  afterAll(() => app.stop());

  it('has a rule for each query, mutation and subscription', async () => {
    const schema = await buildSchema();
    const rules = [...app.get(AccessGuard).operations()];
    const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
    const fields = roots.flatMap((root) => Object.keys(root?.getFields() ?? {}));
    expect(rules.map(({ name }) => name.split('.')[1]).sort()).toEqual(fields.sort());
    expect(rules.filter(({ rule }) => !rule)).toEqual([]);
  });

  it('is refused to strangers everywhere but where anybody may', async () => {
    const publicOnes = [...app.get(AccessGuard).operations()]
      .filter(({ rule }) => rule?.kind === 'public')
      .map(({ name }) => name.split('.')[1])
      .sort();
    // A new one here is a decision: say so in the review.
    expect(publicOnes).toMatchSnapshot();
  });
});

@Resolver()
class Bare {
  @Query(() => Boolean)
  open(): boolean {
    return true;
  }

  @Public()
  @Query(() => Boolean)
  fine(): boolean {
    return true;
  }
}

it('a server with an operation without a rule does not start', async () => {
  await expect(startEdge([Bare])).rejects.toThrow('on: Bare.open.');
});
