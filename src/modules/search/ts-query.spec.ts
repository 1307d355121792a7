import { tsQuery } from './ts-query.js';
import { typedQuery } from './typed-query.js';

const none = new Map();

it.each([
  ['boats', "'boats'"],
  ['slow boats', "'slow' & 'boats'"],
  ['"new york" trip', "'trip' & ('new' <-> 'york')"],
  ["' | 'a':* & !b", "'a' & 'b'"],
  ['', ''],
])('%j is %s', (text, built) => {
  expect(tsQuery(typedQuery(text, 'query'), none)).toBe(built);
});

it('finds a word as any of its spellings, each once', () => {
  const spellings = new Map([['boats', ['boat', 'boats']]]);
  expect(tsQuery(typedQuery('slow boats', 'query'), spellings)).toBe("'slow' & ('boats' | 'boat')");
});

it('finds what only a sign parts as one word, too', () => {
  const typed = typedQuery('slow e-mail', 'query');
  const spellings = new Map([['mail', ['mails']]]);
  expect(tsQuery(typed, spellings)).toBe("'slow' & ('email' | 'e' & ('mail' | 'mails'))");
  // Where some of it is not asked for.
  expect(tsQuery({ ...typed, words: ['slow', 'mail'] }, new Map())).toBe("'slow' & ('email' | 'mail')");
  expect(tsQuery({ ...typed, words: ['slow'] }, new Map())).toBe("'slow'");
});

it('can be bound to weights', () => {
  const spellings = new Map([['boats', ['boat']]]);
  expect(tsQuery(typedQuery('"new york" boats', 'query'), spellings, { label: 'ABC' })).toBe(
    "('boats':ABC | 'boat':ABC) & ('new':ABC <-> 'york':ABC)",
  );
});

it('lets one word go on', () => {
  const spellings = new Map([['boa', ['bow']]]);
  expect(tsQuery(typedQuery('slow boa', 'query'), spellings, { begun: 'boa' })).toBe("'slow' & ('boa':* | 'bow')");
  expect(tsQuery(typedQuery('slow boa', 'query'), new Map(), { begun: 'boa', label: 'A' })).toBe("'slow':A & 'boa':*A");
});
