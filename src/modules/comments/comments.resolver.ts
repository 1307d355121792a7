import { Args, ArgsType, Context, Field, ID, Int, Parent, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import { IsOptional } from 'class-validator';
import { type Actor, Authenticated, CurrentActor, Public } from '../../common/access/index.js';
import {
  type Connection,
  decodeId,
  following,
  GraphQLCursor,
  type MaybePromise,
  Mutates,
  NodeResolver,
  type OperationContext,
  PageArgs,
  SameForAll,
  toConnection,
} from '../../common/graphql/index.js';
import type { EventStream, LiveEvent } from '../../common/live/index.js';
import { type RateLimit, RateLimits, REACTIONS } from '../../common/rate-limits/index.js';
import { ChannelsService } from '../channels/index.js';
import { User, UsersService } from '../users/index.js';
import { Video, type VideoRow, VideosService } from '../videos/index.js';
import type { CommentEntity, Discussion } from './comment.entity.js';
import {
  AddCommentInput,
  Comment,
  CommentConnection,
  CommentEvent,
  type CommentNews,
  type CommentOrder,
  CommentOrderEnum,
  CommentPayload,
  DeleteCommentInput,
  DeleteCommentPayload,
  EditCommentInput,
  PinCommentInput,
  ReactToCommentInput,
} from './comments.graphql.js';
import { canDelete, canRewrite } from './comments.policy.js';
import { CommentsService } from './comments.service.js';

/** Far more than anybody has to say, and against floods only. */
const COMMENTS: RateLimit = { name: 'comments', points: 60, seconds: 60 };

@ArgsType()
class CommentsArgs extends PageArgs {
  @Field(() => CommentOrderEnum, { nullable: true, defaultValue: 'NEWEST', description: 'In which order.' })
  @IsOptional()
  orderBy?: CommentOrder | null;
}

const payload = (row: CommentEntity) => Object.assign(new CommentPayload(), { comment: Comment.of(row) });
const idOf = (input: { commentId: string }) => decodeId('Comment', input.commentId, ['commentId']);

@Resolver(() => Comment)
export class CommentsResolver {
  constructor(
    private readonly comments: CommentsService,
    private readonly channels: ChannelsService,
    private readonly users: UsersService,
    private readonly videos: VideosService,
    private readonly limits: RateLimits,
  ) {}

  @NodeResolver('Comment')
  async node(uuid: string, actor: Actor | null): Promise<Comment | null> {
    const row = await this.comments.visible(uuid, actor);
    return row && Comment.of(row);
  }

  @Authenticated()
  @Mutates(() => CommentPayload, { description: 'Says something under a video, or in reply to a comment.' })
  async addComment(@Args('input') input: AddCommentInput, @CurrentActor() actor: Actor): Promise<CommentPayload> {
    await this.limits.spend(COMMENTS, actor.userId);
    const { text, parentId, idempotencyKey = null } = input;
    const row = await this.comments.add(actor, {
      videoId: decodeId('Video', input.videoId, ['videoId']),
      parentId: parentId == null ? null : decodeId('Comment', parentId, ['parentId']),
      ...{ text, idempotencyKey },
    });
    return payload(row);
  }

  @Authenticated()
  @Mutates(() => CommentPayload, { description: 'For its author.' })
  async editComment(@Args('input') input: EditCommentInput, @CurrentActor() actor: Actor): Promise<CommentPayload> {
    await this.limits.spend(COMMENTS, actor.userId);
    return payload(await this.comments.edit(actor, idOf(input), input.text));
  }

  @Authenticated()
  @Mutates(() => DeleteCommentPayload, {
    description: 'For its author, and owners and editors of the channel. Repeating it is no error.',
  })
  async deleteComment(
    @Args('input') input: DeleteCommentInput,
    @CurrentActor() actor: Actor,
  ): Promise<DeleteCommentPayload> {
    await this.comments.delete(actor, idOf(input));
    return Object.assign(new DeleteCommentPayload(), { deletedCommentId: input.commentId });
  }

  @Authenticated()
  @Mutates(() => CommentPayload, {
    description: 'For owners and editors of the channel: puts a comment above all others, or takes it down.',
  })
  async pinComment(@Args('input') input: PinCommentInput, @CurrentActor() actor: Actor): Promise<CommentPayload> {
    return payload(await this.comments.pin(actor, idOf(input), input.pinned));
  }

  @Authenticated()
  @Mutates(() => CommentPayload, { description: 'Likes a comment, or does no more. Repeating it is no error.' })
  async reactToComment(
    @Args('input') input: ReactToCommentInput,
    @CurrentActor() actor: Actor,
  ): Promise<CommentPayload> {
    await this.limits.spend(REACTIONS, actor.userId);
    return payload(await this.comments.react(actor, idOf(input), input.like));
  }

  @Public()
  @SameForAll()
  @Subscription(() => CommentEvent, {
    description:
      'An event stream: what happens to the comments of a video, each event with the cursor to go on from. Without `after` it first says where it begins. Ends with NOT_FOUND when the video is gone or not yours to see any more.',
    resolve: (event: LiveEvent<CommentNews>, args: { videoId: string }) =>
      CommentEvent.of(decodeId('Video', args.videoId, ['videoId']), event),
  })
  videoComments(
    @Args('videoId', { type: () => ID, description: 'The video.' }) videoId: string,
    @Args('after', {
      type: () => GraphQLCursor,
      nullable: true,
      description: 'The cursor of the last event that you have. CURSOR_EXPIRED when it is too old: begin anew.',
    })
    after: string | null,
    @CurrentActor() actor: Actor | null,
  ): Promise<EventStream<CommentNews>> {
    return this.comments.news(actor, decodeId('Video', videoId, ['videoId']), after ?? null);
  }

  @SameForAll()
  @ResolveField(() => Comment, { nullable: true, description: 'What it answers. Null for what answers none.' })
  async parent({ row }: Comment, _: unknown, { loaders }: OperationContext): Promise<Comment | null> {
    if (row.parentId === null) return null;
    const parent = await loaders.load('comments', (ids: readonly string[]) => this.comments.byIds(ids), row.parentId);
    return parent && Comment.of(parent);
  }

  @SameForAll()
  @ResolveField(() => User, { nullable: true, description: 'Who wrote it. Null once it is deleted.' })
  async author({ row }: Comment, _: unknown, { actor, loaders }: OperationContext): Promise<User | null> {
    if (row.deletedAt !== null) return null;
    const user = await loaders.load('users', (ids: readonly string[]) => this.users.byIds(ids), row.authorId);
    return user && User.of(user, actor);
  }

  @ResolveField(() => CommentConnection, {
    description: 'What answers it, in the order in which it was written.',
    complexity: 5,
  })
  async replies(@Parent() { row }: Comment, @Args() args: PageArgs): Promise<Connection<Comment>> {
    const none = row.replyCount === 0;
    const page = none ? NOTHING : await this.comments.replies(row.id, args.first, args.after);
    return toConnection(page, args, ({ place }) => place, Comment.of);
  }

  @SameForAll()
  @ResolveField(() => Boolean, { description: 'It stands above all others of its video.' })
  pinned({ row }: Comment, _: unknown, { loaders }: OperationContext): MaybePromise<boolean> {
    const load = (ids: readonly string[]) => this.comments.discussions(ids);
    return following(loaders.load('discussions', load, row.videoId), (one) => one?.pinnedId === row.id);
  }

  @ResolveField(() => Boolean, { description: 'You like it.' })
  viewerHasLiked({ row }: Comment, _: unknown, { actor, loaders }: OperationContext): MaybePromise<boolean> {
    if (!actor) return false;
    const load = (ids: readonly string[]) => this.comments.likedBy(actor.userId, ids);
    return following(loaders.load('comments liked', load, row.id), Boolean);
  }

  @ResolveField(() => Boolean, { description: 'You may change its text.' })
  viewerCanEdit({ row }: Comment, _: unknown, { actor }: OperationContext): boolean {
    return row.deletedAt === null && canRewrite(actor, row.authorId);
  }

  @ResolveField(() => Boolean, { description: 'You may delete it.' })
  async viewerCanDelete({ row }: Comment, _: unknown, { actor, loaders }: OperationContext): Promise<boolean> {
    if (row.deletedAt !== null || !actor) return false;
    const video = await loaders.load('videos', (ids: readonly string[]) => this.videos.byIds(ids), row.videoId);
    return (
      video !== null && canDelete(actor, row.authorId, await this.channels.roleOfActor(actor, video.channelId, loaders))
    );
  }
}

@Resolver(() => CommentEvent)
export class CommentEventsResolver {
  constructor(private readonly comments: CommentsService) {}

  @SameForAll()
  @ResolveField(() => Comment, {
    nullable: true,
    description:
      'The comment as it is now, which may be later than the event. Null where nothing happened, or it went with its video.',
  })
  async comment({ commentRowId }: CommentEvent, _: unknown, { loaders }: OperationContext): Promise<Comment | null> {
    if (commentRowId === null) return null;
    const row = await loaders.load('comments', (ids: readonly string[]) => this.comments.byIds(ids), commentRowId);
    return row && Comment.of(row);
  }

  @SameForAll()
  @ResolveField(() => Int, {
    description: 'How many comments the video has now, with replies, without deleted ones.',
  })
  commentCount({ videoId }: CommentEvent, _: unknown, { loaders }: OperationContext): MaybePromise<number> {
    const load = (ids: readonly string[]) => this.comments.discussions(ids);
    return following(loaders.load('discussions', load, videoId), (one) => one?.comments ?? 0);
  }
}

/** A video may be come by without being the viewer's to see, by its upload for one: then it has no comments. */
@Resolver(() => Video)
export class VideoCommentsResolver {
  constructor(
    private readonly service: CommentsService,
    private readonly videos: VideosService,
  ) {}

  @ResolveField(() => CommentConnection, {
    description: 'What was said under it, without replies: those are in each comment.',
    complexity: 5,
  })
  async comments(
    @Parent() { row }: Video,
    @Args() args: CommentsArgs,
    @Context() context: OperationContext,
  ): Promise<Connection<Comment>> {
    const page = (await this.videos.isVisible(row, context))
      ? await this.service.ofVideo(row.id, args.orderBy ?? 'NEWEST', args.first, args.after)
      : NOTHING;
    return toConnection(page, args, ({ place }) => place, Comment.of);
  }

  @ResolveField(() => Int, { description: 'How many comments there are, with replies, without deleted ones.' })
  async commentCount({ row }: Video, _: unknown, context: OperationContext): Promise<number> {
    return (await this.discussion(row, context))?.comments ?? 0;
  }

  @ResolveField(() => Comment, { nullable: true, description: 'What stands above all others. Null for nothing.' })
  async pinnedComment({ row }: Video, _: unknown, context: OperationContext): Promise<Comment | null> {
    const pinnedId = (await this.discussion(row, context))?.pinnedId;
    if (!pinnedId) return null;
    const load = (ids: readonly string[]) => this.service.byIds(ids);
    const comment = await context.loaders.load('comments', load, pinnedId);
    return comment && Comment.of(comment);
  }

  private async discussion(row: VideoRow, context: OperationContext): Promise<Discussion | null> {
    if (!(await this.videos.isVisible(row, context))) return null;
    const load = (ids: readonly string[]) => this.service.discussions(ids);
    return context.loaders.load('discussions', load, row.id);
  }
}

const NOTHING = { rows: [], hasNextPage: false };
