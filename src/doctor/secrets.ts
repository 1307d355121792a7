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

/** Shannon's entropy of the characters, as often as they stand there: a bound from above. What is said again says nothing. */
function bitsOf(whole: string): number {
  let period = 1;
  while (!whole.startsWith(whole.slice(period))) period++;
  const text = whole.slice(0, period);
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  const shares = [...counts.values()].map((count) => count / text.length);
  return -text.length * shares.reduce((sum, share) => sum + share * Math.log2(share), 0);
}
