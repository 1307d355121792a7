import { Link, retryMs } from './link.js';

const even = () => 0.5;
const refusal = { kind: 'refused', isLook: false, reason: { code: 'STORAGE_FULL', message: 'Full.' } } as const;

test('a stall is what is long for this very link', () => {
  const link = new Link(0, even);
  link.answered(40);
  expect(link.stallMs).toBe(700);
  link.answered(40);
  // Something left every 500 ms.
  for (let now = 500; now <= 5_000; now += 500) link.progressed(now);
  expect(link.stallMs).toBeGreaterThan(1_200);
  expect(link.stallMs).toBeLessThan(1_600);
  const far = new Link(0, even);
  far.answered(600);
  expect(far.stallMs).toBe(3_000);
});

test('a stall does not count as the usual gap', () => {
  const link = new Link(0, even);
  link.answered(40);
  for (let now = 100; now <= 1_000; now += 100) link.progressed(now);
  link.progressed(11_000);
  expect(link.stallMs).toBe(700);
});

test('who called slow dead waits longer the next time, for a while', () => {
  const link = new Link(0, even);
  link.answered(40);
  link.wasWrong();
  expect(link.stallMs).toBe(1_400);
  link.wasRight();
  expect(link.stallMs).toBe(700);
});

test('a cut of a link that worked is answered at once, a second failure after a moment', () => {
  const link = new Link(0, even);
  link.failed(10_000, { kind: 'cut', livedMs: 5_000 });
  expect(link.attemptAt).toBe(10_000);
  // What was cut with it does not count again.
  link.failed(10_010, { kind: 'cut', livedMs: 30 });
  expect(link.attemptAt).toBe(10_000);
  link.failed(10_100, { kind: 'cut', livedMs: 0 });
  expect(link.attemptAt).toBe(10_250);
});

test('knocks often for half a minute, then more and more seldom, and never stops', () => {
  const link = new Link(0, even);
  const waits: number[] = [];
  for (let now = 0; now < 200_000; now = link.attemptAt) {
    link.failed(now, { kind: 'cut', livedMs: 0 });
    waits.push(link.attemptAt - now);
  }
  expect(waits[50]).toBe(150);
  expect(waits.at(-1)).toBe(4_000);
  link.opened(200_000);
  link.failed(200_000, { kind: 'cut', livedMs: 0 });
  expect(link.attemptAt).toBe(200_150);
});

test('refusals are answered with patience, as long as nothing gets through', () => {
  const link = new Link(0, even);
  const refused = () => {
    const now = link.attemptAt;
    link.failed(now, { ...refusal, retryAfterMs: null });
    return link.attemptAt - now;
  };
  expect([refused(), refused(), refused()]).toEqual([400, 800, 1_600]);
  // What was asked before the wait began does not make it longer.
  link.failed(1_300, { ...refusal, retryAfterMs: null });
  expect(link.attemptAt).toBe(2_800);
  expect(link.waitsSince).toBe(0);
  link.stored();
  expect(refused()).toBe(400);
  link.failed(10_000, { ...refusal, retryAfterMs: 5_000 });
  expect(link.attemptAt).toBe(15_000);
});

test('when a look is answered again, what refused looks is over, and the wait with it', () => {
  const link = new Link(0, even);
  for (let now = 0; now < 20_000; now += 1_000) link.failed(now, { ...refusal, retryAfterMs: null, isLook: true });
  expect(link.attemptAt).toBeGreaterThan(20_000);
  expect(link.holds(20_000)).toBe(true);
  link.accepted(20_000);
  expect(link.attemptAt).toBe(20_000);
  expect([link.waitsSince, link.refusal, link.holds(20_000)]).toEqual([null, null, false]);
  // But not what refuses bytes, nor what was asked for in seconds.
  link.failed(21_000, { ...refusal, retryAfterMs: null });
  const { attemptAt } = link;
  link.accepted(21_010);
  expect(link.attemptAt).toBe(attemptAt);
  link.failed(21_020, { ...refusal, retryAfterMs: 5_000, isLook: true });
  link.accepted(21_030);
  expect(link.attemptAt).toBe(26_020);
});

test('who hears nothing knocks more and more seldom', () => {
  const link = new Link(0, even);
  link.answered(40);
  expect(link.knockMs(30_000)).toBe(150);
  expect(link.knockMs(1_000_000)).toBe(4_000);
  link.heard(1_000_000);
  expect(link.knockMs(1_000_010)).toBe(150);
  // Few sockets: each knock still has two round trips.
  const far = new Link(0, even, 2);
  far.answered(1_000);
  expect(far.knocks * far.knockMs(0)).toBe(2_000);
});

test('the rate is what the server counted', () => {
  const link = new Link(0, even);
  for (let now = 0; now <= 20_000; now += 1_000) link.counts(now, now * 50);
  expect(Math.round(link.bytesPerSecond)).toBe(50_000);
  expect(link.pollMs).toBe(4_000);
  // A server that died has lost what it had not settled: no progress, no debt.
  expect(link.counts(21_000, 900_000)).toBe(false);
  expect(link.counts(22_000, 950_000)).toBe(true);
});

test('requests outside of the lanes: at once where nothing answers, with patience where something does', () => {
  expect(retryMs(0, false, even)).toBe(150);
  expect(retryMs(1_000, false, even)).toBe(4_000);
  expect(retryMs(0, true, even)).toBe(400);
  expect(retryMs(100, true, even)).toBe(30_000);
});
