import { applyDecorators, Catch, type ExceptionFilter, type Type, UseFilters } from '@nestjs/common';
import { Mutation, type MutationOptions } from '@nestjs/graphql';
import { DomainError, SeveralErrors } from '../errors/index.js';
import { userErrors as counted } from './graphql-metrics.js';

export interface Payload {
  userErrors: DomainError[];
}

/**
 * A mutation that answers with a payload: what a service throws as `DomainError`, and what the validation of the
 * input found, becomes the payload's `userErrors`; all else stays a top-level error. Payload classes therefore can be
 * made without arguments and give every list field a value.
 */
export function Mutates<P extends Payload>(payload: () => Type<P>, options: MutationOptions = {}): MethodDecorator {
  return applyDecorators(Mutation(payload, options), UseFilters(new UserErrors(payload)));
}

@Catch(DomainError, SeveralErrors)
class UserErrors implements ExceptionFilter {
  constructor(private readonly payload: () => Type<Payload>) {}

  catch(error: DomainError | SeveralErrors<Error>): Payload {
    const userErrors = domainErrors(error);
    if (userErrors.length === 0) throw error;
    for (const { code } of userErrors) counted.inc({ code });
    return Object.assign(new (this.payload())(), { userErrors: userErrors.map(asData) });
  }
}

function domainErrors(error: unknown): DomainError[] {
  if (error instanceof DomainError) return [error];
  return error instanceof SeveralErrors ? error.errors.filter((one) => one instanceof DomainError) : [];
}

/** A copy that is no Error: GraphQL would throw one that it finds as a value. */
function asData(error: DomainError) {
  return { ...error, message: error.message, graphqlType: error.graphqlType };
}
