import { ResolveField, Resolver } from '@nestjs/graphql';
import { following, GraphQLUrl, type MaybePromise, type OperationContext } from '../../common/graphql/index.js';
import { ChannelsService } from '../channels/index.js';
import { Video } from '../videos/index.js';
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
    const load = (ids: readonly string[]) => this.playbacks.watchable(ids);
    const watchable = loaders.load('watchable', load, row.id);
    const role = this.channels.roleOfActor(actor, row.channelId, loaders);
    // Both are waited for at once: of two that fail, neither may be left without anybody who looks.
    if (role instanceof Promise) {
      return Promise.all([watchable, role]).then(([found, role]) => this.playbacks.addresses(row, actor, role, found));
    }
    return following(watchable, (found) => this.playbacks.addresses(row, actor, role, found));
  }
}
