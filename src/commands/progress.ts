const EVERY_MS = 5_000;

/** Says on standard error how far a long command is. */
export function everyFewSeconds(line: () => string): { stop(): void } {
  const timer = setInterval(() => process.stderr.write(`${line()}\n`), EVERY_MS);
  return { stop: () => clearInterval(timer) };
}

/** What a copy of objects tells of itself, said now and then. */
export function progressOnStderr(what: string): (progress: { done: number; of: number; bytes: number }) => void {
  let told = performance.now();
  return ({ done, of, bytes }) => {
    if (performance.now() - told < EVERY_MS) return;
    told = performance.now();
    process.stderr.write(`${done} of ${of} objects, ${bytesInWords(bytes)} ${what} …\n`);
  };
}

/** `1.5 GiB` */
export function bytesInWords(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Math.round((bytes / 1024 ** unit) * 10) / 10} ${units[unit]}`;
}
