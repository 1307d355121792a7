import { createHash, timingSafeEqual } from 'node:crypto';
import { isPrivateAddress } from '../networks/index.js';

/** Whatever a proxy adds on its way, and the origin that a browser adds for a page that is not ours. */
const INDIRECT = [
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
  'origin',
];

/**
 * Metrics tell how much is going on, and of what kind: that is the operator's business. A proxy that serves strangers is
 * near too, so what came through one does not count as near.
 *
 * @param peer address of the connection itself
 */
export function mayReadMetrics(
  token: string | null,
  peer: string | undefined,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): boolean {
  const { authorization } = headers;
  if (token !== null && typeof authorization === 'string') return isSame(authorization, `Bearer ${token}`);
  if (!peer || INDIRECT.some((name) => headers[name] !== undefined)) return false;
  return isPrivateAddress(peer);
}

function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
