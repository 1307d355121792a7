import { Turns } from './turns.js';

it('runs four at once, lets forty wait, and refuses what comes then; whatever becomes of each', async () => {
  const turns = new Turns();
  const ends: (() => void)[] = [];
  let begun = 0;
  const search = (number: number) =>
    turns.run(async () => {
      begun++;
      await new Promise<void>((end) => ends.push(end));
      if (number % 2) throw new Error('of its own');
    });
  const all = Promise.allSettled(Array.from({ length: 44 }, (_, number) => search(number)));
  expect(begun).toBe(4);
  await expect(search(44)).rejects.toMatchObject({ code: 'RATE_LIMITED', details: { retryAfterMs: 1_000 } });
  for (let most = 0; ends.length > 0; ) {
    most = Math.max(most, ends.length);
    expect(most).toBeLessThanOrEqual(4);
    ends.shift()?.();
    for (let tick = 0; tick < 10; tick++) await Promise.resolve();
  }
  await all;
  expect(begun).toBe(44);
  const last = turns.run(async () => 'free again');
  expect(await last).toBe('free again');
});
