import type { TypedQuery } from './typed-query.js';

/** What each word of a query may also be found as: stems, words one edit away, and words that begin with it. */
export type Spellings = ReadonlyMap<string, readonly string[]>;

/**
 * The text of a `tsquery`, built from quoted lexemes alone: nothing that was typed is an operator.
 * @param label only of these weights; of all unless given
 * @returns '' when nothing is asked for
 */
export function tsQuery(query: Pick<TypedQuery, 'words' | 'phrases'>, spellings: Spellings, label = ''): string {
  const lexeme = (word: string) => `'${word}'${label && `:${label}`}`;
  const words = query.words.map((word) => {
    const all = [...new Set([word, ...(spellings.get(word) ?? [])])];
    return all.length === 1 ? lexeme(word) : `(${all.map(lexeme).join(' | ')})`;
  });
  const phrases = query.phrases.map((phrase) => `(${phrase.map(lexeme).join(' <-> ')})`);
  return [...words, ...phrases].join(' & ');
}
