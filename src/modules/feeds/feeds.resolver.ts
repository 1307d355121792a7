import { Args, Context, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Public } from '../../common/access/index.js';
import { type Connection, type OperationContext, PageArgs, toConnection } from '../../common/graphql/index.js';
import { Video, VideoConnection, VideosService } from '../videos/index.js';
import { FeedsService } from './feeds.service.js';
import { RelatedArgs } from './related.graphql.js';
import { RelatedService } from './related.service.js';
import { MOST_RELATED } from './related-choice.js';
import { decodeRelated, encodeRelated } from './related-cursor.js';
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

@Resolver(() => Video)
export class VideoRelatedResolver {
  constructor(
    private readonly service: RelatedService,
    private readonly videos: VideosService,
  ) {}

  @ResolveField(() => VideoConnection, {
    // A list that is not kept is chosen: twenty of them at most are asked for at once.
    complexity: 200,
    description: `What goes with it, best first, ${MOST_RELATED} at most: public videos that play. Empty where it is not yours to see.`,
  })
  async related(
    @Parent() { row }: Video,
    @Args() args: RelatedArgs,
    @Context() context: OperationContext,
  ): Promise<Connection<Video>> {
    const { loaders } = context;
    const lists = (ids: readonly string[]) => this.service.listsOf(ids);
    const listed = loaders.loader('listed videos', (ids: readonly string[]) => this.videos.listedByIds(ids));
    const following = args.after ? decodeRelated(args.after) : null;
    const isVisible = await this.videos.isVisible(row, context);
    const ids = isVisible ? (following ?? (await loaders.load('related lists', lists, row.id)) ?? []) : [];
    const found = await Promise.all(ids.map((id) => listed.load(id)));
    const shown = found.flatMap((video, place) => (video ? [{ video, place }] : []));
    const page = { rows: shown.slice(0, args.first), hasNextPage: shown.length > args.first };
    const cursorOf = ({ place }: { place: number }) => encodeRelated(ids.slice(place + 1));
    return toConnection(page, args, cursorOf, ({ video }) => Video.of(video));
  }
}
