import { createHash, createHmac } from 'node:crypto';

/**
 * AWS Signature Version 4, as "Authenticating Requests: AWS Signature Version 4" of the Amazon S3 API reference has it. Pure.
 */

export interface Signer {
  accessKey: string;
  secretKey: string;
  region: string;
  /** `s3` but in tests. */
  service?: string;
}

export interface SignableRequest {
  method: string;
  /** Encoded as it is sent: `/bucket/a%20b`. */
  path: string;
  /** Encoded as it is sent, in any order, without `?`. */
  query: string;
  /** All that are signed; `host` among them. */
  headers: Readonly<Record<string, string>>;
  /** Hexadecimal SHA-256 of the body, or what S3 takes in its place. */
  payloadHash: string;
}

export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

/** The value of the `Authorization` header. `x-amz-date` must be among the headers, as `amzDate(at)`. */
export function authorization(request: SignableRequest, signer: Signer, at: Date): string {
  const signature = signatureOf(request, signer, at);
  return `AWS4-HMAC-SHA256 Credential=${signer.accessKey}/${scopeOf(signer, at)}, SignedHeaders=${namesOf(request)}, Signature=${signature}`;
}

/** The query of a presigned request, whose body is bound by signed headers alone. */
export function presignedQuery(
  request: Omit<SignableRequest, 'query' | 'payloadHash'>,
  signer: Signer,
  at: Date,
  expiresSeconds: number,
): string {
  const unsigned = { ...request, query: '', payloadHash: UNSIGNED_PAYLOAD };
  const query = Object.entries({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${signer.accessKey}/${scopeOf(signer, at)}`,
    'X-Amz-Date': amzDate(at),
    'X-Amz-Expires': String(expiresSeconds),
    'X-Amz-SignedHeaders': namesOf(unsigned),
  })
    .map(([name, value]) => `${name}=${encode(value)}`)
    .join('&');
  return `${query}&X-Amz-Signature=${signatureOf({ ...unsigned, query }, signer, at)}`;
}

/** `20130524T000000Z` */
export function amzDate(at: Date): string {
  return at.toISOString().replace(/[:-]|\.\d{3}/g, '');
}

/** RFC 3986: everything but letters, digits and `-._~`. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function signatureOf(request: SignableRequest, signer: Signer, at: Date): string {
  const canonical = [
    request.method,
    request.path,
    canonicalQuery(request.query),
    ...headersOf(request).map(([name, value]) => `${name}:${value}`),
    '',
    namesOf(request),
    request.payloadHash,
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', amzDate(at), scopeOf(signer, at), sha256(canonical)].join('\n');
  const parts = [...scopeOf(signer, at).split('/'), toSign];
  let key: string | Buffer = `AWS4${signer.secretKey}`;
  for (const part of parts) key = createHmac('sha256', key).update(part).digest();
  return key.toString('hex');
}

function canonicalQuery(query: string): string {
  const pairs = query.split('&').filter(Boolean);
  return pairs
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('='))] as const)
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map((pair) => pair.join(''))
    .join('&');
}

function headersOf(request: SignableRequest): [string, string][] {
  return Object.entries(request.headers)
    .map(([name, value]): [string, string] => [name.toLowerCase(), value.trim().replace(/ +/g, ' ')])
    .sort(([a], [b]) => compare(a, b));
}

function namesOf(request: SignableRequest): string {
  return headersOf(request)
    .map(([name]) => name)
    .join(';');
}

function scopeOf({ region, service = 's3' }: Signer, at: Date): string {
  return `${amzDate(at).slice(0, 8)}/${region}/${service}/aws4_request`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
