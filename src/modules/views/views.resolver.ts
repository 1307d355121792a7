import { ResolveField, Resolver } from '@nestjs/graphql';
import { GraphQLCount, type OperationContext } from '../../common/graphql/index.js';
import { Video, VideosService } from '../videos/index.js';
import { ViewsService } from './views.service.js';

@Resolver(() => Video)
export class VideoViewsResolver {
  constructor(
    private readonly views: ViewsService,
    private readonly videos: VideosService,
  ) {}

  @ResolveField(() => GraphQLCount, {
    description: 'How often it was watched: once per viewer and hour, at most two seconds old.',
  })
  async viewCount({ row }: Video, _: unknown, context: OperationContext): Promise<number> {
    if (!(await this.videos.isVisible(row, context))) return 0;
    const load = (ids: readonly string[]) => this.views.countsOf(ids);
    return (await context.loaders.load('video views', load, row.id)) ?? 0;
  }
}
