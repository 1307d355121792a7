import { HotSegments } from './hot-segments.js';

const MIB = 1024 * 1024;

describe('HotSegments', () => {
  let hot: HotSegments;
  let lastAsked: Map<string, number>;
  let loads: string[];
  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
    hot = new HotSegments();
    lastAsked = new Map();
    loads = [];
  });
  afterEach(() => jest.useRealTimers());

  function ask(key: string, sizeBytes = MIB) {
    const before = lastAsked.get(key);
    lastAsked.set(key, performance.now());
    return hot.borrow(key, sizeBytes, before, async () => {
      loads.push(key);
      return Buffer.from(key);
    });
  }
  /** Asks, sends at once, and says whether it came from memory. */
  async function sent(key: string, sizeBytes?: number): Promise<boolean> {
    const lent = await ask(key, sizeBytes);
    lent?.giveBack();
    return lent !== null;
  }

  it('takes what is asked for twice within 15 s, and reads it once for all', async () => {
    expect(await sent('a')).toBe(false);
    jest.advanceTimersByTime(14_999);
    const [first, second] = await Promise.all([ask('a'), ask('a')]);
    expect([first?.bytes.toString(), second?.bytes.toString(), loads]).toEqual(['a', 'a', ['a']]);
    await sent('b');
    jest.advanceTimersByTime(15_000);
    expect(await sent('b')).toBe(false);
  });

  it('holds 64 MiB, and nothing of more than 8', async () => {
    for (let i = 0; i < 9; i++) await sent(`${i}`, 8 * MIB);
    const held: boolean[] = [];
    for (let i = 0; i < 9; i++) held.push(await sent(`${i}`, 8 * MIB));
    expect(held).toEqual([...Array(8).fill(true), false]);
    jest.advanceTimersByTime(60_000);
    await sent('large', 8 * MIB + 1);
    expect(await sent('large', 8 * MIB + 1)).toBe(false);
  });

  it('keeps what is asked for as often, however many others are; gives way to what is asked for more', async () => {
    const names = Array.from({ length: 128 }, (_, i) => `${i}`);
    for (let turn = 0; turn < 4; turn++) {
      for (const name of names) {
        await sent(name);
        jest.advanceTimersByTime(10);
      }
    }
    expect(loads).toHaveLength(64);
    await sent('new');
    jest.advanceTimersByTime(10);
    expect(await sent('new')).toBe(true);
  });

  it('counts what is being sent for as long as that takes', async () => {
    const lent = [];
    for (let i = 0; i < 8; i++) {
      await ask(`${i}`, 8 * MIB);
      lent.push(await ask(`${i}`, 8 * MIB));
    }
    jest.advanceTimersByTime(60_000);
    await sent('new');
    expect(await sent('new')).toBe(false);
    lent[3]?.giveBack();
    jest.advanceTimersByTime(10);
    expect(await sent('new')).toBe(true);
  });

  it('holds nothing that nobody asked for in 15 s', async () => {
    await sent('a');
    await sent('a');
    jest.advanceTimersByTime(20_000);
    expect([await sent('a'), loads, jest.getTimerCount()]).toEqual([false, ['a'], 0]);
  });

  it('keeps no failure', async () => {
    const fails = () => hot.borrow('a', MIB, performance.now(), () => Promise.reject(new Error('the store is away')));
    await expect(Promise.all([fails(), fails()])).rejects.toThrow('away');
    lastAsked.set('a', performance.now());
    expect((await ask('a'))?.bytes.toString()).toBe('a');
  });
});
