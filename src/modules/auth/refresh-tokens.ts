import { createHmac, randomBytes } from 'node:crypto';

/** Opaque, 256 random bits. */
export function newRefreshToken(): string {
  return randomBytes(32).toString('base64url');
}

/**
 * What takes the token's place when it is used. It follows from the token and the server's secret, so a client whose
 * answer was lost gets the same one again, though nothing but hashes is kept.
 */
export function successorOf(token: string, secret: string): string {
  return keyed(secret, 'refresh token: successor', token).toString('base64url');
}

/** What is kept. With another secret no token is known any more: that is how to sign everybody out. */
export function refreshTokenHash(token: string, secret: string): Buffer {
  return keyed(secret, 'refresh token: hash', token);
}

function keyed(secret: string, purpose: string, token: string): Buffer {
  return createHmac('sha256', secret).update(`${purpose}\0${token}`).digest();
}
