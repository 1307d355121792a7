import { DomainError, InvalidInput } from '../../common/errors/index.js';

/** `HANDLE_TAKEN`: a channel has this handle, or one that looks like it. (`HANDLE_RESERVED`: see `checkHandle`.) */
export class HandleTaken extends InvalidInput {
  constructor() {
    super(
      'Another channel has this handle, or one that looks like it. Choose another one.',
      ['handle'],
      'HANDLE_TAKEN',
    );
  }
}

/** What the actor may see, but not change. Only told to who may see it: for others it is NOT_FOUND. */
export class NotAnEditor extends DomainError {
  constructor() {
    super('NOT_AN_EDITOR', 'Only owners and editors of the channel may do this.', { type: 'NotAnEditor' });
  }
}

export class NotAnOwner extends DomainError {
  constructor() {
    super('NOT_AN_OWNER', 'Only owners of the channel may do this.');
  }
}

export class LastOwner extends DomainError {
  constructor() {
    super('LAST_OWNER', 'A channel has at least one owner. Make somebody else one first, or delete the channel.');
  }
}

export class TooManyMembers extends DomainError {
  constructor(most: number) {
    super('TOO_MANY_MEMBERS', `A channel may have ${most} members.`);
  }
}

/** Over plain HTTP alone, as all that follow. */
export class ImageUnreadable extends DomainError {
  constructor() {
    super('IMAGE_UNREADABLE', 'This is no JPEG, PNG, GIF or WebP, or it is damaged. Choose another file.');
  }
}

export class ImageSize extends DomainError {
  constructor(leastSide: number, mostPixels: number) {
    super(
      'IMAGE_SIZE',
      `The picture must have at least ${leastSide} pixels on each side, and at most ${Math.floor(mostPixels / 1e6)} million altogether.`,
    );
  }
}

export class ImageTooLarge extends DomainError {
  constructor(mostBytes: number) {
    super('IMAGE_TOO_LARGE', `The file may have at most ${mostBytes} bytes.`);
  }
}

export class ImageTooSlow extends DomainError {
  constructor() {
    super('IMAGE_TOO_SLOW', 'The file stopped coming, or came too slowly. Try again.');
  }
}

export class ImageReplaced extends DomainError {
  constructor() {
    super('IMAGE_REPLACED', 'Another picture was sent meanwhile, or the channel is gone.');
  }
}
