import { InvalidInput } from '../../common/errors/index.js';

/** RFC 5321, 4.5.3.1: 64 octets before the @, 254 in all (erratum 1690). Letters of any script, RFC 6531. No quoted local parts. */
const MAX_LOCAL_OCTETS = 64;
const MAX_OCTETS = 254;
const LABEL = '[\\p{L}\\p{N}](?:[\\p{L}\\p{M}\\p{N}-]{0,61}[\\p{L}\\p{M}\\p{N}])?';
const ADDRESS = new RegExp(`^[\\p{L}\\p{M}\\p{N}.!#$%&'*+/=?^_\`{|}~-]+@${LABEL}(?:\\.${LABEL})*$`, 'u');

/**
 * An address as it is shown and written to: trimmed, NFKC, case kept.
 * @throws InvalidInput on `email`
 */
export function cleanEmail(value: string): string {
  const email = value.length > MAX_OCTETS ? '' : value.normalize('NFKC').trim();
  const local = email.slice(0, email.lastIndexOf('@'));
  const fits = Buffer.byteLength(email) <= MAX_OCTETS && Buffer.byteLength(local) <= MAX_LOCAL_OCTETS;
  if (!fits || !ADDRESS.test(email)) {
    throw new InvalidInput('email must be an e-mail address such as ada@example.org.', ['email']);
  }
  return email;
}

/** What makes two addresses the same account: NFKC in lower case. Takes anything, also what is no address. */
export function emailKey(value: string): string {
  return value.normalize('NFKC').trim().toLowerCase().normalize('NFKC');
}
