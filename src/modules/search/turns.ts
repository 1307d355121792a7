import { SearchBusy } from './search.errors.js';

/** At once, in a process: the database's connections are for all else, too. */
const AT_ONCE = 4;
/** Waiting: a fifth of a second of honest searches, and some seconds of the dearest. */
const MAX_WAITING = 40;

/** Searches that are under way, a bounded number at once. */
export class Turns {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  /** @throws SearchBusy */
  async run<T>(search: () => Promise<T>): Promise<T> {
    if (this.running < AT_ONCE) this.running++;
    else if (this.waiting.length >= MAX_WAITING) throw new SearchBusy();
    else await new Promise<void>((turn) => this.waiting.push(turn));
    try {
      return await search();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running--;
    }
  }
}
