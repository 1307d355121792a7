import { sources, textOf } from './sources.js';

const PAGE = 'docs/errors.md';
/** Where a SCREAMING word in quotes, or before a message, is a code. Storage's are for use cases, not for clients. */
const ALL_CODES = /(?:^|\/)(?!storage)[\w-]+\.errors\.ts$|^src\/common\/errors\/|\/verdict\.ts$/;

const code = `'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)'`;
const ANYWHERE = [new RegExp(`\\bcode: ${code}`, 'g'), new RegExp(`InvalidInput\\([^;]*?, ${code}\\)`, 'gs')];
const WITHIN = [new RegExp(code, 'g'), /^\s+([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*):\s/gm];

function codesIn(path: string): string[] {
  const text = textOf(path).replace(/^\s*(?:\/?\*|\/\/).*$/gm, '');
  const patterns = ALL_CODES.test(path) ? [...ANYWHERE, ...WITHIN] : ANYWHERE;
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1] ?? ''));
}

// What the doctor finds is for operators: test/checks/doctor.test.ts.
const files = sources('src/*.ts').filter((path) => !path.endsWith('.spec.ts') && !path.startsWith('src/doctor/'));
const documented = [...textOf(PAGE).matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1] ?? '');

test('every code that a client can meet is explained', () => {
  const unexplained = files.flatMap((path) =>
    codesIn(path).flatMap((found) => (documented.includes(found) ? [] : `${found} (${path})`)),
  );
  expect(unexplained).toEqual([]);
});

test('every code that is explained exists', () => {
  const words = new Set(files.flatMap((path) => textOf(path).match(/\b[A-Z][A-Z0-9_]+\b/g) ?? []));
  expect(documented.filter((found) => !words.has(found))).toEqual([]);
  expect(documented.length).toBeGreaterThan(40);
});
