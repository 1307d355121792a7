/** Less could be found by trying. */
const ENOUGH_BITS = 96;

/** Names of options whose values are equal. */
export function equalSecrets(secrets: Readonly<Record<string, string>>): string[] {
  return Object.entries(secrets)
    .filter(([name, value]) => Object.entries(secrets).some(([other, same]) => other !== name && same === value))
    .map(([name]) => name);
}

/** Names of options whose values say little, whatever their length. */
export function weakSecrets(secrets: Readonly<Record<string, string>>): string[] {
  return Object.entries(secrets)
    .filter(([, value]) => bitsOf(value) < ENOUGH_BITS)
    .map(([name]) => name);
}

/** Shannon's entropy of the characters, as often as they stand there: a bound from above. */
function bitsOf(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  const each = [...counts.values()].map((count) => count / text.length);
  return -text.length * each.reduce((sum, share) => sum + share * Math.log2(share), 0);
}
