import { InvalidKey } from './storage.errors.js';

/** Objects that clients put themselves; the only prefix for which requests are signed. */
export const INCOMING = 'incoming/';

const MAX_KEY_LENGTH = 512;
const KEY = /^[a-z0-9_-][a-z0-9_.-]{0,199}(?:\/[a-z0-9_-][a-z0-9_.-]{0,199})*$/;
const PREFIX = /^(?:[a-z0-9_-][a-z0-9_.-]{0,199}(?:\/|$))*$/;

/**
 * Lower-case letters, digits, `_`, `-`, `.` and `/`; no segment is empty, begins with a dot or is longer than 200. Such a
 * key means the same on every file system and in every URL, encoded or not, and cannot climb out of a folder.
 * Whoever makes keys makes none that is another's folder (`a` beside `a/b`): MinIO does not list what is below the first.
 */
export function isObjectKey(key: string): boolean {
  return key.length <= MAX_KEY_LENGTH && KEY.test(key);
}

/** @throws INVALID_KEY */
export function assertObjectKey(key: string): void {
  if (!isObjectKey(key)) throw new InvalidKey(key);
}

/** @throws INVALID_KEY for a key that clients may not put */
export function assertIncomingKey(key: string): void {
  if (!key.startsWith(INCOMING) || !isObjectKey(key)) throw new InvalidKey(key);
}

/** The beginning of a key: empty, or cut anywhere. @throws INVALID_KEY */
export function assertKeyPrefix(prefix: string): void {
  if (prefix.length > MAX_KEY_LENGTH || !PREFIX.test(prefix)) throw new InvalidKey(prefix);
}
