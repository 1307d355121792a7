import { Args, ID, Int, Parent, Query, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor, Public } from '../../common/access/index.js';
import {
  decodeId,
  following,
  Loaders,
  type MaybePromise,
  Mutates,
  NodeResolver,
  type OperationContext,
  OperationLoaders,
  PageArgs,
  toConnection,
} from '../../common/graphql/index.js';
import { Live } from '../../common/live/index.js';
import { RateLimits, REACTIONS } from '../../common/rate-limits/index.js';
import { Channel, ChannelsService } from '../channels/index.js';
import { VideoLikes } from './video-likes.service.js';
import {
  DeleteVideoInput,
  DeleteVideoPayload,
  ReactToVideoInput,
  ReactToVideoPayload,
  UpdateVideoInput,
  UpdateVideoPayload,
  Video,
  VideoConnection,
} from './videos.graphql.js';
import { canEdit } from './videos.policy.js';
import { VideosService, videoTopic } from './videos.service.js';

@Resolver(() => Video)
export class VideosResolver {
  constructor(
    private readonly videos: VideosService,
    private readonly channels: ChannelsService,
    private readonly likes: VideoLikes,
    private readonly live: Live,
    private readonly limits: RateLimits,
  ) {}

  @Query(() => Video, { nullable: true, description: 'Null when it is missing, or not yours to see.' })
  @Public()
  async video(@Args('id', { type: () => ID }) id: string, @CurrentActor() actor: Actor | null): Promise<Video | null> {
    return this.node(decodeId('Video', id), actor);
  }

  @NodeResolver('Video')
  async node(uuid: string, actor: Actor | null): Promise<Video | null> {
    const row = await this.videos.visible(uuid, actor);
    return row && Video.of(row);
  }

  @Mutates(() => UpdateVideoPayload, { description: 'For owners and editors of its channel.' })
  @Authenticated()
  async updateVideo(@Args('input') input: UpdateVideoInput, @CurrentActor() actor: Actor): Promise<UpdateVideoPayload> {
    const row = await this.videos.update(actor, decodeId('Video', input.videoId, ['videoId']), input);
    return Object.assign(new UpdateVideoPayload(), { video: Video.of(row) });
  }

  @Mutates(() => DeleteVideoPayload, {
    description: 'Takes it off for good, with its upload and all its bytes. Repeating it is no error.',
  })
  @Authenticated()
  async deleteVideo(@Args('input') input: DeleteVideoInput, @CurrentActor() actor: Actor): Promise<DeleteVideoPayload> {
    await this.videos.delete(actor, decodeId('Video', input.videoId, ['videoId']));
    return Object.assign(new DeleteVideoPayload(), { deletedVideoId: input.videoId });
  }

  @Mutates(() => ReactToVideoPayload, { description: 'Likes a video, or does no more. Repeating it is no error.' })
  @Authenticated()
  async reactToVideo(
    @Args('input') input: ReactToVideoInput,
    @CurrentActor() actor: Actor,
  ): Promise<ReactToVideoPayload> {
    await this.limits.spend(REACTIONS, actor.userId);
    const row = await this.likes.react(actor, decodeId('Video', input.videoId, ['videoId']), input.like);
    return Object.assign(new ReactToVideoPayload(), { video: Video.of(row) });
  }

  @Subscription(() => Video, {
    description:
      'A state stream: the video as it is now, then as it becomes, at most 4 times a second. Ends when it is gone or not yours to see any more.',
    resolve: (video: Video) => video,
  })
  @Public()
  videoProgress(@Args('videoId', { type: () => ID }) videoId: string, @CurrentActor() actor: Actor | null) {
    const uuid = decodeId('Video', videoId, ['videoId']);
    // Every look tells the viewer: progress and renditions are no part of the row that could be compared.
    return this.live.stateStream({ topic: videoTopic(uuid), load: () => this.node(uuid, actor), key: () => Symbol() });
  }

  @ResolveField(() => Channel, { description: 'Where it is published.' })
  async channel(video: Video, _: unknown, { actor, loaders }: OperationContext): Promise<Channel> {
    const channel = await loaders
      .loader('channels and deleted ones', async (ids: readonly string[]) =>
        actor ? this.channels.withDeletedByIds(ids) : this.channels.recentWithDeletedByIds(ids),
      )
      .load(video.row.channelId);
    if (!channel) throw new Error(`Video ${video.row.id} has no channel.`);
    return Channel.of(channel);
  }

  @ResolveField(() => Int, { description: 'How many like it.' })
  async likeCount({ row }: Video, _: unknown, context: OperationContext): Promise<number> {
    if (!(await this.videos.isVisible(row, context))) return 0;
    const load = (ids: readonly string[]) =>
      context.actor ? this.likes.countsOf(ids) : this.likes.recentCountsOf(ids);
    return (await context.loaders.load('video likes', load, row.id)) ?? 0;
  }

  @ResolveField(() => Boolean, { description: 'You like it.' })
  viewerHasLiked({ row }: Video, _: unknown, { actor, loaders }: OperationContext): MaybePromise<boolean> {
    if (!actor) return false;
    const load = (ids: readonly string[]) => this.likes.likedBy(actor.userId, ids);
    return following(loaders.load('videos liked', load, row.id), Boolean);
  }

  @ResolveField(() => Boolean, { description: 'You may change, replace or delete it.' })
  viewerCanEdit(video: Video, _: unknown, { actor, loaders }: OperationContext): MaybePromise<boolean> {
    return following(this.channels.roleOfActor(actor, video.row.channelId, loaders), (role) => canEdit(actor, role));
  }
}

@Resolver(() => Channel)
export class ChannelVideosResolver {
  constructor(
    private readonly videos: VideosService,
    private readonly channels: ChannelsService,
  ) {}

  @ResolveField(() => Int, { complexity: 10, description: 'How many of its videos are public and play.' })
  videoCount({ row }: Channel, _: unknown, { loaders, actor }: OperationContext): MaybePromise<number> {
    const role = this.channels.roleOfActor(actor, row.id, loaders);
    return following(role, (known) => {
      const isFresh = canEdit(actor, known);
      const load = (ids: readonly string[]) =>
        isFresh ? this.videos.listedCounts(ids) : this.videos.recentListedCounts(ids);
      const name = isFresh ? 'video counts' : 'recent video counts';
      return following(loaders.load(name, load, row.id), (count) => count ?? 0);
    });
  }

  @ResolveField('videos', () => VideoConnection, {
    description: 'Newest first. Owners and editors see all, others what is public and plays.',
    complexity: 5,
  })
  async list(
    @Parent() channel: Channel,
    @Args() args: PageArgs,
    @CurrentActor() actor: Actor | null,
    @OperationLoaders() loaders: Loaders,
  ) {
    const all = canEdit(actor, await this.channels.roleOfActor(actor, channel.row.id, loaders));
    const page = await this.videos.ofChannel(channel.row.id, all, args.first, args.after);
    return toConnection(
      page,
      args,
      ({ place }) => place,
      Video.of,
      () => this.videos.countOfChannel(channel.row.id, all),
    );
  }
}
