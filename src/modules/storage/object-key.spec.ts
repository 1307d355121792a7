import { assertKeyPrefix, isObjectKey } from './object-key.js';

const long = 'a'.repeat(200);

test.each(['a', 'incoming/1f-2/0-8388608.3', 'videos/x_y/r1/v.mp4', long, `${long}/${long}`])('%j is a key', (key) => {
  expect(isObjectKey(key)).toBe(true);
});

test.each([
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  '../a',
  'a/../b',
  'a/./b',
  'a/.b',
  'a/..',
  'A',
  'ä',
  'a b',
  'a%2fb',
  '%2e%2e/a',
  'a\\b',
  'a\0',
  'a\n',
  'a@',
  'a?b',
  'a#b',
  `a${long}`,
  `${long}/${long}/${long}`,
])('%j is not a key', (key) => {
  expect(isObjectKey(key)).toBe(false);
});

test('a prefix may be empty and may end anywhere', () => {
  for (const prefix of ['', 'a', 'a/', 'a/b', 'a/b.']) expect(() => assertKeyPrefix(prefix)).not.toThrow();
  for (const prefix of ['/', '../', 'a//', 'a/..', 'A', 'a@'])
    expect(() => assertKeyPrefix(prefix)).toThrow('Not an object key');
});

test('the time to refuse does not grow with the input', () => {
  const hostile = `${'a/'.repeat(250)}!`;
  const begin = performance.now();
  for (let round = 0; round < 1000; round++) isObjectKey(hostile);
  expect(performance.now() - begin).toBeLessThan(1000);
});
