import { secondsUntilDone } from './queue-estimate.js';

describe('secondsUntilDone', () => {
  it('is the work by the speed for who is alone', () => {
    expect(secondsUntilDone(100, [], 10)).toBe(10);
    expect(secondsUntilDone(0, [500], 10)).toBe(0);
  });

  it('counts of others what is done meanwhile, and no more', () => {
    expect(secondsUntilDone(100, [100_000], 10)).toBe(20);
    expect(secondsUntilDone(100, [100_000, 30], 10)).toBe(23);
  });
});
