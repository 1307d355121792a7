import { InvalidInput } from '../../common/errors/index.js';

/** Controls, unpaired surrogates, and the characters that make text after them read backwards (UAX #9, 2.1 to 2.4). */
const HOSTILE = /[\p{Cc}\p{Cs}\u202A-\u202E\u2066-\u2069]/u;
const HOSTILE_LINES = /[^\P{Cc}\n\t]|[\p{Cs}\u202A-\u202E\u2066-\u2069]/u;
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;

/**
 * A name as people type it, made one line in one spelling: trimmed, NFKC.
 * @param max in code points; at least one of them must be visible
 * @throws InvalidInput naming `field`
 */
export function cleanName(value: string, field: string, max: number): string {
  const name = value.normalize('NFKC').trim();
  refuseHostile(name, HOSTILE, field);
  if (!VISIBLE.test(name) || [...name].length > max) {
    throw new InvalidInput(`${field} must have 1 to ${max} characters.`, [field]);
  }
  return name;
}

/**
 * Text of several lines, trimmed, NFC (which keeps ½ and ² as they are), line ends as `\n`; may be empty.
 * @param max in code points
 * @throws InvalidInput naming `field`
 */
export function cleanLines(value: string, field: string, max: number): string {
  const text = value.replace(/\r\n?/g, '\n').normalize('NFC').trim();
  refuseHostile(text, HOSTILE_LINES, field);
  if ([...text].length > max) throw new InvalidInput(`${field} must have at most ${max} characters.`, [field]);
  return text;
}

function refuseHostile(text: string, hostile: RegExp, field: string): void {
  if (hostile.test(text)) {
    throw new InvalidInput(`${field} must not contain control characters or changes of writing direction.`, [field]);
  }
}
