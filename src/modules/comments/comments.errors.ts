import { DomainError, InvalidInput } from '../../common/errors/index.js';

/** Somebody else wrote it. Only told to who may see it: for others it is NOT_FOUND. */
export class NotYourComment extends DomainError {
  constructor() {
    super('NOT_YOUR_COMMENT', 'Only its author may change it; the channel’s owners and editors may delete it.');
  }
}

export class NoSecondLevel extends InvalidInput {
  constructor() {
    super('A reply cannot be answered, or pinned: take the comment that it answers.', ['commentId'], 'IS_A_REPLY');
  }
}
