import type { Joined } from './fold.js';

/** PostgreSQL counts no further. */
const LAST_PLACE = 16_383;

/** What is indexed of one text: its words in order, under a label of weight; their stems stand in the same places. */
export interface Part {
  readonly words: readonly string[];
  readonly label: 'A' | 'B' | 'C' | 'D';
  /** The label of stems that are other than their word. None without it. */
  readonly stems?: 'B' | 'D';
  /** Each stands in the place of the last of its words. */
  readonly joins?: readonly Pick<Joined, 'folded' | 'at'>[];
}

/** Whole tags, as one lexeme each: `#slow travel`. */
export const tagLexeme = (words: readonly string[]): string => `#${words.join(' ')}`;

/**
 * The text of a `tsvector`. Words have no quotes in them (fold.ts), so quoting them is all there is to do.
 * @param stemOf null where a word has none
 */
export function vectorOf(
  parts: readonly Part[],
  tags: readonly string[],
  stemOf: (word: string) => string | null,
): string {
  const lexemes: string[] = [];
  let place = 0;
  const add = (word: string, label: string) => lexemes.push(`'${word}':${Math.min(place, LAST_PLACE)}${label}`);
  for (const { words, label, stems, joins } of parts) {
    const joined = new Map(joins?.map(({ folded, at }) => [at, folded]));
    for (const [at, word] of words.entries()) {
      place++;
      add(word, label);
      const whole = joined.get(at);
      if (whole !== undefined) add(whole, label);
      const stem = stems ? stemOf(word) : null;
      if (stem !== null && stem !== word) add(stem, stems as string);
    }
    // No phrase goes from one part into the next.
    place++;
  }
  for (const tag of tags) add(tag, 'D');
  return lexemes.join(' ');
}
