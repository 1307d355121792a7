import { redact, withoutSecrets } from './redact.js';

const SECRET = 'hunter2-0123456789abcdef';

it.each([
  `{"headers":{"authorization":"Bearer ${SECRET}"}}`,
  `{"headers":{"cookie":"refresh=${SECRET}; other=1","accept":"*/*"}}`,
  `{"msg":"set-cookie: refresh=${SECRET}; HttpOnly"}`,
  `{"msg":"headers {\\"authorization\\":\\"Bearer ${SECRET}\\"}"}`,
  `{"msg":"token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.${SECRET}"}`,
  `{"url":"/media/1790000000.k1.${SECRET}/video/master.m3u8"}`,
  `{"msg":"GET http://localhost:3000/media/${SECRET}"}`,
  `{"msg":"PUT https://s3/x?X-Amz-Credential=${SECRET}&X-Amz-Signature=${SECRET}&X-Amz-Date=1"}`,
  `{"msg":"PUT /storage/incoming/x?expires=1&signature=${SECRET}"}`,
  `{"msg":"http://localhost:3000/setup?token=${SECRET}"}`,
  `{"msg":"input {\\"password\\":\\"a\\\\\\"${SECRET}\\",\\"x\\":1}"}`,
  `{"input":{"email":"a@b","password":"${SECRET}"}}`,
  `{"refreshToken":"${SECRET}","accessToken":"${SECRET}"}`,
  `{"password":"a\\"${SECRET}"}`,
  `{"msg":"connect postgres://sluice:${SECRET}@db:5432/sluice"}`,
  `{"msg":"connect redis://:${SECRET}@127.0.0.1:6379/0"}`,
])('keeps the secret out of %s', (line) => {
  const text = redact(line);
  expect(text).not.toContain(SECRET);
  expect(() => JSON.parse(text)).not.toThrow();
});

it('removes the secrets it is told of wherever they stand', () => {
  expect(redact(`{"msg":"x${SECRET}y"}`, [SECRET])).toBe('{"msg":"x[redacted]y"}');
});

it('leaves the rest alone', () => {
  const line =
    '{"level":"info","requestId":"abc-123","userId":"u1","msg":"answered","route":"/graphql","ms":3,"tokens":5}';
  expect(redact(line)).toBe(line);
});

it('drops what is secret by its name, and what libraries hang on their errors', () => {
  const error = Object.assign(new Error('failed', { cause: new Error('why') }), {
    code: '23505',
    parameters: [SECRET],
    config: { headers: { authorization: SECRET } },
  });
  const fields = withoutSecrets({
    variables: { a: { b: { c: SECRET } } },
    list: [{ refreshToken: SECRET, ok: 1 }],
    at: new Date(0),
    err: error,
  });
  expect(JSON.stringify(fields)).not.toContain(SECRET);
  expect(fields).toMatchObject({
    list: [{ ok: 1 }],
    at: new Date(0),
    err: { type: 'Error', message: 'failed', code: '23505', stack: expect.any(String), cause: { message: 'why' } },
  });
});

it.each([
  'a.',
  '?key',
  '&key-',
  '"token',
  'eyJaaaaaaaaa.',
  'Bearer ',
])('is done soon with a long line of %s', (part) => {
  const started = Date.now();
  redact(part.repeat(100_000 / part.length));
  expect(Date.now() - started).toBeLessThan(1_000);
});
