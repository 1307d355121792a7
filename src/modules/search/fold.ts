/** Scripts that are written without spaces: each of their characters is a word. */
const UNSPACED =
  '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}';
const WORD = new RegExp(
  `[${UNSPACED}]\\p{M}*|(?:(?![${UNSPACED}])[\\p{L}\\p{N}])(?:(?![${UNSPACED}])[\\p{L}\\p{M}\\p{N}])*`,
  'gu',
);
/** Accents of Latin, Greek and Cyrillic; the points of Hebrew and Arabic, and what only stretches Arabic words. */
const MARKS = /[\u0300-\u036F\u0591-\u05C7\u0640\u064B-\u0652\u0670]/g;
const LETTERS: Readonly<Record<string, string>> = {
  ...{ ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', ł: 'l', đ: 'd', ð: 'd', þ: 'th', ı: 'i', ŋ: 'n', ħ: 'h', ς: 'σ' },
};
const SPECIAL = new RegExp(`[${Object.keys(LETTERS).join('')}]`, 'g');
const NO_PART = /[^\p{L}\p{M}\p{N}]/gu;
const PLAIN = /^[a-z0-9]*$/;
/** Longer ones are no words, and would make the index large. */
const MAX_LETTERS = 60;

/** A word as it was typed, and where. */
export interface Word {
  /** As the index has it. */
  readonly folded: string;
  readonly start: number;
  readonly end: number;
}

/**
 * The words of a text, as the index has them: lower case, without accents, in one spelling. What is indexed and what is asked
 * for both go through here, whatever locale and extensions the database has. They have only letters, digits and marks.
 */
export function wordsOf(text: string): Word[] {
  const words: Word[] = [];
  for (const match of text.matchAll(WORD)) {
    const folded = fold(match[0]);
    if (folded !== '') words.push({ folded, start: match.index, end: match.index + match[0].length });
  }
  return words;
}

export const foldedWords = (text: string): string[] => wordsOf(text).map((word) => word.folded);

function fold(word: string): string {
  const lower = word.toLowerCase();
  if (PLAIN.test(lower)) return lower.slice(0, MAX_LETTERS);
  const bare = lower.normalize('NFKD').replace(MARKS, '').toLowerCase().replace(MARKS, '');
  const spelt = bare.replace(SPECIAL, (letter) => LETTERS[letter] as string).replace(NO_PART, '');
  return [...spelt.normalize('NFC')].slice(0, MAX_LETTERS).join('');
}
