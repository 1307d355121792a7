import { ResolveField, Resolver } from '@nestjs/graphql';
import { type Actor } from '../../common/access/index.js';
import { GraphQLUrl, Loaders, type OperationContext } from '../../common/graphql/index.js';
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
  async playback(video: Video, _: unknown, { actor, loaders }: OperationContext): Promise<Playback | null> {
    return (await this.addresses(video, actor, loaders))?.playback ?? null;
  }

  @ResolveField(() => GraphQLUrl, {
    nullable: true,
    description: 'A JPEG to show before playing. Null until made. Works as long as the addresses of `playback`.',
  })
  async posterUrl(video: Video, _: unknown, { actor, loaders }: OperationContext): Promise<string | null> {
    return (await this.addresses(video, actor, loaders))?.posterUrl ?? null;
  }

  @ResolveField(() => [Thumbnail], { description: 'Stills from the video, in order of time. Empty until made.' })
  async thumbnails(video: Video, _: unknown, { actor, loaders }: OperationContext): Promise<Thumbnail[]> {
    return (await this.addresses(video, actor, loaders))?.thumbnails ?? [];
  }

  @ResolveField(() => GraphQLUrl, {
    nullable: true,
    description: 'Previews for the seek bar: WebVTT whose cues name tiles of JPEG sheets (`#xywh=`). Null until made.',
  })
  async storyboardUrl(video: Video, _: unknown, { actor, loaders }: OperationContext): Promise<string | null> {
    return (await this.addresses(video, actor, loaders))?.storyboardUrl ?? null;
  }

  private async addresses({ row }: Video, actor: Actor | null, loaders: Loaders) {
    const [watchable, role] = await Promise.all([
      loaders.loader('watchable', async (ids: readonly string[]) => this.playbacks.watchable(ids)).load(row.id),
      this.channels.roleOfActor(actor, row.channelId, loaders),
    ]);
    return this.playbacks.addresses(row, actor, role, watchable);
  }
}
