/**
 * A failure that a caller can act on. Services throw it; the GraphQL edge turns it into a `userErrors` entry of a
 * mutation's payload or, in a query or subscription, into a top-level error with `extensions.code`.
 * It is resolved as it is: the details become properties, so that the fields of its GraphQL type find them.
 */
export class DomainError extends Error {
  /** Path of the input that is wrong, without the name of the argument: `['sizeBytes']`. Null when none is. */
  readonly field: string[] | null;

  /**
   * @param code stable, SCREAMING_CASE, documented in docs/errors.md
   * @param message for people: what is wrong and what to do
   */
  constructor(
    readonly code: string,
    message: string,
    readonly options: {
      field?: string[];
      /** The GraphQL type that implements `UserError`. */
      type?: string;
      /** Values of that type's own fields. */
      details?: Record<string, unknown>;
    } = {},
  ) {
    super(message);
    this.name = new.target.name;
    this.field = options.field ?? null;
    Object.assign(this, options.details);
  }

  get graphqlType(): string {
    return this.options.type ?? 'InvalidInput';
  }
}

export class InvalidInput extends DomainError {
  constructor(message: string, field?: string[], code = 'INVALID_INPUT') {
    super(code, message, { field, type: 'InvalidInput' });
  }
}

/** Missing and not yours look the same. */
export class NotFound extends DomainError {
  constructor(what: string, field?: string[]) {
    super('NOT_FOUND', `There is no such ${what}, or it is not yours.`, { field, type: 'NotFound' });
  }
}
