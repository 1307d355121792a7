import { causeOf } from './cause.js';

it('is an id, the same for the same parts in their order', () => {
  expect(causeOf('follow', 'a', 'b')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(causeOf('follow', 'a', 'b')).toBe(causeOf('follow', 'a', 'b'));
  expect(new Set([causeOf('a', 'b'), causeOf('b', 'a'), causeOf('ab'), causeOf('a', 'b', '')]).size).toBe(4);
});
