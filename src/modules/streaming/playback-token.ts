import { createHmac, timingSafeEqual } from 'node:crypto';

/** What a token grants: the reading of one video, until a moment or until its access epoch is raised. */
export interface PlaybackGrant {
  readonly epoch: number;
  /** Unix seconds, of the database's clock. */
  readonly expiresAt: number;
}

/** Shares of a token's life for which the addresses stay the same. */
const STEPS = 6;
const TOKEN = /^([1-9]\d{0,11})\.([1-9]\d{0,9})\.([\w-]{43})$/;

/**
 * When a token that is made at `now` (Unix seconds) ends: after `life` seconds at least, and a sixth more at most, on a multiple
 * of that sixth. So the addresses of a video stay the same for a while, and a browser finds in its cache what it has loaded before.
 */
export function expiryFor(now: number, life: number): number {
  const step = Math.max(1, Math.floor(life / STEPS));
  return Math.floor(now / step) * step + step + life;
}

/** `{expiry}.{epoch}.{HMAC-SHA256 in base64url}`: one path segment, in front of everything that belongs to the video. */
export function signToken(secret: string, videoId: string, grant: PlaybackGrant): string {
  return `${grant.expiresAt}.${grant.epoch}.${mac(secret, videoId, grant)}`;
}

/** What the token grants on this video, or null where it was not made for it. Says nothing about whether it still holds. */
export function readToken(secret: string, videoId: string, token: string): PlaybackGrant | null {
  const [, expiry, epoch, signature] = TOKEN.exec(token) ?? [];
  if (!expiry || !epoch || !signature) return null;
  const grant = { epoch: Number(epoch), expiresAt: Number(expiry) };
  // Compared as text, so that a token has one spelling; both have 43 characters.
  return timingSafeEqual(Buffer.from(signature), Buffer.from(mac(secret, videoId, grant))) ? grant : null;
}

function mac(secret: string, videoId: string, { epoch, expiresAt }: PlaybackGrant): string {
  return createHmac('sha256', secret).update(`playback:${videoId}:${epoch}:${expiresAt}`).digest('base64url');
}
