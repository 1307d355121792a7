import { askedSeconds, retryInSeconds, verdictOf } from './push-delivery.js';

it.each([
  ...[200, 201, 202].map((status) => [status, 'sent'] as const),
  ...[404, 410].map((status) => [status, 'gone'] as const),
  ...[408, 429, 500, 503].map((status) => [status, 'later'] as const),
  ...[301, 400, 401, 403, 413].map((status) => [status, 'refused'] as const),
])('%i: %s', (status, verdict) => {
  expect(verdictOf(status)).toBe(verdict);
});

it('waits longer each time, as long as it is asked to, and gives up', () => {
  expect([1, 2, 3, 9].map((attempt) => retryInSeconds(attempt, null, 0))).toEqual([15, 30, 60, 1_800]);
  expect(retryInSeconds(1, null, 0.5)).toBe(22.5);
  expect(retryInSeconds(1, 120, 0)).toBe(120);
  expect(retryInSeconds(1, 1e9, 0)).toBe(3_600);
  expect(retryInSeconds(10, null, 0)).toBeNull();
});

it('reads Retry-After', () => {
  expect([undefined, '30', 'Wed, 21 Oct 2026 07:28:00 GMT', '-1', '1e9'].map(askedSeconds)).toEqual([
    ...[null, 30, null, null, null],
  ]);
});
