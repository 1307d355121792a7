import { BlockList, isIP } from 'node:net';
import { isPrivateAddress } from './private-networks.js';

/** Of what is not private, what no host on the Internet has (IANA's registries of special purposes). */
const special = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const) {
  special.addSubnet(network, bits, 'ipv4');
}
for (const [network, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  // An IPv4 address of whatever network may be inside.
  ['2002::', 16],
] as const) {
  special.addSubnet(network, bits, 'ipv6');
}
const unicast = new BlockList();
unicast.addSubnet('2000::', 3, 'ipv6');

/** Whether this is an address that everybody may be sent to on a stranger's word; false for what is no address. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  if (family === 0 || isPrivateAddress(address)) return false;
  if (family === 4) return !special.check(address, 'ipv4');
  return unicast.check(address, 'ipv6') && !special.check(address, 'ipv6');
}
