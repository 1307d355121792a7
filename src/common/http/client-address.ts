import { BlockList, isIP } from 'node:net';
import type { Config } from '../config/index.js';

/**
 * The client's address, as Fastify finds it for requests: the nearest one that no trusted proxy has.
 *
 * @param peer address of the connection
 * @param forwarded value of X-Forwarded-For: client, proxy, nearer proxy …
 */
export function clientAddress(trust: Config['trustProxy'], peer: string, forwarded: string | undefined): string {
  const hops = [peer, ...(forwarded ?? '').split(',').reverse()].map((hop) => hop.trim());
  const known = hops.slice(0, hops.findIndex((hop) => isIP(hop) === 0) >>> 0);
  const trusted = trustedBy(trust);
  const client = known.findIndex((hop, index) => !trusted(hop, index));
  return known[client === -1 ? known.length - 1 : client] ?? peer;
}

function trustedBy(trust: Config['trustProxy']): (address: string, hop: number) => boolean {
  if (trust === false) return () => false;
  if (typeof trust === 'number') return (_, hop) => hop < trust;
  const list = new BlockList();
  for (const entry of trust.split(',').map((text) => text.trim())) {
    const [address = '', bits] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return (address) => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
