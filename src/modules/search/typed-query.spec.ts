import { InvalidInput } from '../../common/errors/index.js';
import { typedQuery } from './typed-query.js';

it.each([
  ['boats', { words: ['boats'], phrases: [], isOpen: true }],
  ['slow boats ', { words: ['slow', 'boats'], phrases: [], isOpen: false }],
  ['sea sea', { words: ['sea'], phrases: [], isOpen: true }],
  ['"New York" trip', { words: ['trip'], phrases: [['new', 'york']], isOpen: true }],
  ['trip “New York”', { words: ['trip'], phrases: [['new', 'york']], isOpen: false }],
  ['"boats"', { words: [], phrases: [['boats']], isOpen: false }],
  ['an "open quote', { words: ['an', 'open', 'quote'], phrases: [], isOpen: true }],
  ['the -who or not !&|():*', { words: ['the', 'who', 'or', 'not'], phrases: [], isOpen: false }],
  ['the cat the', { words: ['the', 'cat'], isOpen: false }],
  ['東京タワー night', { words: ['night'], phrases: [['東', '京', 'タ', 'ワ', 'ー']], isOpen: true }],
  ['夜 東京', { words: ['夜'], phrases: [['東', '京']], isOpen: false }],
  ['e-mail "a-b"', { words: ['e', 'mail'], joins: [{ folded: 'email', of: ['e', 'mail'] }] }],
  ['""', { words: [], phrases: [], isOpen: false }],
  ['', { words: [], phrases: [], isOpen: false }],
])('%j', (text, query) => {
  expect(typedQuery(text, 'query')).toMatchObject(query);
});

it('keeps twelve words to look for, and all to compare with titles', () => {
  const words = [...Array(20).keys()].map((n) => `w${n}`);
  const query = typedQuery(words.join(' '), 'query');
  expect(query.words).toEqual(words.slice(0, 12));
  expect(query.all).toEqual(words);
  expect(typedQuery(`${words.slice(0, 11).join(' ')} e-mail`, 'query').joins).toEqual([]);
  // What was left out is not what was typed last.
  expect(query.isOpen).toBe(false);
});

it('refuses what is too long', () => {
  expect(() => typedQuery('x'.repeat(201), 'query')).toThrow(InvalidInput);
  expect(typedQuery('💧'.repeat(200), 'query').words).toEqual([]);
});
