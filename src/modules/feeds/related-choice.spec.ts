import { type Candidate, choose, MOST_RELATED, MOST_WITH_TERM, scoreOf, weightOf } from './related-choice.js';

const VIDEO = { channelId: 'one', language: 'de-CH' };
const candidate = (more: Partial<Candidate> = {}): Candidate => ({
  ...{ id: 'a', channelId: 'other', language: null, views: 0, terms: 0 },
  ...more,
});

test('a term says the more the fewer have it, and something however many do', () => {
  const weights = [2, 5, 20, MOST_WITH_TERM - 1, MOST_WITH_TERM].map(weightOf);
  expect(weights).toEqual(weights.toSorted((one, other) => other - one));
  expect(weights.at(-1)).toBeGreaterThan(0);
  expect(weightOf(1)).toBe(weightOf(2));
});

test('a rare term says more than the channel, the channel more than the language, that more than ten times the views', () => {
  const scores = [
    scoreOf(candidate({ terms: weightOf(3) }), VIDEO),
    scoreOf(candidate({ channelId: 'one' }), VIDEO),
    scoreOf(candidate({ language: 'de' }), VIDEO),
    scoreOf(candidate({ views: 9 }), VIDEO),
    scoreOf(candidate(), VIDEO),
  ];
  expect(scores).toEqual(scores.toSorted((one, other) => other - one));
  expect(new Set(scores).size).toBe(scores.length);
});

test('what is said in no language is said in no language of another', () => {
  expect(scoreOf(candidate(), { ...VIDEO, language: null })).toBe(0);
});

test('the best come first, in an order that does not depend on how they were found', () => {
  const found = [candidate({ id: 'b' }), candidate({ id: 'c', views: 100 }), candidate({ id: 'a' })];
  expect(choose(found, VIDEO)).toEqual(['c', 'a', 'b']);
  expect(choose(found.toReversed(), VIDEO)).toEqual(['c', 'a', 'b']);
});

test('one channel takes a third of the places, unless there is nothing else', () => {
  const own = [...Array(60).keys()].map((n) => candidate({ id: `own${n}`, channelId: 'one', views: 1_000 }));
  const others = [...Array(20).keys()].map((n) => candidate({ id: `other${n}`, channelId: `c${n}` }));
  const chosen = choose([...own, ...others], VIDEO);
  expect(chosen).toHaveLength(MOST_RELATED);
  expect(chosen.slice(0, 36).filter((id) => id.startsWith('own'))).toHaveLength(16);
  expect(chosen.slice(36).every((id) => id.startsWith('own'))).toBe(true);
});
