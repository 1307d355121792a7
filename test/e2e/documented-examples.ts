import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The code of a file in docs, by the name that stands in a comment before it. */
export function documentedExamples(file = 'uploads.md'): Map<string, string> {
  const text = readFileSync(join(import.meta.dirname, '../../docs', file), 'utf8');
  const examples = text.matchAll(/<!-- example: ([\w.-]+) -->\n```\w+\n([\s\S]*?)^```/gm);
  return new Map([...examples].map(([, name = '', code = '']) => [name, code]));
}
