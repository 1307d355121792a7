import type { Api } from './api.js';
import type { ApiError } from './operation.js';
import { SearchSuggestions } from './operations.js';
import { Shown } from './shown.js';

const NONE: readonly string[] = [];

/** What somebody may want to search for who has typed so far. It is a help and no more: where there is no answer there are none. */
export class SuggestionList extends Shown<readonly string[]> {
  private run = new AbortController();
  /** The server wants to be left alone until then. */
  private quietUntil = 0;

  constructor(
    private readonly api: Api,
    private readonly first = 8,
  ) {
    super(NONE);
  }

  /** Asks for this from now on; what is there stays until the answer is. */
  readonly suggest = async (prefix: string): Promise<void> => {
    this.stop();
    const { signal } = this.run;
    let found = NONE;
    try {
      if (prefix.trim() !== '' && performance.now() >= this.quietUntil) {
        const variables = { prefix, first: this.first };
        found = (await this.api.request(SearchSuggestions, variables, signal)).searchSuggestions;
      }
    } catch (error) {
      const { retryAfterMs } = error as Partial<ApiError>;
      if (retryAfterMs) this.quietUntil = performance.now() + retryAfterMs;
    }
    if (signal.aborted) return;
    this.view = found;
    this.tell();
  };

  stop(): void {
    this.run.abort();
    this.run = new AbortController();
  }
}
