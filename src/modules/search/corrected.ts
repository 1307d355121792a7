/**
 * What was looked for instead of what was typed, null where that is the same. Of the words that each typo may stand for it is one
 * that something shown has: of others nobody is told, since what the index knows of a video may be older than what may be seen of it.
 * @param typos words, with those that each may stand for, the likeliest first
 * @param shown the words of each row, the first row first
 */
export function correctedQuery(
  all: readonly string[],
  typos: ReadonlyMap<string, readonly string[]>,
  shown: readonly (readonly string[])[],
): string | null {
  const instead = new Map<string, string>();
  for (const [word, near] of typos) {
    // What was found as it was typed is no mistake.
    if (shown.some((words) => words.includes(word))) continue;
    const meant = shown.flatMap((words) => near.find((other) => words.includes(other)) ?? [])[0];
    if (meant !== undefined) instead.set(word, meant);
  }
  return instead.size === 0 ? null : all.map((word) => instead.get(word) ?? word).join(' ');
}
