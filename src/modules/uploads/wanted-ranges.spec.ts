import { firstWanted, wantedRanges } from './wanted-ranges.js';

const MIB = 1024 * 1024;
const session = { state: 'OPEN', sizeBytes: 100 * MIB, covered: '{}', wanted: '{[0,65536)}' };

test('a film with an index is looked at as soon as its first bytes are there', () => {
  expect(firstWanted('a.MP4', null, 100 * MIB)).toEqual([{ start: 0, end: 65_536 }]);
  expect(firstWanted('a', 'video/quicktime; x=1', 100 * MIB)).toEqual([{ start: 0, end: 65_536 }]);
});

test('nothing is looked at that has none, or will be there at once', () => {
  expect(firstWanted('a.mkv', 'video/x-matroska', 100 * MIB)).toBeNull();
  expect(firstWanted('a.mp4', null, MIB)).toBeNull();
});

test('before anybody has looked, the end may be the index', () => {
  const tail = { start: 99 * MIB, end: 100 * MIB };
  expect(wantedRanges(session)).toEqual([{ start: 0, end: 65_536 }, tail]);
  expect(wantedRanges({ ...session, covered: '{[0,100000)}' })).toEqual([tail]);
  expect(wantedRanges({ ...session, covered: `{[0,100000),[${99 * MIB},${100 * MIB})}` })).toEqual([]);
});

test('then what is missing of what is waited for', () => {
  expect(wantedRanges({ ...session, wanted: '{[100,200),[300,400)}', covered: '{[0,150),[160,310)}' })).toEqual([
    { start: 150, end: 160 },
    { start: 310, end: 400 },
  ]);
});

test('any order is as good where nothing is waited for', () => {
  expect(wantedRanges({ ...session, wanted: null })).toEqual([]);
  expect(wantedRanges({ ...session, state: 'COMPLETING' })).toEqual([]);
});
