import type { TypedQuery } from './typed-query.js';

/** What each word of a query may also be found as: stems, words one edit away, and words that begin with it. */
export type Spellings = ReadonlyMap<string, readonly string[]>;

/**
 * The text of a `tsquery`, built from quoted lexemes alone: nothing that was typed is an operator.
 * @param bound `label`: only of these weights, of all unless given. `begun`: this word may go on
 * @returns '' when nothing is asked for
 */
export function tsQuery(
  query: Pick<TypedQuery, 'words' | 'phrases'>,
  spellings: Spellings,
  { label = '', begun }: { label?: string; begun?: string } = {},
): string {
  const lexeme = (word: string, mark = label) => `'${word}'${mark && `:${mark}`}`;
  const words = query.words.map((word) => {
    const [itself, ...others] = new Set([word, ...(spellings.get(word) ?? [])]);
    const all = [
      lexeme(itself as string, word === begun ? `*${label}` : label),
      ...others.map((other) => lexeme(other)),
    ];
    return all.length === 1 ? all[0] : `(${all.join(' | ')})`;
  });
  const phrases = query.phrases.map((phrase) => `(${phrase.map((word) => lexeme(word)).join(' <-> ')})`);
  return [...words, ...phrases].join(' & ');
}
