import { isIP } from 'node:net';
import { isPrivateAddress } from '../common/networks/index.js';

/** Whether an address's host is one that strangers can lie between: not of this machine, nor of a network of one's own. */
export function isPublicHost(url: string): boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0) return !isPrivateAddress(host);
  return host.includes('.') && !/\.(?:localhost|local|lan|internal|home\.arpa|test)$/.test(host);
}
