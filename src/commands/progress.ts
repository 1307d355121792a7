const EVERY_MS = 5_000;

/** Says on standard error how far a long command is. */
export function everyFewSeconds(line: () => string): { stop(): void } {
  const timer = setInterval(() => process.stderr.write(`${line()}\n`), EVERY_MS);
  return { stop: () => clearInterval(timer) };
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
