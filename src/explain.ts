import { ConfigurationError } from './common/config/index.js';
import { DataDirHeld } from './embedded/index.js';

/** What to tell whoever started a process that cannot start: a sentence for what they can mend, else all we know. */
export function explain(error: unknown): string {
  const { message, stack, code } = error as NodeJS.ErrnoException;
  const expected =
    error instanceof ConfigurationError || error instanceof DataDirHeld || code === 'EADDRINUSE' || code === 'EACCES';
  return `${expected ? message : (stack ?? String(error))}\n`;
}
