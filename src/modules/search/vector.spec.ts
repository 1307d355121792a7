import { tagLexeme, vectorOf } from './vector.js';

const stems: Record<string, string> = { boats: 'boat', running: 'run' };
const stemOf = (word: string) => (word === 'the' ? null : (stems[word] ?? word));

it('has words in order, stems in their places, and a gap between parts', () => {
  const parts = [
    { words: ['the', 'boats'], label: 'A', stems: 'B' },
    { words: ['sea'], label: 'C' },
  ] as const;
  expect(vectorOf(parts, [tagLexeme(['slow', 'travel'])], stemOf)).toBe(
    "'the':1A 'boats':2A 'boat':2B 'sea':4C '#slow travel':5D",
  );
});

it('has what may be joined in the place of its last word', () => {
  const parts = [{ words: ['the', 'ac', 'dc', 'film'], joins: [{ folded: 'acdc', at: 2 }], label: 'A' }] as const;
  expect(vectorOf(parts, [], stemOf)).toBe("'the':1A 'ac':2A 'dc':3A 'acdc':3A 'film':4A");
});

it('counts no further than PostgreSQL does', () => {
  const vector = vectorOf([{ words: Array(20_000).fill('x'), label: 'D' }], [], stemOf);
  expect(vector.endsWith("'x':16383D")).toBe(true);
});

it('of nothing is nothing', () => {
  expect(vectorOf([], [], stemOf)).toBe('');
});
