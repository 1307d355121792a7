/** What a push service's answer means (RFC 8030): `gone` for good, `later` perhaps, `refused` as it is. */
export type Verdict = 'sent' | 'gone' | 'later' | 'refused';

export function verdictOf(status: number): Verdict {
  if (status >= 200 && status < 300) return 'sent';
  if (status === 404 || status === 410) return 'gone';
  return status === 408 || status === 429 || status >= 500 ? 'later' : 'refused';
}

/** With the waits between them some four hours. */
const ATTEMPTS = 10;
const FIRST_SECONDS = 30;
const LONGEST_SECONDS = 3_600;

/**
 * Doubled each time up to an hour, spread over its upper half; as long as the service asks for, up to an hour too.
 *
 * @param attempt the one that failed, counted from 1
 * @param asked seconds by the service's `Retry-After`, null where it does not say
 * @param random from 0 (included) to 1 (not included)
 * @returns seconds, or null when it is given up
 */
export function retryInSeconds(attempt: number, asked: number | null, random: number): number | null {
  if (attempt >= ATTEMPTS) return null;
  const ceiling = Math.min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** (attempt - 1));
  return Math.max((ceiling * (1 + random)) / 2, Math.min(asked ?? 0, LONGEST_SECONDS));
}

/** `Retry-After` in seconds; null without one, and for a date: services send numbers. */
export function askedSeconds(header: string | undefined): number | null {
  return header !== undefined && /^\d{1,9}$/.test(header) ? Number(header) : null;
}
