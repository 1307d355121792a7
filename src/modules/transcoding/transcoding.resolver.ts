import { Args, Context, ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor, Public } from '../../common/access/index.js';
import { NotFound } from '../../common/errors/index.js';
import { decodeId, Mutates, type OperationContext } from '../../common/graphql/index.js';
import { addressBlock } from '../../common/http/index.js';
import { Video, VideosService } from '../videos/index.js';
import { OnDemandRungs } from './on-demand.js';
import {
  Processing,
  Rendition,
  RequestRenditionInput,
  RequestRenditionPayload,
  RetryProcessingInput,
  RetryProcessingPayload,
} from './transcoding.graphql.js';
import { TranscodingService } from './transcoding.service.js';

@Resolver(() => Video)
export class TranscodingResolver {
  constructor(
    private readonly transcoding: TranscodingService,
    private readonly onDemand: OnDemandRungs,
    private readonly videos: VideosService,
  ) {}

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

  @Mutates(() => RequestRenditionPayload, {
    description:
      'Has a rendition made that is ON_DEMAND, for whoever may watch the video. Another one plays meanwhile; `videoProgress` tells when it is there. Repeating it is no error.',
  })
  @Public()
  async requestRendition(
    @Args('input') { videoId, name }: RequestRenditionInput,
    @CurrentActor() actor: Actor | null,
    @Context() context: OperationContext,
  ): Promise<RequestRenditionPayload> {
    const video = await this.videos.visible(decodeId('Video', videoId, ['videoId']), actor);
    if (!video) throw new NotFound('video', ['videoId']);
    const viewer = actor?.userId ?? addressBlock(context.ip);
    const edits = await this.videos.mayEdit(video, actor);
    const asked = await this.onDemand.ask({ videoId: video.id, run: video.run }, name, viewer, edits);
    const renditions = (await this.transcoding.renditionsOf([video.id])).get(video.id);
    const rendition = renditions?.find((each) => each.name === asked) ?? null;
    return Object.assign(new RequestRenditionPayload(), { rendition });
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
