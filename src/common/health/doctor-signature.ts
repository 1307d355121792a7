import { createHmac, timingSafeEqual } from 'node:crypto';

/**
 * `npm run doctor` and a server prove to each other that they are of one installation, by the secret that both have:
 * what the server tells of a request is for nobody else, and nobody else can answer in its place.
 */
export function signAs(who: 'doctor' | 'server', nonce: string, tokenSecret: string): string {
  return createHmac('sha256', tokenSecret).update(`sluice-health-1\n${who}\n${nonce}`).digest('base64url');
}

export function isSignedAs(who: 'doctor' | 'server', nonce: string, signature: string, tokenSecret: string): boolean {
  const [expected, given] = [Buffer.from(signAs(who, nonce, tokenSecret)), Buffer.from(signature)];
  return expected.length === given.length && timingSafeEqual(expected, given);
}
