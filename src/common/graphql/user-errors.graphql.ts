import { Field, InterfaceType, ObjectType } from '@nestjs/graphql';
import type { DomainError } from '../errors/index.js';

@InterfaceType('UserError', {
  description: 'A failure that the caller can act on. The concrete type tells what happened; more types may be added.',
  resolveType: (error: DomainError) => error.graphqlType,
})
export abstract class UserError {
  @Field(() => String, { description: 'The same fact as the concrete type, or finer: stable, documented, upper case.' })
  code: string;

  @Field(() => String, { description: 'For people: what is wrong and what to do.' })
  message: string;

  @Field(() => [String], {
    nullable: true,
    description: 'Path of the input that is wrong, list positions included. Null when no single input is.',
  })
  field: string[] | null;
}

@ObjectType('InvalidInput', { implements: () => UserError, description: 'An input is not acceptable.' })
export class InvalidInputError extends UserError {}

@ObjectType('NotFound', {
  implements: () => UserError,
  description: 'There is no such thing, or it is not yours: the two are not told apart.',
})
export class NotFoundError extends UserError {}
