import { DomainError } from '../../common/errors/index.js';

/** What the actor may see, but not change. Only told to who may see it: for others it is NOT_FOUND. */
export class NotAnEditor extends DomainError {
  constructor() {
    super('NOT_AN_EDITOR', 'Only owners and editors of the channel may do this.', { type: 'NotAnEditor' });
  }
}
