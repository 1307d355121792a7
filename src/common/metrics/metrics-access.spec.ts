import { mayReadMetrics } from './metrics-access.js';

const TOKEN = 'scrape-0123456789abcdef';

it.each([
  '127.0.0.1',
  '::1',
  '::ffff:127.0.0.1',
  '10.1.2.3',
  '172.31.0.9',
  '192.168.7.7',
  '::ffff:10.0.0.8',
  'fd00::1',
  'fe80::1%eth0',
])('answers %s, which is near', (peer) => {
  expect(mayReadMetrics(null, peer, {})).toBe(true);
});

it.each([
  '203.0.113.9',
  '8.8.8.8',
  '172.32.0.1',
  '::ffff:8.8.8.8',
  '2001:db8::1',
  '',
  undefined,
])('does not answer %s', (peer) => {
  expect(mayReadMetrics(null, peer, {})).toBe(false);
});

it.each([
  { 'x-forwarded-for': '10.0.0.1' },
  { 'x-forwarded-for': '' },
  { forwarded: 'for=10.0.0.1' },
  { 'x-real-ip': '127.0.0.1' },
  { via: '1.1 proxy' },
  { origin: 'https://page.example' },
])('does not answer what came through a proxy or from a page: %j', (headers) => {
  expect(mayReadMetrics(null, '127.0.0.1', headers)).toBe(false);
});

it('answers whoever has the token, from anywhere', () => {
  const headers = { authorization: `Bearer ${TOKEN}`, 'x-forwarded-for': '203.0.113.9' };
  expect(mayReadMetrics(TOKEN, '203.0.113.9', headers)).toBe(true);
  expect(mayReadMetrics(TOKEN, '127.0.0.1', {})).toBe(true);
});

it('does not answer a wrong token, from nowhere', () => {
  expect(mayReadMetrics(TOKEN, '127.0.0.1', { authorization: 'Bearer other' })).toBe(false);
  expect(mayReadMetrics(null, '203.0.113.9', { authorization: 'Bearer null' })).toBe(false);
});
