import { isPublicAddress } from './public-networks.js';

it.each(['8.8.8.8', '142.250.1.1', '2607:f8b0:4005::5', '2a00:1450::1'])('%s is public', (address) => {
  expect(isPublicAddress(address)).toBe(true);
});

it.each([
  ...['127.0.0.1', '10.1.2.3', '172.31.0.1', '192.168.0.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '224.0.0.1'],
  ...['255.255.255.255', '198.18.0.1', '::', '::1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'ff02::1', '::ffff:8.8.8.8'],
  ...[
    '::ffff:7f00:1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2001:db8::1',
    '2001:0:1::',
    'example.org',
    '',
  ],
])('%s is not', (address) => {
  expect(isPublicAddress(address)).toBe(false);
});
