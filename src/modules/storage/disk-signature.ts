import { createHmac, timingSafeEqual } from 'node:crypto';

/** Everything that a presigned request of the disk store is bound to. */
export interface SignedPut {
  key: string;
  /** As sent: digits. */
  contentLength: string;
  /** As sent: base64 of the SHA-256. */
  checksum: string;
  /** As sent: `*`, that is once only. */
  ifNoneMatch: string;
  /** Seconds since 1970. */
  expires: string;
}

/** HMAC-SHA256 as base64url, over one line each: none of the values may hold a line feed, and HTTP lets none in. */
export function signPut(put: SignedPut, secret: string): string {
  const lines = ['sluice-put-1', put.key, put.contentLength, put.checksum, put.ifNoneMatch, put.expires];
  return createHmac('sha256', secret).update(lines.join('\n')).digest('base64url');
}

export interface Refusal {
  status: number;
  /** As Amazon S3 names it, where it has a name for it. */
  code: string;
  message: string;
}

/** What stands in a PUT request; undefined is: not there, or there twice. */
export interface ReceivedPut {
  key: string;
  contentLength: string | undefined;
  checksum: string | undefined;
  ifNoneMatch: string | undefined;
  expires: string | undefined;
  signature: string | undefined;
}

/** null: it was signed here, for exactly this, and is not expired. The order of the checks is S3's. */
export function refusalOf(put: ReceivedPut, secret: string, now: Date): Refusal | null {
  const { key, contentLength, checksum, ifNoneMatch, expires, signature } = put;
  if (expires === undefined || signature === undefined) {
    return { status: 403, code: 'AccessDenied', message: 'The request is not signed.' };
  }
  if (contentLength === undefined || checksum === undefined || ifNoneMatch === undefined) {
    return {
      status: 400,
      code: 'AccessDenied',
      message:
        'There were headers that were signed and are not there: content-length, x-amz-checksum-sha256 and if-none-match.',
    };
  }
  const expected = Buffer.from(signPut({ key, contentLength, checksum, ifNoneMatch, expires }, secret));
  const given = Buffer.from(signature);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return {
      status: 403,
      code: 'SignatureDoesNotMatch',
      message: 'The signature is not for this key, length, digest, condition and expiry.',
    };
  }
  if (now.getTime() >= Number(expires) * 1000) {
    return { status: 403, code: 'AccessDenied', message: 'The request has expired: ask for a new one.' };
  }
  return null;
}
