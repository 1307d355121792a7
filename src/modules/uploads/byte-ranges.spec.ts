import { formatRange, isCovered, missingRanges, parseMultirange, sizeOf } from './byte-ranges.js';

describe('byte ranges', () => {
  it("reads and writes PostgreSQL's text", () => {
    expect(parseMultirange('{}')).toEqual([]);
    expect(parseMultirange('{[0,10),[20,9007199254740991)}')).toEqual([
      { start: 0, end: 10 },
      { start: 20, end: Number.MAX_SAFE_INTEGER },
    ]);
    expect(formatRange({ start: 5, end: 6 })).toBe('[5,6)');
  });

  it.each([
    ['nothing covered', '{}', ['[0,100)']],
    ['all covered', '{[0,100)}', []],
    ['holes at both ends and in the middle', '{[10,20),[30,90)}', ['[0,10)', '[20,30)', '[90,100)']],
    ['a hole at the end', '{[0,99)}', ['[99,100)']],
  ])('missing: %s', (_, covered, missing) => {
    const ranges = parseMultirange(covered);
    expect(missingRanges(ranges, 100).map(formatRange)).toEqual(missing);
    expect(sizeOf(ranges) + sizeOf(missingRanges(ranges, 100))).toBe(100);
  });

  it('covered means all of it', () => {
    const covered = parseMultirange('{[0,10),[20,30)}');
    expect(isCovered({ start: 0, end: 10 }, covered)).toBe(true);
    expect(isCovered({ start: 22, end: 23 }, covered)).toBe(true);
    expect(isCovered({ start: 9, end: 11 }, covered)).toBe(false);
    expect(isCovered({ start: 5, end: 25 }, covered)).toBe(false);
  });
});
