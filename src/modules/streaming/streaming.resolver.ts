import { ResolveField, Resolver } from '@nestjs/graphql';
import { following, GraphQLUrl, type MaybePromise, type OperationContext } from '../../common/graphql/index.js';
import { ChannelsService } from '../channels/index.js';
import { canEdit, Video } from '../videos/index.js';
import { PlaybackService } from './playback.service.js';
import { Playback, Thumbnail } from './streaming.graphql.js';

@Resolver(() => Video)
export class VideoPlaybackResolver {
  constructor(
    private readonly playbacks: PlaybackService,
    private readonly channels: ChannelsService,
  ) {}

  @ResolveField(() => Playback, {
    nullable: true,
    description: 'Null when the viewer may not watch, or nothing plays yet.',
  })
  playback(video: Video, _: unknown, context: OperationContext): MaybePromise<Playback | null> {
    return following(this.addresses(video, context), (addresses) => addresses?.playback ?? null);
  }

  @ResolveField(() => GraphQLUrl, {
    nullable: true,
    description: 'A JPEG to show before playing. Null until made. Works as long as the addresses of `playback`.',
  })
  posterUrl(video: Video, _: unknown, context: OperationContext): MaybePromise<string | null> {
    return following(this.addresses(video, context), (addresses) => addresses?.posterUrl ?? null);
  }

  @ResolveField(() => [Thumbnail], { description: 'Stills from the video, in order of time. Empty until made.' })
  thumbnails(video: Video, _: unknown, context: OperationContext): MaybePromise<Thumbnail[]> {
    return following(this.addresses(video, context), (addresses) => addresses?.thumbnails ?? []);
  }

  @ResolveField(() => GraphQLUrl, {
    nullable: true,
    description: 'Previews for the seek bar: WebVTT whose cues name tiles of JPEG sheets (`#xywh=`). Null until made.',
  })
  storyboardUrl(video: Video, _: unknown, context: OperationContext): MaybePromise<string | null> {
    return following(this.addresses(video, context), (addresses) => addresses?.storyboardUrl ?? null);
  }

  private addresses({ row }: Video, { actor, loaders }: OperationContext) {
    return following(this.channels.roleOfActor(actor, row.channelId, loaders), (role) => {
      const isFresh = canEdit(actor, role);
      const load = (ids: readonly string[]) =>
        isFresh ? this.playbacks.watchable(ids) : this.playbacks.recentlyWatchable(ids);
      const watchable = loaders.load(isFresh ? 'watchable' : 'recently watchable', load, row.id);
      return following(watchable, (found) => this.playbacks.addresses(row, actor, role, found));
    });
  }
}
