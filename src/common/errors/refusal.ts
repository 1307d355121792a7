export type RefusalCode = 'UNAUTHENTICATED' | 'FORBIDDEN' | 'RATE_LIMITED' | 'STORAGE_UNAVAILABLE';

/**
 * The operation as a whole is refused: always a top-level error with `extensions.code`, never a user error.
 *
 * @param details further `extensions`, such as `retryAfterMs`
 */
export class Refusal extends Error {
  constructor(
    readonly code: RefusalCode,
    message: string,
    readonly details: Record<string, unknown> = {},
  ) {
    super(message);
    this.name = 'Refusal';
  }
}

/** Several inputs are wrong at once. In a mutation each becomes a user error of its own. */
export class SeveralErrors<E extends Error> extends Error {
  constructor(readonly errors: readonly [E, ...E[]]) {
    super(errors.map((error) => error.message).join(' '));
    this.name = 'SeveralErrors';
  }
}
