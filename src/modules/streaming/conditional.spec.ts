import { select } from './conditional.js';

const ETAG = '"abc"';

describe('select', () => {
  it.each([
    ['no header', {}, { status: 200, start: 0, end: 100 }],
    ['a range', { range: 'bytes=0-9' }, { status: 206, start: 0, end: 10 }],
    ['one byte', { range: 'bytes=99-99' }, { status: 206, start: 99, end: 100 }],
    ['an open range', { range: 'bytes=90-' }, { status: 206, start: 90, end: 100 }],
    ['a range beyond the end', { range: 'bytes=90-1000' }, { status: 206, start: 90, end: 100 }],
    ['a suffix', { range: 'bytes=-10' }, { status: 206, start: 90, end: 100 }],
    ['a suffix longer than all', { range: 'bytes=-1000' }, { status: 206, start: 0, end: 100 }],
    ['a start beyond the end', { range: 'bytes=100-' }, { status: 416 }],
    ['an empty suffix', { range: 'bytes=-0' }, { status: 416 }],
    ['several ranges', { range: 'bytes=0-1,5-6' }, { status: 200, start: 0, end: 100 }],
    ['a range that runs backwards', { range: 'bytes=9-0' }, { status: 200, start: 0, end: 100 }],
    ['another unit', { range: 'seconds=0-9' }, { status: 200, start: 0, end: 100 }],
    ['nonsense', { range: 'bytes=-' }, { status: 200, start: 0, end: 100 }],
    ['a known tag', { 'if-none-match': ETAG }, { status: 304 }],
    ['a known tag with a range', { 'if-none-match': ETAG, range: 'bytes=0-1' }, { status: 304 }],
    ['a known weak tag among others', { 'if-none-match': '"x", W/"abc"' }, { status: 304 }],
    ['any tag', { 'if-none-match': '*' }, { status: 304 }],
    ['an old tag', { 'if-none-match': '"old"' }, { status: 200, start: 0, end: 100 }],
    ['a range if it is still the same', { range: 'bytes=1-2', 'if-range': ETAG }, { status: 206, start: 1, end: 3 }],
    ['a range of something older', { range: 'bytes=1-2', 'if-range': '"old"' }, { status: 200, start: 0, end: 100 }],
    ['a range with a weak tag', { range: 'bytes=1-2', 'if-range': 'W/"abc"' }, { status: 200, start: 0, end: 100 }],
    ['the right precondition', { 'if-match': ETAG }, { status: 200, start: 0, end: 100 }],
    ['a wrong precondition', { 'if-match': '"old"' }, { status: 412 }],
  ])('%s', (_, headers, selection) => {
    expect(select(headers, ETAG, 100)).toEqual(selection);
  });
});
