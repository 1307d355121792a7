import { Args, Query, Resolver } from '@nestjs/graphql';
import { Public } from '../../common/access/index.js';
import { type Connection, PageArgs, toConnection } from '../../common/graphql/index.js';
import { Video, VideoConnection } from '../videos/index.js';
import { FeedsService } from './feeds.service.js';
import { TrendingService } from './trending.service.js';

@Resolver()
export class FeedsResolver {
  constructor(
    private readonly feeds: FeedsService,
    private readonly trendings: TrendingService,
  ) {}

  @Query(() => VideoConnection, { description: 'What is public and plays, of all channels: what came last first.' })
  @Public()
  async newest(@Args() args: PageArgs): Promise<Connection<Video>> {
    const page = await this.feeds.newest(args.first, args.after);
    return toConnection(page, args, ({ place }) => place, Video.of);
  }

  @Query(() => VideoConnection, {
    description:
      'What is watched now, the first 1,000, ranked anew each minute. Its pages are those of one ranking: CURSOR_EXPIRED an hour after another took its place.',
  })
  @Public()
  async trending(@Args() args: PageArgs): Promise<Connection<Video>> {
    const page = await this.trendings.page(args.first, args.after);
    return toConnection(page, args, ({ place }) => place, Video.of);
  }
}
