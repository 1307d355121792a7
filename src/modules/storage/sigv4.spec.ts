import { createHash } from 'node:crypto';
import { amzDate, authorization, encode, presignedQuery, type SignableRequest } from './sigv4.js';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const EMPTY = sha256('');

// The examples of the Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)".
describe('the examples of the S3 reference', () => {
  const signer = {
    accessKey: 'AKIAIOSFODNN7EXAMPLE',
    secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    region: 'us-east-1',
  };
  const at = new Date('2013-05-24T00:00:00Z');
  const host = 'examplebucket.s3.amazonaws.com';

  it('presigned GET', () => {
    expect(presignedQuery({ method: 'GET', path: '/test.txt', headers: { host } }, signer, at, 86_400)).toBe(
      'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request' +
        '&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
        '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    );
  });

  it.each<[string, Partial<SignableRequest> & { method: string }, string]>([
    [
      'GET Object',
      { method: 'GET', path: '/test.txt', headers: { Range: 'bytes=0-9' } },
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    ],
    [
      'PUT Object',
      {
        method: 'PUT',
        path: `/${encode('test$file.text')}`,
        headers: { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
        payloadHash: sha256('Welcome to Amazon S3.'),
      },
      '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    ],
    [
      'GET Bucket Lifecycle',
      { method: 'GET', query: 'lifecycle' },
      'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
    ],
    [
      'List Objects',
      { method: 'GET', query: 'prefix=J&max-keys=2' },
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    ],
  ])('%s', (_, request, signature) => {
    const payloadHash = request.payloadHash ?? EMPTY;
    const headers = { host, 'x-amz-content-sha256': payloadHash, 'x-amz-date': amzDate(at), ...request.headers };
    const signed = authorization({ path: '/', query: '', ...request, payloadHash, headers }, signer, at);
    expect(signed).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE\/20130524\/us-east-1\/s3\/aws4_request, SignedHeaders=[a-z0-9;-]+, Signature=/,
    );
    expect(signed.split('Signature=')[1]).toBe(signature);
  });
});

// Cases of the published aws4_testsuite that S3's rules do not change (S3 neither normalises nor encodes a path twice).
describe('the Signature Version 4 test suite', () => {
  const signer = {
    accessKey: 'AKIDEXAMPLE',
    secretKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    region: 'us-east-1',
    service: 'service',
  };
  const at = new Date('2015-08-30T12:36:00Z');

  it.each<[string, Partial<SignableRequest>, string]>([
    ['get-vanilla', {}, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    ['post-vanilla', { method: 'POST' }, '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
    [
      'get-vanilla-query-order-key-case',
      { query: 'Param2=value2&Param1=value1' },
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
    [
      'get-vanilla-utf8-query',
      { query: `${encode('ሴ')}=bar` },
      '2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04',
    ],
    [
      'get-unreserved',
      { path: '/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz' },
      '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f',
    ],
    [
      'get-header-value-trim',
      { headers: { 'My-Header1': ' value1', 'My-Header2': ' "a   b   c"' } },
      'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736',
    ],
  ])('%s', (_, request, signature) => {
    const headers = { Host: 'example.amazonaws.com', 'X-Amz-Date': amzDate(at), ...request.headers };
    const whole = { method: 'GET', path: '/', query: '', payloadHash: EMPTY, ...request, headers };
    expect(authorization(whole, signer, at).split('Signature=')[1]).toBe(signature);
  });
});

test('encode leaves what RFC 3986 calls unreserved, and nothing else', () => {
  expect(encode("aZ09-._~!'()*/ +%ä")).toBe('aZ09-._~%21%27%28%29%2A%2F%20%2B%25%C3%A4');
});
