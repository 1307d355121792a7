import { InvalidInput } from '../../common/errors/index.js';
import { foldedWords, type Joined, joinsOf, type Word, wordsOf } from './fold.js';

const MAX_LETTERS = 200;
/** More are left out, but for finding a title typed in full. */
const MAX_WORDS = 12;
const QUOTED = /["“”„«»]([^"“”„«»]*)["“”„«»]/g;

export interface TypedQuery {
  /** All that was typed, as a title would have it. */
  readonly all: readonly string[];
  /** Each to be found, in any order. */
  readonly words: readonly string[];
  /** Each to be found as it stands: what was in quotes, and what has no spaces since its script has none. */
  readonly phrases: readonly (readonly string[])[];
  /** What some of the words may also be written as. */
  readonly joins: readonly Pick<Joined, 'folded' | 'of'>[];
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
  const runs = runsOf(wordsOf(rest));
  const taken = runs.map(take).filter((run) => run.length > 0);
  const words = [...new Set(taken.filter((run) => run.length === 1).flat())];
  const single = phrases.filter((phrase) => phrase.length === 1).flat();
  const all = foldedWords(text);
  return {
    ...{ all, words },
    // One word in quotes is that word, and no other.
    phrases: [...[...phrases, ...taken].filter((phrase) => phrase.length > 1), ...single.map((word) => [word])],
    joins: joinsOf(rest).filter(({ of }) => of.every((word) => words.includes(word))),
    isOpen: runs.at(-1)?.length === 1 && words.at(-1) === all.at(-1) && /[\p{L}\p{M}\p{N}]$/u.test(text),
  };
}

/** Each word by itself, but what is written without spaces together. */
function runsOf(words: readonly Word[]): string[][] {
  const runs: string[][] = [];
  words.forEach(({ folded, start, isUnspaced }, at) => {
    const before = words[at - 1];
    if (isUnspaced && before?.isUnspaced && before.end === start) runs.at(-1)?.push(folded);
    else runs.push([folded]);
  });
  return runs;
}
