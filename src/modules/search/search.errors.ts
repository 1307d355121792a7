import { DomainError } from '../../common/errors/index.js';

/** Finding it would take longer than anybody's search may take. */
export class SearchTooBroad extends DomainError {
  constructor() {
    super('SEARCH_TOO_BROAD', 'This search takes too long: use fewer or rarer words, or a filter.', {
      field: ['query'],
    });
  }
}
