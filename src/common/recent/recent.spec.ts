import { Recent } from './recent.js';

describe('Recent', () => {
  beforeEach(() => jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] }));
  afterEach(() => jest.useRealTimers());

  it('reads once within the life of an answer, and again after it', async () => {
    let reads = 0;
    const recent = new Recent(2000, async (key) => `${key}${++reads}`);
    expect(await Promise.all([recent.get('a'), recent.get('a')])).toEqual(['a1', 'a1']);
    jest.advanceTimersByTime(1999);
    expect(await recent.get('a')).toBe('a1');
    jest.advanceTimersByTime(1);
    expect(await recent.get('a')).toBe('a2');
  });

  it('keeps no failure', async () => {
    let reads = 0;
    const recent = new Recent(2000, async () => {
      if (++reads === 1) throw new Error('the database is away');
      return reads;
    });
    await expect(recent.get('a')).rejects.toThrow('away');
    expect(await recent.get('a')).toBe(2);
  });

  it('reads again what was dropped, also while it was being read', async () => {
    let reads = 0;
    const recent = new Recent(2000, async () => ++reads);
    const first = recent.get('a');
    recent.drop('a');
    expect([await first, await recent.get('a')]).toEqual([1, 2]);
  });

  it('forgets the oldest beyond its limit', async () => {
    const read: string[] = [];
    const recent = new Recent(
      2000,
      async (key) => {
        read.push(key);
      },
      2,
    );
    for (const key of ['a', 'b', 'c', 'c', 'b', 'a']) await recent.get(key);
    expect(read).toEqual(['a', 'b', 'c', 'a']);
  });
});
