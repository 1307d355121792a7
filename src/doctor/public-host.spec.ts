import { isPublicHost } from './public-host.js';

test.each([
  'http://video.example.org',
  'http://203.0.113.5:3000',
  'http://[2001:db8::1]/',
  'http://8.8.8.8',
])('%s is', (url) => expect(isPublicHost(url)).toBe(true));

test.each([
  ...['http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:3000', 'http://10.1.2.3', 'http://192.168.1.5:3000'],
  ...['http://nas', 'http://nas.local', 'http://a.localhost', 'http://[fd00::1]', 'http://[fe80::1]'],
])('%s is not', (url) => expect(isPublicHost(url)).toBe(false));
