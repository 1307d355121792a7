import { deletesOf, isNear } from './near.js';

describe('deletesOf', () => {
  it('is the word, and it less each letter', () => {
    expect(deletesOf('boat')).toEqual(['boat', 'oat', 'bat', 'bot', 'boa']);
    expect(deletesOf('aa')).toEqual(['aa', 'a']);
    expect(deletesOf('💧a')).toEqual(['💧a', 'a', '💧']);
    expect(deletesOf('a')).toEqual(['a']);
  });

  it('is nothing where there are no typos to tell, or too many', () => {
    expect(deletesOf('2026')).toEqual([]);
    expect(deletesOf('x'.repeat(31))).toEqual([]);
  });
});

describe('isNear', () => {
  it.each([
    ['boat', 'boat'],
    ['boat', 'bat'],
    ['boat', 'boats'],
    ['boat', 'bout'],
    ['boat', 'baot'],
    ['boat', 'goat'],
    ['oat', 'boat'],
    ['ab', 'ba'],
  ])('%s is near %s', (one, other) => {
    expect([isNear(one, other), isNear(other, one)]).toEqual([true, true]);
  });

  it.each([
    ['boat', 'bt'],
    ['boat', 'tboa'],
    ['boat', 'gout'],
    ['boat', 'obta'],
    ['boat', 'baost'],
    ['abc', 'cba'],
  ])('%s is not near %s', (one, other) => {
    expect([isNear(one, other), isNear(other, one)]).toEqual([false, false]);
  });

  it('any two that are near share one of their deletes', () => {
    const letters = ['a', 'b', 'c'];
    const words = letters.flatMap((a) => letters.flatMap((b) => ['', ...letters].flatMap((c) => [a + b + c])));
    for (const one of words) {
      for (const other of words) {
        if (isNear(one, other)) expect(deletesOf(one).some((part) => deletesOf(other).includes(part))).toBe(true);
      }
    }
  });
});
