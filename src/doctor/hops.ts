/** An address that nobody has (RFC 5737): what a client would claim to be. */
export const FORGED = '203.0.113.77';

/**
 * Whether a server takes the right address of X-Forwarded-For for the client's.
 *
 * @param forwarded the header as it came to the server, when the client had sent it with FORGED alone: each proxy appends
 * the address that it was reached from, or the first one begins anew
 * @param taken how far from the connection the address is that the server took: 0 is whoever connected
 */
export function judgeHops(forwarded: string | null, taken: number): 'right' | 'too wide' | 'too narrow' {
  const chain = (forwarded ?? '').split(',').map((entry) => entry.trim());
  const hops = chain.filter((entry) => entry !== '').reverse();
  const forged = hops.indexOf(FORGED);
  // Hop 1 is the last entry; the one before the forged one, towards us, was appended by the first proxy.
  const right = forged === -1 ? hops.length : forged;
  return taken === right ? 'right' : taken > right ? 'too wide' : 'too narrow';
}
