import { BlockList, isIP } from 'node:net';
import type { Config } from '../config/index.js';

/**
 * The addresses of X-Forwarded-For, nearest first, up to what is none: nothing beyond it can be trusted. Some proxies write
 * a port behind them.
 *
 * @param forwarded client, proxy, nearer proxy …
 * @example forwardedHops('9.9.9.9, 1.1.1.1:443') → ['1.1.1.1', '9.9.9.9']
 */
export function forwardedHops(forwarded: string | undefined): string[] {
  const hops = (forwarded ?? '').split(',').reverse().map(withoutPort);
  return hops.slice(0, hops.findIndex((hop) => isIP(hop) === 0) >>> 0);
}

function withoutPort(hop: string): string {
  const text = hop.trim();
  return /^\[(.*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
}

/**
 * The client's address, as Fastify finds it for requests: the nearest one that no trusted proxy has.
 *
 * @param peer address of the connection
 * @param forwarded value of X-Forwarded-For: client, proxy, nearer proxy …
 */
export function clientAddress(trust: Config['trustProxy'], peer: string, forwarded: string | undefined): string {
  const known = [peer, ...forwardedHops(forwarded)];
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
