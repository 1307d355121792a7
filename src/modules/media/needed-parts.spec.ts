import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NEEDED_PARTS } from './needed-parts.js';

const builders = readdirSync(__dirname).filter((name) => name.endsWith('-arguments.ts'));
const text = builders.map((name) => readFileSync(join(__dirname, name), 'utf8')).join('\n');

/** Words that begin a filter's description, `name=…` or a bare name between commas, in the strings of the builders. */
const named = (pattern: RegExp) => [...new Set([...text.matchAll(pattern)].map((match) => match[1] as string))].sort();

test('every encoder and muxer of the builders is listed', () => {
  expect(NEEDED_PARTS.encoders).toEqual(expect.arrayContaining(named(/'-c:[av]', '(\w+)'/g)));
  expect(NEEDED_PARTS.muxers).toEqual(expect.arrayContaining(named(/'-f', '(\w+)'/g)));
});

test('every filter that is listed is used, and every one that is used is listed', () => {
  for (const filter of NEEDED_PARTS.filters) expect(text).toMatch(new RegExp(`[\`',\\]]${filter}\\b`));
  const used = named(/[`',\]](\w+)=/g).filter((name) => !['movflags', 'stitchable', 'noise'].includes(name));
  expect(NEEDED_PARTS.filters).toEqual(expect.arrayContaining(used));
});
