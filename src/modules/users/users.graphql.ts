import { Field, ObjectType } from '@nestjs/graphql';
import type { Actor } from '../../common/access/index.js';
import { encodeId, Node, SameForAll } from '../../common/graphql/index.js';
import type { AppUser } from './app-user.entity.js';
import { canSeeAccount } from './users.policy.js';

@ObjectType({ implements: () => Node, description: 'A person with an account.' })
export class User extends Node {
  /** What it was made of, for field resolvers; no field. */
  row: AppUser;

  @SameForAll()
  @Field(() => String, { description: 'The name shown to others, 1 to 100 characters.' })
  displayName: string;

  @Field(() => String, {
    nullable: true,
    description: 'The address that this person signs in with. Null but for that person and administrators.',
  })
  email: string | null;

  /** @param actor who will see it; what is not for their eyes is left out */
  static of(row: AppUser, actor: Actor | null): User {
    const email = canSeeAccount(actor, row.id) ? row.email : null;
    return Object.assign(new User(), { row, id: encodeId('User', row.id), displayName: row.displayName, email });
  }
}
