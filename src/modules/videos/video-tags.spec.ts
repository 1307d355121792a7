import { InvalidInput } from '../../common/errors/index.js';
import { cleanLanguage, cleanTags } from './video-tags.js';

describe('cleanTags', () => {
  it.each([
    [[], []],
    [
      [' Sea ', '#Boats', 'slow   travel'],
      ['Sea', 'Boats', 'slow travel'],
    ],
    [['Sea', 'SEA', '#sea'], ['Sea']],
    [['C#'], ['C#']],
    [['ﬁlm'], ['film']],
    [['x'.repeat(30)], ['x'.repeat(30)]],
  ])('%j is %j', (given, clean) => {
    expect(cleanTags(given)).toEqual(clean);
  });

  it.each([
    [['']],
    [['#']],
    [[' ']],
    [['x'.repeat(31)]],
    [['a\0']],
    [['a\u202Eb']],
    [[...Array(21).keys()].map(String)],
  ])('%j is refused', (given) => {
    expect(() => cleanTags(given)).toThrow(InvalidInput);
  });
});

describe('cleanLanguage', () => {
  it.each([
    ['en', 'en'],
    [' EN ', 'en'],
    ['de-ch', 'de-CH'],
    ['zh-hant-tw', 'zh-Hant-TW'],
    ['es-419', 'es-419'],
    ['iw', 'he'],
  ])('%s is %s', (given, clean) => {
    expect(cleanLanguage(given)).toBe(clean);
  });

  it.each(['', 'e', 'english', 'en_US', 'en-', 'x-private', 'en-u-ca-buddhist', 'en\0'])('%j is refused', (given) => {
    expect(() => cleanLanguage(given)).toThrow(InvalidInput);
  });
});
