import { bothTrends, HALF_LIFE_SECONDS, trendOf, trendOfPublication } from './trend.js';

const NOW = Date.UTC(2026, 10, 22) / 1000;

test('a view weighs half of one that comes a half-life later', () => {
  expect(trendOf(1, NOW + HALF_LIFE_SECONDS) - trendOf(1, NOW)).toBeCloseTo(1, 9);
  expect(trendOf(2, NOW)).toBeCloseTo(trendOf(1, NOW + HALF_LIFE_SECONDS), 9);
});

test('a publication weighs as much as four views', () => {
  expect(trendOfPublication(NOW)).toBe(trendOf(4, NOW));
});

test('views of one time sum up, in whatever parts and order they come', () => {
  const parts = [1, 700, 3, 41, 255].map((views) => trendOf(views, NOW));
  expect(parts.reduce(bothTrends)).toBeCloseTo(trendOf(1000, NOW), 9);
  expect(parts.reverse().reduce(bothTrends)).toBeCloseTo(trendOf(1000, NOW), 9);
});

test('views of several times sum up with their weights', () => {
  const sum = bothTrends(trendOf(8, NOW), trendOf(3, NOW + 2 * HALF_LIFE_SECONDS));
  expect(sum).toBeCloseTo(trendOf(8 + 3 * 4, NOW), 9);
});

test('which video is ahead does not change while nobody watches', () => {
  const [old, recent] = [trendOf(100, NOW - 5 * HALF_LIFE_SECONDS), trendOf(3, NOW)];
  // 100 / 2^5 is a little more than three.
  expect(old).toBeGreaterThan(recent);
  expect(bothTrends(recent, trendOf(1, NOW))).toBeGreaterThan(old);
});

test('what is very old beside what is new is nothing, and no error', () => {
  expect(bothTrends(trendOf(1, 0), trendOf(1, NOW))).toBe(trendOf(1, NOW));
});
