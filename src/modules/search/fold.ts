/** Scripts that are written without spaces: each of their characters is a word. */
const UNSPACED =
  '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\u30FC\\uFF70\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}';
const WORD = new RegExp(
  // The marks of halfwidth kana are letters to Unicode.
  `([${UNSPACED}][\\p{M}\\uFF9E\\uFF9F]*)|(?:(?![${UNSPACED}])[\\p{L}\\p{N}])(?:(?![${UNSPACED}])[\\p{L}\\p{M}\\p{N}])*`,
  'gu',
);
/** Accents of Latin, Greek and Cyrillic; the points of Hebrew and Arabic, and what only stretches Arabic words. But й is no accented и. */
const MARKS = /(?<!и)\u0306|[\u0300-\u0305\u0307-\u036F\u0591-\u05C7\u0640\u064B-\u0652\u0670]/g;
const LETTERS: Readonly<Record<string, string>> = {
  ...{ ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', ł: 'l', đ: 'd', ð: 'd', þ: 'th', ı: 'i', ŋ: 'n', ħ: 'h', ς: 'σ' },
};
const SPECIAL = new RegExp(`[${Object.keys(LETTERS).join('')}]`, 'g');
const NO_PART = /[^\p{L}\p{M}\p{N}]/gu;
/** Only letters that folding leaves as they are: all of English, most of Russian, Chinese, Japanese and Thai. */
const PLAIN =
  /^[a-z0-9а-я\u0E01-\u0E30\u0E32\u0E40-\u0E46\u3041-\u3096\u30A1-\u30FA\u30FC\u3400-\u4DBF\u4E00-\u9FFF]*$/;
/** Longer ones are no words, and would make the index large. */
const MAX_LETTERS = 60;
/** What parts a word in one spelling, and not in another: `e-mail`, `AC/DC`, `don't`. */
const JOINT = /^[-‐‑/'’.]$/;

/** A word as it was typed, and where. */
export interface Word {
  /** As the index has it. */
  readonly folded: string;
  readonly start: number;
  readonly end: number;
  /** One character of a script that has no spaces between words. */
  readonly isUnspaced: boolean;
}

/** Words that one sign each parts, as one. */
export interface Joined extends Omit<Word, 'isUnspaced'> {
  readonly of: readonly string[];
  /** Which of the words is the last of them. */
  readonly at: number;
}

/**
 * The words of a text, as the index has them: lower case, without accents, in one spelling. What is indexed and what is asked
 * for both go through here, whatever locale and extensions the database has. They have only letters, digits and marks.
 */
export function wordsOf(text: string): Word[] {
  const words: Word[] = [];
  for (const match of text.matchAll(WORD)) {
    const folded = fold(match[0]);
    const [start, end] = [match.index, match.index + match[0].length];
    if (folded !== '') words.push({ folded, start, end, isUnspaced: match[1] !== undefined });
  }
  return words;
}

export const foldedWords = (text: string): string[] => wordsOf(text).map((word) => word.folded);

/** What may as well be written as one word: `email` for `e-mail`. Numbers are not: 3.5 is not 35. */
export function joinsOf(text: string, words: readonly Word[] = wordsOf(text)): Joined[] {
  const joins: Joined[] = [];
  let from = 0;
  words.forEach((last, at) => {
    const next = words[at + 1];
    if (next && JOINT.test(text.slice(last.end, next.start))) return;
    const of = words.slice(from, at + 1).map((word) => word.folded);
    const folded = of.join('');
    const { start } = words[from] as Word;
    if (of.length > 1 && folded.length <= MAX_LETTERS && /\p{L}/u.test(folded)) {
      joins.push({ folded, of, at, start, end: last.end });
    }
    from = at + 1;
  });
  return joins;
}

function fold(word: string): string {
  const lower = word.toLowerCase();
  if (PLAIN.test(lower)) return lower.slice(0, MAX_LETTERS);
  const bare = lower.normalize('NFKD').replace(MARKS, '').toLowerCase().replace(MARKS, '');
  const spelt = bare.replace(SPECIAL, (letter) => LETTERS[letter] as string).replace(NO_PART, '');
  return [...spelt.normalize('NFC')].slice(0, MAX_LETTERS).join('');
}
