import { Field, ObjectType } from '@nestjs/graphql';
import type { Actor } from '../../common/access/index.js';
import { encodeId, Node } from '../../common/graphql/index.js';
import type { AppUser } from './app-user.entity.js';
import { canSeeAccount } from './users.policy.js';

@ObjectType({ implements: () => Node, description: 'A person with an account.' })
export class User extends Node {
  @Field(() => String, { description: 'The name shown to others, 1 to 100 characters.' })
  displayName: string;

  @Field(() => String, {
    nullable: true,
    description: 'The address that this person signs in with. Null but for that person and administrators.',
  })
  email: string | null;
}

/** @param actor who will see it; what is not for their eyes is left out */
export function toUser(user: AppUser, actor: Actor | null): User {
  return {
    id: encodeId('User', user.id),
    displayName: user.displayName,
    email: canSeeAccount(actor, user.id) ? user.email : null,
  };
}
