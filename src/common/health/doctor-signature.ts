import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';

/**
 * `npm run doctor` and a server prove to each other that they are of one installation, by the secret that both have: what
 * the server tells of a request is for nobody else, and nobody else can answer in its place. Pure.
 */

export type ProbeKind = 'seen' | 'body' | 'events';

const PROBE = /^(seen|body|events)\.([\w-]{36})\.([\w-]{43})$/;

/** The value of a probe's header, and the proof that its answer must carry. */
export function signProbe(kind: ProbeKind, tokenSecret: string): { header: string; proof: string } {
  const nonce = randomUUID();
  return { header: `${kind}.${nonce}.${sign(`${kind} ${nonce}`, tokenSecret)}`, proof: proofOf(nonce, tokenSecret) };
}

/** null: it was not signed with this secret. */
export function readProbe(header: string, tokenSecret: string): { kind: ProbeKind; nonce: string } | null {
  const [, kind = '', nonce = '', signature = ''] = PROBE.exec(header) ?? [];
  const expected = Buffer.from(sign(`${kind} ${nonce}`, tokenSecret));
  if (signature.length !== expected.length || !timingSafeEqual(Buffer.from(signature), expected)) return null;
  return { kind: kind as ProbeKind, nonce };
}

export const proofOf = (nonce: string, tokenSecret: string): string => sign(`server ${nonce}`, tokenSecret);

const sign = (text: string, tokenSecret: string) =>
  createHmac('sha256', tokenSecret).update(`sluice-doctor-1\n${text}`).digest('base64url');
