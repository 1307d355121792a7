import { addressOf, searchOf, wantedOf } from './search-choice.js';

const NOW = Date.parse('2026-11-22T08:00:30Z');

it('takes from an address what the page can choose, and no more', () => {
  const wanted = { query: 'canals & locks', date: 'week', length: 'short', order: 'newest' };
  expect(wantedOf('?q=canals+%26+locks&date=week&length=short&order=newest')).toEqual(wanted);
  expect(wantedOf(new URL(addressOf(wanted), 'http://here').search)).toEqual(wanted);
  expect(wantedOf('?date=constructor&length=__proto__&order=oldest')).toEqual({
    query: '',
    date: '',
    length: '',
    order: '',
  });
});

it('leaves out of an address what is not chosen', () => {
  expect(addressOf({ query: 'a', date: '', length: '', order: '' })).toBe('/search?q=a');
});

it('asks for what was published in the days before, by the minute', () => {
  expect(searchOf(wantedOf('?q=a&date=week&length=medium'), NOW)).toEqual({
    query: 'a',
    filter: { publishedAfter: '2026-11-15T08:00:00.000Z', minDurationMs: 240_000, maxDurationMs: 1_200_000 },
    orderBy: 'RELEVANCE',
  });
  expect(searchOf(wantedOf('?q=a&order=newest'), NOW)).toEqual({ query: 'a', filter: {}, orderBy: 'NEWEST' });
});
