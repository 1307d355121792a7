import { FORGED, judgeHops } from './hops.js';

test.each([
  ['without a proxy, trusting none', FORGED, 0, 'right'],
  ['without a proxy, trusting one', FORGED, 1, 'too wide'],
  ['behind one that appends, trusting none', `${FORGED}, 198.51.100.1`, 0, 'too narrow'],
  ['behind one that appends, trusting one', `${FORGED}, 198.51.100.1`, 1, 'right'],
  ['behind one that appends, trusting two', `${FORGED}, 198.51.100.1`, 2, 'too wide'],
  ['behind two that append, trusting one', `${FORGED}, 198.51.100.1, 10.0.0.2`, 1, 'too narrow'],
  ['behind two that append, trusting two', `${FORGED},198.51.100.1,10.0.0.2`, 2, 'right'],
  ['behind one that begins anew, trusting none', '198.51.100.1', 0, 'too narrow'],
  ['behind one that begins anew, trusting one', '198.51.100.1', 1, 'right'],
  ['behind one that removes it, trusting none', null, 0, 'right'],
] as const)('%s', (_case, forwarded, taken, verdict) => {
  expect(judgeHops(forwarded, taken)).toBe(verdict);
});
