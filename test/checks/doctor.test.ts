import { sources, textOf } from './sources.js';

const PAGE = 'docs/operations/doctor.md';
const codes = sources('src/doctor/*.ts')
  .filter((path) => !path.endsWith('.spec.ts'))
  .flatMap((path) => [...textOf(path).matchAll(/\bcode: '(\w+)'/g)].map((match) => match[1] as string));

test('every finding is explained, and every one that is explained exists', () => {
  const explained = [...textOf(PAGE).matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1] as string);
  expect(explained.sort()).toEqual([...new Set(codes)].sort());
  expect(explained.length).toBeGreaterThan(30);
});
