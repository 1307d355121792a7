import { DomainError } from '../errors/index.js';

/** What came after this cursor is not all known any more: load what there is anew, and go on from now. */
export class CursorExpired extends DomainError {
  constructor() {
    super(
      'CURSOR_EXPIRED',
      'This cursor is too old, or of another database: load the list anew, subscribe without it.',
      {
        field: ['after'],
        type: 'CursorExpired',
      },
    );
  }
}
