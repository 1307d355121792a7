import { Inject } from '@nestjs/common';
import {
  Args,
  ArgsType,
  Field,
  Float,
  ID,
  Int,
  Parent,
  Query,
  ResolveField,
  Resolver,
  Subscription,
} from '@nestjs/graphql';
import { Transform } from 'class-transformer';
import { IsOptional, Length, Max, Min, NotContains } from 'class-validator';
import { type Actor, Authenticated, CurrentActor, Public } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import {
  decodeId,
  encodeCursor,
  GraphQLUrl,
  Loaders,
  MAX_PAGE,
  Mutates,
  NodeResolver,
  type OperationContext,
  PageArgs,
  toConnection,
} from '../../common/graphql/index.js';
import { Live } from '../../common/live/index.js';
import { type RateLimit, RateLimits } from '../../common/rate-limits/index.js';
import { ChannelsService } from '../channels/index.js';
import { User } from '../users/index.js';
import { canEdit, Video, VideosService } from '../videos/index.js';
import { missingRanges, parseMultirange } from './byte-ranges.js';
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES, recommendedChunkBytes } from './chunk-size.js';
import { ChunksService, checkSignable } from './chunks.service.js';
import { TusIngress } from './tus-ingress.js';
import type { UploadSessionState } from './upload-session.entity.js';
import {
  ByteRange,
  ChunkResult,
  ChunkSize,
  type ChunkState,
  ChunkStateEnum,
  CommitChunksInput,
  CommitChunksPayload,
  CompleteUploadSessionInput,
  CompleteUploadSessionPayload,
  CreateUploadSessionInput,
  CreateUploadSessionPayload,
  DiscardRangesInput,
  UploadChunk,
  UploadChunkConnection,
  UploadSession,
  UploadSessionConnection,
  UploadSessionInput,
  UploadSessionPayload,
  UploadSessionStateEnum,
} from './uploads.graphql.js';
import { SESSIONS, type UploadSessionRow, UploadsService, uploadTopic } from './uploads.service.js';
import { wantedRanges } from './wanted-ranges.js';

/** Of one user. Each may name 500 chunks: a commit that looks at as many costs more. */
const COMMITS: RateLimit = { name: 'commitChunks', points: 6_000, seconds: 60 };
const CHUNKS_A_POINT = 50;

@ArgsType()
class RangesArgs {
  @Field(() => Int, { nullable: true, defaultValue: MAX_PAGE, description: 'How many, 1 to 100.' })
  @Transform(({ value }) => value ?? MAX_PAGE)
  @Min(1)
  @Max(MAX_PAGE)
  first: number = MAX_PAGE;
}

@ArgsType()
class ChunksArgs extends PageArgs {
  @Field(() => ChunkStateEnum, { nullable: true, description: 'Only those.' })
  @IsOptional()
  state?: ChunkState | null;
}

@ArgsType()
class UploadSessionsArgs extends PageArgs {
  @Field(() => UploadSessionStateEnum, { nullable: true, description: 'Only those.' })
  @IsOptional()
  state?: UploadSessionState | null;

  @Field(() => String, { nullable: true, description: 'Only those begun with this one.' })
  @IsOptional()
  @Length(1, 200)
  @NotContains('\0')
  fingerprint?: string | null;
}

@Resolver(() => UploadSession)
export class UploadsResolver {
  constructor(
    private readonly uploads: UploadsService,
    private readonly chunksService: ChunksService,
    private readonly videos: VideosService,
    private readonly live: Live,
    private readonly limits: RateLimits,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Query(() => UploadSession, { nullable: true, description: 'Null when it is missing, or not yours.' })
  @Public()
  async uploadSession(
    @Args('id', { type: () => ID }) id: string,
    @CurrentActor() actor: Actor | null,
  ): Promise<UploadSession | null> {
    return this.node(decodeId('UploadSession', id), actor);
  }

  @NodeResolver('UploadSession')
  async node(uuid: string, actor: Actor | null): Promise<UploadSession | null> {
    const row = await this.uploads.managed(uuid, actor);
    return row && UploadSession.of(row);
  }

  @Mutates(() => CreateUploadSessionPayload, {
    description: 'Begins an upload, with its video. The same idempotency key gives the same session.',
  })
  @Authenticated()
  async createUploadSession(
    @Args('input') input: CreateUploadSessionInput,
    @CurrentActor() actor: Actor,
  ): Promise<CreateUploadSessionPayload> {
    await this.limits.spend(SESSIONS, actor.userId);
    const channelId = decodeId('Channel', input.channelId, ['channelId']);
    checkSignable(input, input.next ?? []);
    const row = await this.uploads.create(actor, { ...input, channelId, visibility: input.visibility ?? 'PRIVATE' });
    const targets = row.state === 'OPEN' ? await this.chunksService.sign(row, input.next ?? []) : [];
    return Object.assign(new CreateUploadSessionPayload(), { session: UploadSession.of(row), targets });
  }

  @Mutates(() => CommitChunksPayload, {
    description: 'Counts chunks that are stored, notes those that failed, signs those that are next.',
  })
  @Authenticated()
  async commitChunks(
    @Args('input') input: CommitChunksInput,
    @CurrentActor() actor: Actor,
  ): Promise<CommitChunksPayload> {
    const stored = input.stored ?? [];
    await this.limits.spend(COMMITS, actor.userId, 1 + Math.floor(stored.length / CHUNKS_A_POINT));
    const { session, outcomes, targets } = await this.chunksService.commit(actor, sessionIdOf(input), {
      stored,
      failed: input.failed ?? [],
      next: input.next ?? [],
    });
    const results = outcomes.flatMap((outcome, index) => {
      const chunk = stored[index];
      return chunk ? [ChunkResult.of(chunk, outcome)] : [];
    });
    return Object.assign(new CommitChunksPayload(), { session: UploadSession.of(session), results, targets });
  }

  @Mutates(() => UploadSessionPayload, {
    description:
      'After a digest mismatch: takes back the chunks that contribute to these ranges, so that only they are sent again.',
  })
  @Authenticated()
  async discardRanges(
    @Args('input') input: DiscardRangesInput,
    @CurrentActor() actor: Actor,
  ): Promise<UploadSessionPayload> {
    return payload(await this.uploads.discard(actor, sessionIdOf(input), input.ranges));
  }

  @Mutates(() => UploadSessionPayload, { description: 'Notes that it is paused. What still arrives counts.' })
  @Authenticated()
  async pauseUploadSession(
    @Args('input') input: UploadSessionInput,
    @CurrentActor() actor: Actor,
  ): Promise<UploadSessionPayload> {
    return payload(await this.uploads.setPaused(actor, sessionIdOf(input), true));
  }

  @Mutates(() => UploadSessionPayload, { description: 'Takes the note away again.' })
  @Authenticated()
  async resumeUploadSession(
    @Args('input') input: UploadSessionInput,
    @CurrentActor() actor: Actor,
  ): Promise<UploadSessionPayload> {
    return payload(await this.uploads.setPaused(actor, sessionIdOf(input), false));
  }

  @Mutates(() => CompleteUploadSessionPayload, {
    description:
      'Answers COMPLETING; the digest is verified after, and uploadProgress tells. Repeating it is no error.',
  })
  @Authenticated()
  async completeUploadSession(
    @Args('input') input: CompleteUploadSessionInput,
    @CurrentActor() actor: Actor,
  ): Promise<CompleteUploadSessionPayload> {
    const row = await this.uploads.complete(actor, sessionIdOf(input), input.sha256 ?? null);
    const video = await this.videos.visible(row.videoId, actor);
    return Object.assign(new CompleteUploadSessionPayload(), {
      session: UploadSession.of(row),
      video: video && Video.of(video),
    });
  }

  @Mutates(() => UploadSessionPayload, {
    description: 'Gives it up, with its video and every byte. Repeating it is no error.',
  })
  @Authenticated()
  async cancelUploadSession(
    @Args('input') input: UploadSessionInput,
    @CurrentActor() actor: Actor,
  ): Promise<UploadSessionPayload> {
    return payload(await this.uploads.cancel(actor, sessionIdOf(input)));
  }

  @Subscription(() => UploadSession, {
    description: 'A state stream: the session as it is now, then as it becomes, at most 4 times a second.',
    resolve: (session: UploadSession) => session,
  })
  @Authenticated()
  uploadProgress(@Args('sessionId', { type: () => ID }) sessionId: string, @CurrentActor() actor: Actor) {
    const uuid = sessionIdOf({ sessionId });
    return this.live.stateStream({
      topic: uploadTopic(uuid),
      load: async () => {
        const session = await this.node(uuid, actor);
        // A part of the state: it also falls while nothing arrives, and whoever watches is told.
        if (session) session.rate = (await this.uploads.ratesOf([uuid])).get(uuid) ?? null;
        return session;
      },
    });
  }

  @ResolveField(() => [ByteRange], { description: 'What is committed: merged, sorted, half-open.' })
  committedRanges(@Parent() session: UploadSession, @Args() { first }: RangesArgs): ByteRange[] {
    return parseMultirange(session.row.covered).slice(0, first);
  }

  @ResolveField(() => [ByteRange], { description: 'What is still to be sent: merged, sorted, half-open.' })
  missingRanges(@Parent() session: UploadSession, @Args() { first }: RangesArgs): ByteRange[] {
    return missingRanges(parseMultirange(session.row.covered), session.row.sizeBytes).slice(0, first);
  }

  @ResolveField(() => [ByteRange], {
    description:
      'What processing would like next, most urgent first; a client may follow it or not. Empty while any order is as good.',
  })
  wantedRanges(@Parent() session: UploadSession): ByteRange[] {
    return wantedRanges(session.row);
  }

  @ResolveField(() => Boolean, {
    description: 'Whether a request brings bytes of it right now, which count once they are stored.',
  })
  async isReceiving(session: UploadSession, _: unknown, { loaders }: OperationContext): Promise<boolean> {
    const found = await loaders
      .loader('sessions that receive', (ids: readonly string[]) => this.uploads.receiving(ids))
      .load(session.row.id);
    return found !== null;
  }

  @ResolveField(() => GraphQLUrl, {
    description:
      'Takes bytes by tus 1.0, and keeps whatever arrived when a link is cut. Whoever has the address can use it: for this session alone.',
  })
  tusUrl(@Parent() session: UploadSession): string {
    return TusIngress.urlOf(session.row.id, this.config);
  }

  @ResolveField(() => UploadChunkConnection, {
    description: 'Its chunks in the order of the file. Empty once the original is put together.',
    complexity: 5,
  })
  async chunks(@Parent() session: UploadSession, @Args() args: ChunksArgs) {
    const page = await this.uploads.chunksOf(session.row.id, args.state ?? null, args.first, args.after);
    return toConnection(page, args, (row) => encodeCursor(row.offset, row.key), UploadChunk.of);
  }

  @ResolveField(() => Int, { description: 'How many chunks stand as FAILED.' })
  async failedChunkCount(session: UploadSession): Promise<number> {
    return this.uploads.failedChunkCount(session.row.id);
  }

  @ResolveField(() => ChunkSize, { description: 'What suits the measured link now, and the bounds.' })
  async chunkSize(session: UploadSession, _: unknown, { loaders }: OperationContext): Promise<ChunkSize> {
    return {
      recommendedBytes: recommendedChunkBytes(session.row.sizeBytes, await this.rate(session, loaders)),
      minBytes: MIN_CHUNK_BYTES,
      maxBytes: MAX_CHUNK_BYTES,
    };
  }

  @ResolveField(() => Float, {
    nullable: true,
    description: 'Over the last minute, as the server counted. Null when nothing arrived in it.',
  })
  async bytesPerSecond(session: UploadSession, _: unknown, { loaders }: OperationContext): Promise<number | null> {
    return this.rate(session, loaders);
  }

  @ResolveField(() => Int, {
    nullable: true,
    description: 'At that rate. Null when nothing arrived in the last minute, or nothing is missing.',
  })
  async secondsLeft(session: UploadSession, _: unknown, { loaders }: OperationContext): Promise<number | null> {
    const missing = session.sizeBytes - session.committedBytes;
    const rate = missing > 0 ? await this.rate(session, loaders) : null;
    return rate === null ? null : Math.min(2 ** 31 - 1, Math.ceil(missing / rate));
  }

  @ResolveField(() => Video, { description: 'Made with the session.' })
  async video(session: UploadSession, _: unknown, { loaders }: OperationContext): Promise<Video> {
    const row = await loaders
      .loader('videos of sessions', (ids: readonly string[]) => this.videos.withDeletedByIds(ids))
      .load(session.row.videoId);
    if (!row) throw new Error(`Upload session ${session.row.id} has no video.`);
    return Video.of(row);
  }

  private async rate(session: UploadSession, loaders: Loaders): Promise<number | null> {
    if (session.rate !== undefined) return session.rate;
    return loaders
      .loader('upload rates', async (ids: readonly string[]) => this.uploads.ratesOf(ids))
      .load(session.row.id);
  }
}

@Resolver(() => User)
export class UserUploadsResolver {
  constructor(private readonly uploads: UploadsService) {}

  @ResolveField(() => UploadSessionConnection, {
    description: 'Newest first. Empty for anybody else than the user.',
    complexity: 5,
  })
  async uploadSessions(@Parent() user: User, @Args() args: UploadSessionsArgs, @CurrentActor() actor: Actor | null) {
    const own = actor?.userId === user.row.id;
    const page = own
      ? await this.uploads.ofUser(user.row.id, args, args.first, args.after)
      : { rows: [], hasNextPage: false };
    return toConnection(page, args, ({ place }) => place, UploadSession.of);
  }
}

@Resolver(() => Video)
export class VideoUploadResolver {
  constructor(
    private readonly uploads: UploadsService,
    private readonly channels: ChannelsService,
  ) {}

  @ResolveField(() => UploadSession, { nullable: true, description: 'Null but for editors.' })
  async uploadSession(video: Video, _: unknown, { actor, loaders }: OperationContext): Promise<UploadSession | null> {
    if (!actor) return null;
    if (!canEdit(actor, await this.channels.roleOfActor(actor, video.row.channelId, loaders))) return null;
    const row = await loaders
      .loader('upload sessions of videos', async (ids: readonly string[]) => this.uploads.byVideoIds(ids))
      .load(video.row.id);
    return row && UploadSession.of(row);
  }
}

function sessionIdOf(input: { sessionId: string }): string {
  return decodeId('UploadSession', input.sessionId, ['sessionId']);
}

function payload(row: UploadSessionRow): UploadSessionPayload {
  return Object.assign(new UploadSessionPayload(), { session: UploadSession.of(row) });
}
