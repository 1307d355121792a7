import { BlockList, isIP } from 'node:net';

const closed = new BlockList();
for (const [network, bits] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  closed.addSubnet(network, bits, 'ipv4');
}
closed.addAddress('::1', 'ipv6');
closed.addSubnet('fc00::', 7, 'ipv6');
closed.addSubnet('fe80::', 10, 'ipv6');

/** Whether an address's host is one that strangers can lie between: not of this machine, nor of a network of one's own. */
export function isPublicHost(url: string): boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  const family = isIP(host);
  if (family !== 0) return !closed.check(host, family === 6 ? 'ipv6' : 'ipv4');
  return host.includes('.') && !/\.(?:localhost|local|lan|internal|home\.arpa|test)$/.test(host);
}
