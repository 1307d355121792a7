import { createECDH, randomBytes } from 'node:crypto';
import { endpointOf, keysOf } from './push-endpoint.js';

it.each([
  'https://fcm.googleapis.com/fcm/send/a:b',
  'https://web.push.apple.com/x',
  'https://own:8443/x',
  'https://10.0.0.7/x',
])('%s may be one', (text) => {
  expect(endpointOf(text, ['own', '10.0.0.7']).href).toBe(text);
});

it.each([
  ...[
    'http://push.example.org/x',
    'https://push.example.org:8443/x',
    'https://127.0.0.1/x',
    'https://[::1]/x',
    'https://0x7f.1/x',
  ],
  ...[
    'https://2130706433/x',
    'https://8.8.8.8/x',
    'https://localhost/x',
    'https://a:b@push.example.org/x',
    'ftp://x.org/',
    'x',
    '',
  ],
  `https://push.example.org/${'x'.repeat(2_048)}`,
])('%.60s is refused', (text) => {
  expect(() => endpointOf(text, [])).toThrow(expect.objectContaining({ code: 'PUSH_ENDPOINT_REFUSED' }));
});

describe('keys', () => {
  const p256dh = createECDH('prime256v1').generateKeys('base64url');
  const auth = randomBytes(16).toString('base64url');

  it('lose their padding', () => {
    expect(keysOf({ p256dh: `${p256dh}=`, auth: `${auth}==` })).toEqual({ p256dh, auth });
  });

  it.each([
    ['p256dh', { p256dh: Buffer.alloc(65, 4).toString('base64url'), auth }],
    ['p256dh', { p256dh: p256dh.slice(0, -1), auth }],
    ['p256dh', { p256dh: '', auth }],
    ['auth', { p256dh, auth: randomBytes(15).toString('base64url') }],
    ['auth', { p256dh, auth: `${auth}AAAA` }],
  ])('%s that is none is refused', (field, keys) => {
    expect(() => keysOf(keys)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT', field: [field] }));
  });
});
