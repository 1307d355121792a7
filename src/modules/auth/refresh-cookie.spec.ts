import { readRefreshCookie, refreshCookie } from './refresh-cookie.js';

it('is for the API alone, unread by scripts, unsent by other sites', () => {
  expect(refreshCookie('a-_1', 'https://video.example.org', 60)).toBe(
    'sluice_refresh=a-_1; Max-Age=60; Path=/graphql; HttpOnly; SameSite=Strict; Secure',
  );
  expect(refreshCookie('a-_1', 'http://localhost:3000', 60)).not.toContain('Secure');
  expect(refreshCookie(null, 'http://localhost:3000', 60)).toMatch(/^sluice_refresh=; Max-Age=0; Path=\/graphql;/);
});

it.each([
  [undefined, null],
  ['', null],
  ['theme=dark', null],
  ['sluice_refresh=', null],
  ['sluice_refresh=abc', 'abc'],
  ['theme=dark; sluice_refresh=a-_1; x=y', 'a-_1'],
  ['not_sluice_refresh=abc', null],
])('%j holds %j', (header, token) => expect(readRefreshCookie(header)).toBe(token));
