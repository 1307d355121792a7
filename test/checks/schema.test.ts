import { GraphQLSchemaHost } from '@nestjs/graphql';
import { printSchema } from 'graphql';
import { startApp, type TestApp } from '../support/index.js';
import { textOf } from './sources.js';

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.stop());

test('schema.graphql is what the code makes: npm run schema writes it', () => {
  expect(textOf('schema.graphql').trim()).toBe(printSchema(app.get(GraphQLSchemaHost).schema).trim());
});
