import { inOrder } from './in-order.js';

const all = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
};

test('results come in the order of the items, whichever ends first, and never more than so many are under way', async () => {
  let underWay = 0;
  let most = 0;
  const work = async (n: number) => {
    most = Math.max(most, ++underWay);
    for (let turns = 10 - n; turns > 0; turns--) await null;
    underWay--;
    return n * n;
  };
  expect(await all(inOrder([1, 2, 3, 4, 5, 6, 7, 8, 9], 3, work))).toEqual([1, 4, 9, 16, 25, 36, 49, 64, 81]);
  expect(most).toBe(3);
});

test('a failure ends it when what is under way has ended', async () => {
  let begun = 0;
  let ended = 0;
  const work = async (n: number) => {
    begun++;
    for (let turns = 5; turns > 0; turns--) await null;
    ended++;
    if (n === 2) throw new Error('no');
    return n;
  };
  await expect(all(inOrder([1, 2, 3, 4, 5, 6, 7, 8, 9], 2, work))).rejects.toThrow('no');
  expect([begun, ended]).toEqual([3, 3]);
});
