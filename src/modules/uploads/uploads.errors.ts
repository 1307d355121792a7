import { DomainError } from '../../common/errors/index.js';
import type { ByteRange } from './byte-ranges.js';
import { QUOTA_SCOPES, type QuotaScope } from './quota-scope.js';
import type { UploadSessionState } from './upload-session.entity.js';

export class QuotaExceeded extends DomainError {
  constructor(scope: QuotaScope, limitBytes: number, usedBytes: number) {
    super('QUOTA_EXCEEDED', QUOTA_SCOPES[scope], {
      type: 'QuotaExceeded',
      field: ['sizeBytes'],
      details: { scope, limitBytes, usedBytes },
    });
  }
}

export class TooManyOpenUploads extends DomainError {
  constructor(limit: number) {
    super('TOO_MANY_OPEN_UPLOADS', `You have ${limit} unfinished uploads: complete or cancel some first.`);
  }
}

export class IdempotencyKeyReused extends DomainError {
  constructor() {
    super('IDEMPOTENCY_KEY_REUSED', 'This key was used with other input: take a new one each time.', {
      type: 'IdempotencyKeyReused',
      field: ['idempotencyKey'],
    });
  }
}

export class SessionEnded extends DomainError {
  constructor(state: UploadSessionState) {
    super('SESSION_ENDED', `This upload session is ${state}: begin a new one.`, {
      type: 'SessionEnded',
      field: ['sessionId'],
      details: { state },
    });
  }
}

export class UploadIncomplete extends DomainError {
  constructor(missingRanges: ByteRange[]) {
    super('UPLOAD_INCOMPLETE', 'Some bytes have not arrived yet: send the missing ranges, then complete again.', {
      type: 'UploadIncomplete',
      field: ['sessionId'],
      details: { missingRanges },
    });
  }
}

/** What a file must be to be taken at all. */
export class FileRefused extends DomainError {
  constructor(code: 'EMPTY_FILE' | 'FILE_TOO_LARGE' | 'UNSUPPORTED_TYPE', message: string, field = 'sizeBytes') {
    super(code, message, { field: [field] });
  }
}

export class ChunkRefused extends DomainError {
  constructor(
    code: ChunkCode | 'CHUNK_TOO_LARGE' | 'CHUNK_EMPTY' | 'TOO_MANY_CHUNKS',
    message: string,
    field: string[],
  ) {
    super(code, message, { field });
  }
}

/** Why a chunk that was said to be stored is not counted. */
export const CHUNK_MESSAGES = {
  CHUNK_NOT_STORED: 'The store does not have this chunk: have it signed and send it again.',
  CHUNK_SIZE_MISMATCH: 'The store has another number of bytes for this chunk: have it signed and send it again.',
  CHUNK_DIGEST_MISMATCH: 'The store has other bytes for this chunk: have it signed and send it again.',
  CHUNK_OUT_OF_BOUNDS: 'This chunk does not lie within the file.',
} as const;
export type ChunkCode = keyof typeof CHUNK_MESSAGES;

/** FILE_DIGEST_MISMATCH: not thrown, but kept as the session's `failure` until it is completed again. */
export const FILE_DIGEST_MISMATCH = {
  code: 'FILE_DIGEST_MISMATCH',
  message:
    'What arrived is not the file that was declared: compare the digests of the chunks with your file, discard the ranges that differ, and send only those again.',
} as const;
