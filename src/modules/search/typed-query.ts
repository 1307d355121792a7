import { InvalidInput } from '../../common/errors/index.js';
import { foldedWords } from './fold.js';

const MAX_LETTERS = 200;
/** More are left out, but for finding a title typed in full. */
const MAX_WORDS = 12;
const QUOTED = /["“”„«»]([^"“”„«»]*)["“”„«»]/g;

export interface TypedQuery {
  /** All that was typed, as a title would have it. */
  readonly all: readonly string[];
  /** Each to be found, in any order. */
  readonly words: readonly string[];
  /** Each to be found as it stands. */
  readonly phrases: readonly (readonly string[])[];
  /** The last of the words may be the beginning of one: nothing was typed behind it. */
  readonly isOpen: boolean;
}

/** Takes anything: what is no letter or digit, but for quotes, says nothing. @throws InvalidInput when it is too long */
export function typedQuery(text: string, field: string): TypedQuery {
  if (text.length > 2 * MAX_LETTERS || [...text].length > MAX_LETTERS) {
    throw new InvalidInput(`${field} must have at most ${MAX_LETTERS} characters.`, [field]);
  }
  let room = MAX_WORDS;
  const take = (words: readonly string[]) => {
    const taken = words.slice(0, room);
    room -= taken.length;
    return taken;
  };
  const phrases = [...text.matchAll(QUOTED)].map((match) => take(foldedWords(match[1] as string)));
  const rest = text.replace(QUOTED, ' " ');
  const words = take(foldedWords(rest));
  const single = phrases.filter((phrase) => phrase.length === 1).flat();
  return {
    all: foldedWords(text),
    words: [...new Set(words)],
    // One word in quotes is that word, and no other.
    phrases: [...phrases.filter((phrase) => phrase.length > 1), ...single.map((word) => [word])],
    isOpen: words.length > 0 && /[\p{L}\p{M}\p{N}]$/u.test(text),
  };
}
