import { backoffMs } from './backoff.js';

describe('backoffMs', () => {
  it('doubles, up to a minute', () => {
    expect([1, 2, 3, 6, 7, 50].map((attempt) => backoffMs(attempt, 0))).toEqual([
      500, 1000, 2000, 16_000, 30_000, 30_000,
    ]);
  });

  it('spreads over the upper half', () => {
    expect(backoffMs(3, 0)).toBe(2000);
    expect(backoffMs(3, 0.5)).toBe(3000);
    expect(backoffMs(3, 1 - Number.EPSILON)).toBe(4000);
  });
});
