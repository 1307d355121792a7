import { schemaText } from '../../src/schema.js';
import { textOf } from './sources.js';

test('schema.graphql is what the code makes: npm run schema writes it', async () => {
  expect(textOf('schema.graphql')).toBe(await schemaText());
});
