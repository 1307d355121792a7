// Writes client/src/api/operations.ts from operations.graphql and schema.graphql: npm run operations
import { readFile, writeFile } from 'node:fs/promises';
import { operationsText } from './operations.mjs';

const read = (path) => readFile(new URL(`../${path}`, import.meta.url), 'utf8');
const text = await operationsText(await read('schema.graphql'), await read('client/src/api/operations.graphql'));
await writeFile(new URL('../client/src/api/operations.ts', import.meta.url), text);
