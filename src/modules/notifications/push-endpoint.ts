import { ECDH } from 'node:crypto';
import { isIP } from 'node:net';
import { InvalidInput } from '../../common/errors/index.js';
import { PushEndpointRefused } from './notifications.errors.js';

/** As URLs are written; that many bytes fit into an index. */
const WRITTEN = /^[!-~]{1,2048}$/;
const PUBLIC_KEY = /^[\w-]{87}$/;
const AUTH_SECRET = /^[\w-]{22}$/;

/**
 * What a browser gave as its push service's address. Which networks its host leads to is asked later, and at each sending.
 *
 * @param ownHosts hosts that the operator named: at any port, also by number
 * @throws PushEndpointRefused
 */
export function endpointOf(text: string, ownHosts: readonly string[]): URL {
  if (!WRITTEN.test(text) || !URL.canParse(text)) throw new PushEndpointRefused();
  const url = new URL(text);
  if (url.protocol !== 'https:' || url.username !== '' || url.password !== '') throw new PushEndpointRefused();
  if (ownHosts.includes(url.hostname)) return url;
  const isNumber = isIP(url.hostname.replace(/^\[|\]$/g, '')) !== 0;
  if (isNumber || url.port !== '' || !url.hostname.includes('.')) throw new PushEndpointRefused();
  return url;
}

/** Base64url with or without padding, as it is sent to push services: without. @throws InvalidInput */
export function keysOf(given: { p256dh: string; auth: string }): { p256dh: string; auth: string } {
  const [p256dh, auth] = [given.p256dh, given.auth].map((key) => key.replace(/=+$/, '')) as [string, string];
  if (!AUTH_SECRET.test(auth)) throw new InvalidInput('auth is 16 bytes in base64url.', ['auth']);
  if (!PUBLIC_KEY.test(p256dh) || !isOnCurve(p256dh)) {
    throw new InvalidInput('p256dh is a point of the curve P-256: 65 bytes in base64url.', ['p256dh']);
  }
  return { p256dh, auth };
}

function isOnCurve(key: string): boolean {
  try {
    return ECDH.convertKey(key, 'prime256v1', 'base64url', 'hex', 'uncompressed').length === 130;
  } catch {
    return false;
  }
}
