import { type ReceivedPut, refusalOf, signPut } from './disk-signature.js';

const secret = 'a secret';
const signed = {
  key: 'incoming/a',
  contentLength: '3',
  checksum: 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
  ifNoneMatch: '*',
  expires: '1000',
};
const received: ReceivedPut = { ...signed, signature: signPut(signed, secret) };
const before = new Date(999_999);

test('what was signed passes until it expires', () => {
  expect(refusalOf(received, secret, before)).toBeNull();
  expect(refusalOf(received, secret, new Date(1_000_000))).toMatchObject({ status: 403, code: 'AccessDenied' });
});

test.each<Partial<ReceivedPut>>([
  { key: 'incoming/b' },
  { contentLength: '4' },
  { contentLength: '03' },
  { checksum: '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=' },
  { ifNoneMatch: '"etag"' },
  { expires: '1001' },
  { expires: 'NaN' },
  { signature: '' },
  { signature: `${received.signature}=` },
  { signature: 'ä'.repeat(43) },
])('403 for %j', (change) => {
  expect(refusalOf({ ...received, ...change }, secret, before)).toMatchObject({
    status: 403,
    code: 'SignatureDoesNotMatch',
  });
});

test('403 for another secret', () => {
  expect(refusalOf(received, 'another secret', before)).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
});

test.each(['contentLength', 'checksum', 'ifNoneMatch'] as const)('400 without %s', (header) => {
  expect(refusalOf({ ...received, [header]: undefined }, secret, before)).toMatchObject({
    status: 400,
    code: 'AccessDenied',
  });
});

test.each(['expires', 'signature'] as const)('403 without %s', (parameter) => {
  expect(refusalOf({ ...received, [parameter]: undefined }, secret, before)).toMatchObject({
    status: 403,
    code: 'AccessDenied',
  });
});

test('no two requests are signed alike by moving bytes between neighbours', () => {
  expect(signPut({ ...signed, key: 'incoming/a3', contentLength: '' }, secret)).not.toBe(
    signPut({ ...signed, key: 'incoming/a', contentLength: '3' }, secret),
  );
});
