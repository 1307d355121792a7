// Writes schema.graphql from the built code: npm run schema
import { writeFile } from 'node:fs/promises';
import { schemaText } from '../dist/schema.js';

await writeFile(new URL('../schema.graphql', import.meta.url), await schemaText());
