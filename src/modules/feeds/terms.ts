/** Of a title of many words those that are longest, which are rare more often than the others. */
const MOST_WORDS = 10;
const LONGEST = 60;
const SHORTEST = 3;

/** In small letters, without accents, with nothing but letters and digits in words. */
function wordsOf(text: string): string[] {
  const plain = text
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}+/gu, '');
  return plain.match(/[\p{L}\p{N}]+/gu) ?? [];
}

/** Two letters of Latin are no word that says much; in other scripts they may be. */
const says = (word: string) => word.length >= SHORTEST || /[^a-z0-9]/.test(word);

/**
 * What a video is about, in a form in which two may be compared: each tag as a whole, and the words of the title. A word of
 * a title is the same as a tag of that one word.
 */
export function termsOf({ title, tags }: { title: string; tags: readonly string[] }): string[] {
  const ofTags = tags.map((tag) => wordsOf(tag).join(' ')).filter((term) => term.length > 0);
  const ofTitle = [...new Set(wordsOf(title).filter(says))]
    .toSorted((one, other) => other.length - one.length)
    .slice(0, MOST_WORDS);
  // By characters: half of one is the same text to PostgreSQL as half of another.
  return [...new Set([...ofTags, ...ofTitle].map((term) => [...term].slice(0, LONGEST).join('')))];
}
