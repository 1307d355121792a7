import { DomainError } from '../../common/errors/index.js';

/** There is no verified master to start from. */
export class NothingToProcess extends DomainError {
  constructor() {
    super('NOTHING_TO_PROCESS', 'There is no complete upload to process: upload the file again.', {
      field: ['videoId'],
    });
  }
}

/** Blocked, deleted, or begun anew by somebody else at this moment. */
export class CannotRetry extends DomainError {
  constructor() {
    super('CANNOT_RETRY', 'Processing cannot begin anew now: look at the state of the video.', { field: ['videoId'] });
  }
}

/** Of what is made when it is asked for, as much waits as may. */
export class TooManyAsked extends DomainError {
  constructor() {
    super('TOO_MANY_ASKED', 'Many renditions wait to be made. Ask again later; another one plays meanwhile.', {
      field: ['name'],
    });
  }
}

/** A piece that came out wrong, whatever the encoder said of it: the input's fault until it works elsewhere. */
export class PieceRefused extends Error {
  /** What the encoder said, where that tells more. */
  readonly log: string | undefined;

  constructor(message: string, { log, ...options }: ErrorOptions & { log?: string } = {}) {
    super(message, options);
    this.log = log;
  }
}

/** The source itself is broken where this piece is. Two attempts that say so end the matter. */
export class SourceDamaged extends PieceRefused {
  /** Somebody waits to be told. */
  retryAtOnce = false;
}
