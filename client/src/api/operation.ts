/** The text of a GraphQL operation that knows what it takes and gives. */
export type Operation<Data, Variables> = string & { readonly types?: (variables: Variables) => Data };

/** What the server refused, or what never reached it. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    /** The server's own (docs/errors.md), or OFFLINE: nothing answered, or what answered is no Sluice. */
    readonly code: string,
    message: string,
    /** Path of the input that is wrong, where the server named one. */
    readonly field: readonly string[] | null = null,
    /** Of RATE_LIMITED: the same is refused until then. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
  }
}

interface Payload {
  readonly userErrors: readonly { code: string; message: string; field?: readonly string[] | null }[];
}

/** A mutation's payload that went well. @throws ApiError with the first of its user errors */
export function accepted<P extends Payload>(payload: P): P {
  const [error] = payload.userErrors;
  if (error) throw new ApiError(error.code, error.message, error.field ?? null);
  return payload;
}
