import { DomainError, Refusal } from '../../common/errors/index.js';

/** Finding it would take longer than anybody's search may take. */
export class SearchTooBroad extends DomainError {
  constructor() {
    super('SEARCH_TOO_BROAD', 'This search takes too long: use fewer or rarer words, or a filter.', {
      field: ['query'],
    });
  }
}

/** `RATE_LIMITED`: as many searches are under way or wait for it as this process can bear. */
export class SearchBusy extends Refusal {
  constructor() {
    super('RATE_LIMITED', 'Too many searches at once. Try again.', { retryAfterMs: 1_000 });
  }
}
