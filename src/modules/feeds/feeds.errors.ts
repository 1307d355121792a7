import { DomainError } from '../../common/errors/index.js';

/** The ranking that this cursor is a place of is not kept any more. */
export class RankingExpired extends DomainError {
  constructor() {
    super('CURSOR_EXPIRED', 'This ranking is not kept any more: load the list from its beginning.', {
      field: ['after'],
      type: 'CursorExpired',
    });
  }
}
