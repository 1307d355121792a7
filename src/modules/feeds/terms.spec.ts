import { termsOf } from './terms.js';

test('a word of a title and a tag of one word are the same, however they are written', () => {
  expect(termsOf({ title: 'The LOCKS of Délft', tags: ['delft'] }).toSorted()).toEqual(['delft', 'locks', 'the']);
  expect(termsOf({ title: 'Ｄｅｌｆｔ', tags: [] })).toEqual(['delft']);
});

test('a tag of several words is one term', () => {
  expect(termsOf({ title: '', tags: ['Slow  TV', 'C++'] })).toEqual(['slow tv', 'c']);
});

test('short words say nothing in Latin, and much in other scripts', () => {
  expect(termsOf({ title: 'To be or no 猫 猫', tags: [] })).toEqual(['猫']);
});

test('a title counts with ten words at most, those that are longest', () => {
  const title = [...Array(30).keys()].map((n) => 'x'.repeat(n + 3)).join(' ');
  const terms = termsOf({ title, tags: [] });
  expect(terms).toHaveLength(10);
  expect(terms.at(-1)).toHaveLength(23);
});

test('nothing is about nothing, and no term is empty or endless', () => {
  expect(termsOf({ title: '', tags: ['!!!', '—'] })).toEqual([]);
  expect(termsOf({ title: 'a'.repeat(100), tags: [] })[0]).toHaveLength(60);
});

test('no term ends in half a character, which would make one of two', () => {
  const long = 'x'.repeat(59);
  expect(termsOf({ title: `${long}\u{10330} ${long}\u{10428}`, tags: [] })).toEqual([
    `${long}\u{10330}`,
    `${long}\u{10428}`,
  ]);
  expect(termsOf({ title: '', tags: [`${long}x\u{10330}`, `${long}x\u{10428}`] })).toEqual([`${long}x`]);
});
