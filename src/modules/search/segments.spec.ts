import { isSegment, segmentsOf } from './segments.js';

const plain = { isFrequent: false, titles: null, orderBy: 'RELEVANCE', after: null } as const;

it.each([
  ['rare words', {}, ['ALL', 'BODY_FIRST', 'BODY']],
  ['frequent words', { isFrequent: true }, ['FIRST', 'REST', 'BODY_FIRST', 'BODY']],
  ['a title', { titles: 'TITLE' }, ['TITLE', 'ALL', 'BODY_FIRST', 'BODY']],
  ['words that are no mistake', { titles: 'NEAR' }, ['ALL', 'NEAR', 'BODY_FIRST', 'BODY']],
  ['the newest', { isFrequent: true, titles: 'TITLE', orderBy: 'NEWEST' }, ['ALL', 'BODY']],
  ['the newest near', { titles: 'NEAR', orderBy: 'NEWEST' }, ['ALL', 'NEAR', 'BODY']],
  ['a list that goes on', { isFrequent: true, after: 'REST' }, ['REST', 'BODY_FIRST', 'BODY']],
  ['… as it was begun', { after: 'FIRST' }, ['FIRST', 'REST', 'BODY_FIRST', 'BODY']],
  ['… as it was begun, too', { isFrequent: true, after: 'ALL' }, ['ALL', 'BODY_FIRST', 'BODY']],
  [
    '… behind the title',
    { isFrequent: true, titles: 'TITLE', after: 'TITLE' },
    ['TITLE', 'FIRST', 'REST', 'BODY_FIRST', 'BODY'],
  ],
  ['… to its end', { after: 'BODY' }, ['BODY']],
] as const)('%s', (_, list, segments) => {
  expect(segmentsOf({ ...plain, ...list })).toEqual(segments);
});

it('knows its own', () => {
  expect([isSegment('TITLE'), isSegment('title'), isSegment('')]).toEqual([true, false, false]);
});
