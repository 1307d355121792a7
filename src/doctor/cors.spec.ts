import { pageOrigins, preflightProblem } from './cors.js';

const request = {
  url: 'https://store.example/b/k',
  method: 'PUT',
  headers: ['if-none-match', 'x-amz-checksum-sha256'],
};
const good = {
  'access-control-allow-origin': 'https://app.example',
  'access-control-allow-methods': 'GET, PUT',
  'access-control-allow-headers': 'If-None-Match, X-Amz-Checksum-Sha256',
};
const problem = (changes: object, status = 204) =>
  preflightProblem(request, 'https://app.example', { status, headers: { ...good, ...changes } });

test('what a browser lets through', () => {
  expect(problem({})).toBeNull();
  expect(
    problem({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': '*',
      'access-control-allow-headers': '*',
    }),
  ).toBeNull();
});

test('what it does not', () => {
  expect(problem({}, 403)).toBe('the preflight was answered with 403');
  expect(problem({ 'access-control-allow-origin': undefined })).toBe('Access-Control-Allow-Origin is missing');
  expect(problem({ 'access-control-allow-origin': 'https://other.example' })).toBe(
    'only https://other.example is allowed',
  );
  expect(problem({ 'access-control-allow-methods': 'GET' })).toBe('PUT is not allowed');
  expect(problem({ 'access-control-allow-headers': 'if-none-match' })).toBe(
    'the header x-amz-checksum-sha256 is not allowed',
  );
  expect(
    preflightProblem({ ...request, headers: ['authorization'] }, 'https://app.example', {
      status: 200,
      headers: { ...good, 'access-control-allow-headers': '*' },
    }),
  ).toBe('the header authorization is not allowed');
});

test('an address is no stranger to its own pages', () => {
  const config = { publicUrl: 'https://v.example/sub', corsOrigins: ['https://a.example', 'https://v.example'] };
  expect(pageOrigins(config, 'https://v.example/storage')).toEqual(['https://a.example']);
  expect(pageOrigins({ ...config, corsOrigins: '*' }, 'https://s.example')).toEqual([
    'https://v.example',
    'https://app.example.org',
  ]);
});
