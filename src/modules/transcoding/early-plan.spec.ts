import { timing } from '../media/index.js';
import { BEGINNING_SECONDS, soundSteps, soundUntil } from './early-plan.js';

const rate = { num: 30, den: 1 };
const times = (duration: number, startTime = 0) =>
  // biome-ignore lint/suspicious/noExplicitAny: what timing reads of a probe
  timing({ formatStartTime: 0, video: { duration, startTime, avgFrameRate: rate, realFrameRate: rate } } as any);

test('sound is made in steps of twice as much, and never all of it before the end', () => {
  expect(soundSteps(times(52))).toEqual([8, 4, 2, 1]);
  expect(soundSteps(times(64))).toEqual([8, 4, 2, 1]);
  expect(soundSteps(times(68))).toEqual([16, 8, 4, 2, 1]);
  expect(soundSteps(times(3))).toEqual([]);
});

test('the first step of sound needs no more of the file than the first piece of the picture', () => {
  expect(soundUntil(times(52), 1)).toBeLessThanOrEqual(BEGINNING_SECONDS);
  expect(soundUntil(times(52, 0.7), 1)).toBeCloseTo(5.7);
});
