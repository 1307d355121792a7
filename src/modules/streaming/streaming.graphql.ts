import { Field, Int, ObjectType } from '@nestjs/graphql';
import { GraphQLDateTime, GraphQLUrl } from '../../common/graphql/index.js';

@ObjectType({
  description:
    'Where a video plays. The addresses carry their own permission and work without signing in, until `expiresAt` or until the video is closed to whoever has only them.',
})
export class Playback {
  @Field(() => GraphQLUrl, {
    description: 'HLS (RFC 8216): the multivariant playlist of all renditions that play by now.',
  })
  hlsUrl: string;

  @Field(() => GraphQLUrl, {
    description: 'DASH (ISO/IEC 23009-1): the static manifest of the same renditions and segments.',
  })
  dashUrl: string;

  @Field(() => GraphQLUrl, {
    description:
      'DASH with all renditions that will be, also those that have not begun. For players that keep to the renditions that are PLAYABLE by themselves, and so take up further ones without loading anew.',
  })
  plannedDashUrl: string;

  @Field(() => GraphQLUrl, {
    nullable: true,
    description:
      'One MP4 with picture and sound, to save. Null unless the video is `downloadable` and READY, and until it is made soon after.',
  })
  mp4Url: string | null;

  @Field(() => GraphQLUrl, { nullable: true, description: 'A JPEG to show before playing. Null until made.' })
  posterUrl: string | null;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description:
      'When the addresses end, hours from now: ask again before for new ones, which play on where the others end.',
  })
  expiresAt: Date | null;
}

@ObjectType({ description: 'A still from the video.' })
export class Thumbnail {
  @Field(() => GraphQLUrl, { description: 'A JPEG; works as long as the addresses of `playback`.' })
  url: string;

  @Field(() => Int, { description: 'Pixels.' })
  width: number;

  @Field(() => Int, { description: 'Pixels.' })
  height: number;

  @Field(() => Int, { description: 'Its moment in the video, in milliseconds.' })
  atMs: number;
}
