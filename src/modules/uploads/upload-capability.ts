import { createHmac, timingSafeEqual } from 'node:crypto';

const CAPABILITY = /^([\w-]{22})\.([\w-]{43})$/;

/** What stands in an append address: opens this one session, to whoever has it, for as long as the session lives. */
export function capabilityOf(sessionId: string, secret: string): string {
  const id = Buffer.from(sessionId.replaceAll('-', ''), 'hex').toString('base64url');
  return `${id}.${macOf(id, secret)}`;
}

/** @returns the session's id, or null for what was not made here */
export function sessionOf(capability: string, secret: string): string | null {
  const [, id, mac] = CAPABILITY.exec(capability) ?? [];
  if (!id || !mac || !timingSafeEqual(Buffer.from(mac), Buffer.from(macOf(id, secret)))) return null;
  const hex = Buffer.from(id, 'base64url').toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function macOf(id: string, secret: string): string {
  return createHmac('sha256', secret).update(`sluice-append-1\n${id}`).digest('base64url');
}
