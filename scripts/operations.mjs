import { codegen } from '@graphql-codegen/core';
import * as typescriptOperations from '@graphql-codegen/typescript-operations';
import { Kind, parse, print, stripIgnoredCharacters, visit } from 'graphql';

const HEAD = `// Made from operations.graphql and schema.graphql by \`npm run operations\`: not to be edited.
import type { Operation } from './operation.js';

`;

/** How a scalar travels. */
const SCALARS = {
  ID: 'string',
  Bytes: 'number',
  Count: 'number',
  Cursor: 'string',
  DateTime: 'string',
  Sha256: 'string',
  URL: 'string',
};

/** Each operation as text with the fragments that it uses, typed by what the generator made of it. */
const documents = {
  plugin: (_schema, [{ document }]) => {
    const fragments = new Map();
    for (const one of document.definitions) {
      if (one.kind === Kind.FRAGMENT_DEFINITION) fragments.set(one.name.value, one);
    }
    const used = (definition, found = new Set()) => {
      visit(definition, {
        FragmentSpread: ({ name }) => {
          if (found.has(name.value)) return;
          found.add(name.value);
          used(fragments.get(name.value), found);
        },
      });
      return found;
    };
    const text = (definition) => JSON.stringify(stripIgnoredCharacters(print(definition)));
    const texts = [...fragments].map(([name, fragment]) => `const ${name} = ${text(fragment)};`);
    const operations = document.definitions
      .filter(({ kind }) => kind === Kind.OPERATION_DEFINITION)
      .map((operation) => {
        const name = operation.name.value;
        const type = `${name}${operation.operation.charAt(0).toUpperCase()}${operation.operation.slice(1)}`;
        const whole = [text(operation), ...used(operation)].join(' + ');
        return `export const ${name} = (${whole}) as Operation<${type}, ${type}Variables>;`;
      });
    return [...texts, ...operations].join('\n');
  },
};

/** The text of client/src/api/operations.ts. */
export async function operationsText(schemaText, operations) {
  const made = await codegen({
    filename: 'operations.ts',
    schema: parse(schemaText),
    documents: [{ location: 'operations.graphql', document: parse(operations) }],
    plugins: [{ operations: {} }, { documents: {} }],
    pluginMap: { operations: typescriptOperations, documents },
    config: {
      scalars: SCALARS,
      strictScalars: true,
      enumType: 'string-literal',
      skipTypename: true,
      immutableTypes: true,
      avoidOptionals: { field: true, inputValue: false, object: false, defaultValue: false },
    },
  });
  return `${HEAD}${made.trim()}\n`;
}
