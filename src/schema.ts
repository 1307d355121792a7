import type { DynamicModule, Provider, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { GraphQLSchemaBuilderModule, GraphQLSchemaFactory } from '@nestjs/graphql';
import { type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql';
import { AppModule } from './app.module.js';
import { buildSchemaOptions } from './common/graphql/index.js';

/** The schema as the classes make it: without a server, a database, or anything that runs. */
export async function buildSchema(): Promise<GraphQLSchema> {
  const nest = await NestFactory.createApplicationContext(GraphQLSchemaBuilderModule, { logger: false });
  const schema = await nest.get(GraphQLSchemaFactory).create([...providersOf(AppModule)], buildSchemaOptions);
  await nest.close();
  return lexicographicSortSchema(schema);
}

/** The text of schema.graphql. `npm run schema` writes it, and a test keeps the two equal. */
export async function schemaText(): Promise<string> {
  return `# Made from the code by \`npm run schema\`: not to be edited.\n\n${printSchema(await buildSchema())}\n`;
}

type Imported = Type | DynamicModule | Promise<DynamicModule>;

/** Every class that some module provides: those with GraphQL decorators are among them. */
function providersOf(root: Imported, seen = new Set<unknown>()): Set<Type> {
  const classes = new Set<Type>();
  if (root instanceof Promise || seen.has(root)) return classes;
  seen.add(root);
  const { module, imports = [], providers = [] } = 'module' in root ? root : { module: root };
  const own: Provider[] = [...providers, ...(Reflect.getMetadata('providers', module) ?? [])];
  for (const provider of own) if (typeof provider === 'function') classes.add(provider);
  for (const inner of [...imports, ...(Reflect.getMetadata('imports', module) ?? [])] as Imported[]) {
    for (const provider of providersOf(inner, seen)) classes.add(provider);
  }
  return classes;
}
