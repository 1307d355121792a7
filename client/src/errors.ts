/**
 * An upload that will not go on by itself.
 *
 * `code` is the server's own (docs/errors.md), or one of: CANCELLED, LEFT (by `leave`: it can go on), FILE_CHANGED (the
 * file is not what it was when the upload began), FILE_UNREADABLE, FILE_DIFFERS (not the file that the session was begun
 * with), FILE_DIGEST_MISMATCH (what arrived differs, and sending it again did not help), PROTOCOL (something that is no
 * Sluice answered).
 */
export class UploadError extends Error {
  override readonly name = 'UploadError';

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Nothing answered, or the connection ended before the answer did. */
export class ConnectionLost extends Error {}
