import { operationsText } from '../../scripts/operations.mjs';
import { textOf } from './sources.js';

test('operations.ts is what operations.graphql and the schema make: npm run operations writes it', async () => {
  const made = await operationsText(textOf('schema.graphql'), textOf('client/src/api/operations.graphql'));
  expect(textOf('client/src/api/operations.ts')).toBe(made);
});
