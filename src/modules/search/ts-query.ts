import type { TypedQuery } from './typed-query.js';

/** What each word of a query may also be found as: stems, words one edit away, and words that begin with it. */
export type Spellings = ReadonlyMap<string, readonly string[]>;

/**
 * The text of a `tsquery`, built from quoted lexemes alone: nothing that was typed is an operator.
 * @param bound `label`: only of these weights, of all unless given. `begun`: this word may go on
 * @returns '' when nothing is asked for
 */
export function tsQuery(
  query: Pick<TypedQuery, 'words' | 'phrases'> & Partial<Pick<TypedQuery, 'joins'>>,
  spellings: Spellings,
  { label = '', begun }: { label?: string; begun?: string } = {},
): string {
  const lexeme = (word: string, mark = label) => `'${word}'${mark && `:${mark}`}`;
  const anyOf = (word: string) => {
    const [itself, ...others] = new Set([word, ...(spellings.get(word) ?? [])]);
    const all = [
      lexeme(itself as string, word === begun ? `*${label}` : label),
      ...others.map((other) => lexeme(other)),
    ];
    return all.length === 1 ? (all[0] as string) : `(${all.join(' | ')})`;
  };
  const joins = (query.joins ?? []).flatMap(({ folded, of }) => {
    const parts = of.filter((word) => query.words.includes(word));
    return parts.length === 0 ? [] : [{ folded, parts }];
  });
  const apart = new Set(joins.flatMap(({ parts }) => parts));
  const words = query.words.filter((word) => !apart.has(word)).map(anyOf);
  const joined = joins.map(({ folded, parts }) => `(${anyOf(folded)} | ${parts.map(anyOf).join(' & ')})`);
  const phrases = query.phrases.map((phrase) => `(${phrase.map((word) => lexeme(word)).join(' <-> ')})`);
  return [...words, ...joined, ...phrases].join(' & ');
}
