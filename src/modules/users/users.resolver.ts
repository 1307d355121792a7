import { Query, Resolver } from '@nestjs/graphql';
import { type Actor, CurrentActor, Public } from '../../common/access/index.js';
import { NodeResolver } from '../../common/graphql/index.js';
import { User } from './users.graphql.js';
import { UsersService } from './users.service.js';

@Resolver(() => User)
export class UsersResolver {
  constructor(private readonly users: UsersService) {}

  @Public()
  @Query(() => User, { nullable: true, description: 'Who is signed in. Null when nobody is.' })
  async viewer(@CurrentActor() actor: Actor | null): Promise<User | null> {
    return actor && this.userNode(actor.userId, actor);
  }

  @NodeResolver('User')
  async userNode(id: string, actor: Actor | null): Promise<User | null> {
    const user = await this.users.visible(id, actor);
    return user && User.of(user, actor);
  }
}
