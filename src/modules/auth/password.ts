import { InvalidInput } from '../../common/errors/index.js';

const MIN = 10;
const MAX = 200;

/**
 * A new password: any characters, NFKC (so that every keyboard's way of typing it is the same; NIST SP 800-63B-4, 3.1.1.2).
 * Its length matters, its composition does not.
 * @throws InvalidInput on `password`
 */
export function cleanPassword(value: string): string {
  const password = typedPassword(value);
  const length = [...password].length;
  if (length < MIN || length > MAX || /[\0\p{Cs}]/u.test(password)) {
    throw new InvalidInput(`password must have ${MIN} to ${MAX} characters.`, ['password']);
  }
  return password;
}

/** A password as it is compared. */
export function typedPassword(value: string): string {
  return value.normalize('NFKC');
}
