export interface EventDefinition<Payload> {
  readonly name: string;
  /** Carries the payload's type. */
  readonly payload?: Payload;
}

/** Named in the past tense: `VideoReady`. */
export function defineEvent<Payload extends object>(name: string): EventDefinition<Payload> {
  return { name };
}
