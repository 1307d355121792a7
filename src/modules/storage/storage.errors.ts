import { Refusal } from '../../common/errors/index.js';

export type StorageErrorCode =
  | 'INVALID_KEY'
  | 'OBJECT_EXISTS'
  | 'OBJECT_MISSING'
  | 'SIZE_MISMATCH'
  | 'DIGEST_MISMATCH'
  | 'RANGE_NOT_SATISFIABLE'
  | 'STORAGE_FULL';

const RETRY_AFTER_MS = 5_000;

/** What a store says no to. Not for end users: a use case that meets one decides what it means there. */
export class StorageError extends Error {
  constructor(
    readonly code: StorageErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}

export class InvalidKey extends StorageError {
  constructor(key: string) {
    super('INVALID_KEY', `Not an object key: ${JSON.stringify(key.slice(0, 100))}.`);
  }
}

export class ObjectExists extends StorageError {
  constructor(key: string) {
    super('OBJECT_EXISTS', `${key} was written before, and objects are written once.`);
  }
}

export class ObjectMissing extends StorageError {
  constructor(key: string) {
    super('OBJECT_MISSING', `There is no object ${key}.`);
  }
}

export class SizeMismatch extends StorageError {
  constructor(key: string, expected: number, received: string) {
    super('SIZE_MISMATCH', `${key} was to have ${expected} bytes, and ${received} came.`);
  }
}

export class DigestMismatch extends StorageError {
  constructor(key: string) {
    super('DIGEST_MISMATCH', `The SHA-256 of what came for ${key} is not the one that was told.`);
  }
}

export class RangeNotSatisfiable extends StorageError {
  constructor(key: string, range: { start: number; end: number }) {
    super('RANGE_NOT_SATISFIABLE', `${key} has no bytes from ${range.start} to ${range.end}.`);
  }
}

export class StorageFull extends StorageError {
  constructor(cause: unknown) {
    super('STORAGE_FULL', 'The object store has no space left.', { cause });
  }
}

/**
 * The store does not answer, or cannot be relied on just now. Whatever was asked for may be asked for again; clients are
 * told so, and no more: addresses and causes are for the log.
 */
export class StorageUnavailable extends Refusal {
  /** Of an answer over plain HTTP. */
  readonly statusCode = 503;

  constructor(
    /** What is wrong, for operators. */
    readonly reason: string,
    cause?: unknown,
  ) {
    super('STORAGE_UNAVAILABLE', 'The object store does not answer: try again in a moment.', {
      retryAfterMs: RETRY_AFTER_MS,
    });
    this.name = new.target.name;
    this.cause = cause;
  }
}
