import { Args, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor } from '../../common/access/index.js';
import { decodeId, Mutates, type OperationContext } from '../../common/graphql/index.js';
import { Video } from '../videos/index.js';
import { Processing, Rendition, RetryProcessingInput, RetryProcessingPayload } from './transcoding.graphql.js';
import { TranscodingService } from './transcoding.service.js';

@Resolver(() => Video)
export class TranscodingResolver {
  constructor(private readonly transcoding: TranscodingService) {}

  @Mutates(() => RetryProcessingPayload, {
    description: 'Processes the uploaded file anew, from the beginning. For owners and editors of its channel.',
  })
  @Authenticated()
  async retryProcessing(
    @Args('input') input: RetryProcessingInput,
    @CurrentActor() actor: Actor,
  ): Promise<RetryProcessingPayload> {
    const row = await this.transcoding.retry(actor, decodeId('Video', input.videoId, ['videoId']));
    return Object.assign(new RetryProcessingPayload(), { video: Video.of(row) });
  }

  @ResolveField(() => [Rendition], { description: 'The lowest first. Empty until probed.' })
  async renditions(video: Video, _: unknown, { loaders }: OperationContext): Promise<Rendition[]> {
    const load = (ids: readonly string[]) => this.transcoding.renditionsOf(ids);
    return (await loaders.loader('renditions', load).load(video.row.id)) ?? [];
  }

  @ResolveField(() => Processing, {
    nullable: true,
    description:
      'Null until it begins: with the first seconds of a file that is still being sent, where that is an MP4 or MOV, else with all of it.',
  })
  async processing(video: Video, _: unknown, { loaders }: OperationContext): Promise<Processing | null> {
    if (video.row.state === 'UPLOADING') return null;
    const load = (ids: readonly string[]) => this.transcoding.progressOf(ids);
    return Processing.of(video.row, await loaders.loader('processing', load).load(video.row.id));
  }
}
