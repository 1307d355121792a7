/** Longer ones have too many neighbours to list; who mistypes them sees it. */
const MAX_LETTERS = 30;

/** Whether a typo in it can be told: numbers that differ in a digit are other numbers. */
const isSpelt = (word: string): boolean => /\p{L}/u.test(word);

/** The word, and it less each one letter: two words one edit apart share at least one of these. */
export function deletesOf(word: string): string[] {
  const letters = [...word];
  if (!isSpelt(word) || letters.length > MAX_LETTERS) return [];
  const less = letters.map((_, at) => letters.toSpliced(at, 1).join(''));
  return [...new Set([word, ...less])].filter((part) => part !== '');
}

/** Whether one letter more, less, other, or swapped with the next, makes one word the other. The same word is near too. */
export function isNear(one: string, other: string): boolean {
  const [a, b] = [[...one], [...other]].sort((x, y) => x.length - y.length) as [string[], string[]];
  if (b.length - a.length > 1) return false;
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  const rest = (letters: string[], from: number) => letters.slice(from).join('');
  if (rest(a, at) === rest(b, at)) return true;
  if (b.length > a.length) return rest(a, at) === rest(b, at + 1);
  if (rest(a, at + 1) === rest(b, at + 1)) return true;
  return a[at] === b[at + 1] && a[at + 1] === b[at] && rest(a, at + 2) === rest(b, at + 2);
}
