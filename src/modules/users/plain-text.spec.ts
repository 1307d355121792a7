import { InvalidInput } from '../../common/errors/index.js';
import { cleanLines, cleanName } from './plain-text.js';

describe('cleanName', () => {
  it.each([
    ['  Ada Lovelace ', 'Ada Lovelace'],
    ['Ａｄａ', 'Ada'],
    ['محمد', 'محمد'],
    ['👩‍👩‍👧', '👩‍👩‍👧'],
    ["Robert'); DROP TABLE app_user;--", "Robert'); DROP TABLE app_user;--"],
    ['x'.repeat(100), 'x'.repeat(100)],
    ['💧'.repeat(100), '💧'.repeat(100)],
  ])('keeps %j', (value, name) => expect(cleanName(value, 'displayName', 100)).toBe(name));

  it.each([
    ['empty', ''],
    ['blank', ' \u00a0\u3000 '],
    ['nothing to see', '\u200b\u2060'],
    ['NUL', 'a\u0000b'],
    ['line end', 'a\nb'],
    ['escape', 'a\u001b[31mb'],
    ['right-to-left override', 'abc\u202egpj.exe'],
    ['isolate', 'a\u2067b'],
    ['half a surrogate pair', 'a\ud800b'],
    ['101 characters', 'x'.repeat(101)],
    ['10 kB', 'x'.repeat(10_000)],
    ['what grows when normalised', '\ufdfa'.repeat(6)],
  ])('refuses %s', (_, value) => {
    const attempt = () => cleanName(value, 'displayName', 100);
    expect(attempt).toThrow(InvalidInput);
    expect(attempt).toThrow(expect.objectContaining({ field: ['displayName'] }));
  });
});

describe('cleanLines', () => {
  it('keeps lines, tabs and spelling', () => {
    expect(cleanLines(' one\r\ntwo\r\tthree ½ ', 'description', 100)).toBe('one\ntwo\n\tthree ½');
    expect(cleanLines('', 'description', 100)).toBe('');
  });

  it.each(['a\u0000b', 'a\u202eb', '\udc00', 'x'.repeat(101)])('refuses %j', (value) => {
    expect(() => cleanLines(value, 'description', 100)).toThrow(InvalidInput);
  });
});
