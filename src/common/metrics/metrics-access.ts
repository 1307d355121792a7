import { createHash, timingSafeEqual } from 'node:crypto';
import { BlockList, isIPv6 } from 'node:net';

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

const near = new BlockList();
for (const [network, bits] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  near.addSubnet(network, bits, 'ipv4');
}
near.addAddress('::1', 'ipv6');
near.addSubnet('fc00::', 7, 'ipv6');
near.addSubnet('fe80::', 10, 'ipv6');

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
  const address = peer.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
  return near.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
