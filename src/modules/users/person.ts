import { cleanEmail } from './email.js';
import { cleanName } from './plain-text.js';

/** What people say about themselves when they sign up. */
export interface Person {
  email: string;
  displayName: string;
}

/** @throws InvalidInput on `email` or `displayName` (1 to 100 characters) */
export function cleanPerson(said: Person): Person {
  return { email: cleanEmail(said.email), displayName: cleanName(said.displayName, 'displayName', 100) };
}
