import { Args, Query, Resolver } from '@nestjs/graphql';
import { Public } from '../../common/access/index.js';
import { type Connection, PageArgs, toConnection } from '../../common/graphql/index.js';
import { Video, VideoConnection } from '../videos/index.js';
import { FeedsService } from './feeds.service.js';

@Resolver()
export class FeedsResolver {
  constructor(private readonly feeds: FeedsService) {}

  @Query(() => VideoConnection, { description: 'What is public and plays, of all channels: what came last first.' })
  @Public()
  async newest(@Args() args: PageArgs): Promise<Connection<Video>> {
    const page = await this.feeds.newest(args.first, args.after);
    return toConnection(page, args, ({ place }) => place, Video.of);
  }
}
