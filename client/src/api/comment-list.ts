import type { Api } from './api.js';
import type { Follower } from './follow.js';
import { joined, type ListView, LiveList } from './live-list.js';
import { ApiError, accepted } from './operation.js';
import {
  AddComment,
  CommentReplies,
  DeleteComment,
  EditComment,
  LiveComments,
  type LiveCommentsSubscription,
  type OwnCommentPartsFragment,
  PinComment,
  ReactToComment,
  VideoComments,
  type VideoCommentsQuery,
} from './operations.js';

/** A comment as somebody sees it, with the replies that were asked for. */
export interface CommentView extends OwnCommentPartsFragment {
  /** In the order in which they were written; null until `loadReplies`, where there are any. */
  readonly replies: readonly CommentView[] | null;
  readonly hasMoreReplies: boolean;
}

export interface CommentsView extends ListView {
  /** Those that answer none, in the chosen order; new ones come on top. */
  readonly comments: readonly CommentView[];
  /** What stands above all others; it may be among `comments` too. */
  readonly pinned: CommentView | null;
  /** With replies. */
  readonly commentCount: number;
}

export interface CommentListOptions {
  videoId: string;
  orderBy?: 'NEWEST' | 'TOP';
  /** 20 unless given; 100 at most. */
  pageSize?: number;
}

type Parts = OwnCommentPartsFragment;
type News = LiveCommentsSubscription['videoComments'];
type Page = NonNullable<VideoCommentsQuery['video']> & { viewerId: string | null };

const NOTHING: CommentsView = {
  state: 'loading',
  comments: [],
  pinned: null,
  commentCount: 0,
  hasMore: false,
  error: null,
};
const RETRY_MS = 2_000;
const ATTEMPTS = 5;
/** Replies that come by themselves to a thread of so many are behind `hasMoreReplies`. */
const MOST_REPLIES = 500;

/** The comments of a video, kept as they are on the server as long as it runs. */
export class CommentList extends LiveList<CommentsView, CommentView, News, Page> {
  /** Its owners and editors may delete what others say. */
  private mayModerate = false;
  private viewerId: string | null = null;
  /** Where the replies go on that were read, by comment. */
  private readonly repliesAfter = new Map<string, string>();
  /** The latest deed of a kind with a comment: older ones are not sent again. */
  private readonly latest = new Map<string, symbol>();

  constructor(
    private readonly api: Api,
    private readonly options: CommentListOptions,
  ) {
    super(NOTHING, options.pageSize ?? 20);
  }

  /** The next page of replies to a comment. */
  readonly loadReplies = async (commentId: string): Promise<void> => {
    for (let isOver = false; !isOver; ) {
      const after = this.repliesAfter.get(commentId) ?? null;
      const first = this.options.pageSize ?? 20;
      let shown = false;
      await this.answered(this.api.request(CommentReplies, { commentId, first, after }), ({ node }) => {
        shown = true;
        isOver = true;
        if (!node || !('replies' in node) || !node.replies) return;
        const { nodes, pageInfo } = node.replies;
        if (pageInfo.endCursor) this.repliesAfter.set(commentId, pageInfo.endCursor);
        const before = this.find(commentId)?.replies ?? [];
        const replies = joined(before, nodes.map(viewOf));
        // What came by itself is behind the last page that was read, and in the next one.
        isOver = replies.length > before.length || !pageInfo.hasNextPage;
        this.replaceEach(commentId, (comment) => ({ ...comment, replies, hasMoreReplies: pageInfo.hasNextPage }));
      });
      if (!shown) return;
    }
  };

  /** Sends it until it is answered, and it is said once. @throws ApiError */
  readonly add = async (text: string, parentId: string | null = null): Promise<void> => {
    // Not `crypto.randomUUID`: pages without https have none.
    const idempotencyKey = crypto.getRandomValues(new Uint32Array(4)).join('-');
    const input = { videoId: this.options.videoId, parentId, text, idempotencyKey };
    const { addComment } = await this.persist(() => this.api.request(AddComment, { input }));
    const { comment } = accepted(addComment);
    if (comment) this.change(() => this.put(comment));
  };

  /** @throws ApiError */
  readonly edit = async (commentId: string, text: string): Promise<void> => {
    const ask = () => this.api.request(EditComment, { input: { commentId, text } });
    const answer = await this.latestOf(`edit ${commentId}`, ask);
    if (answer) this.took(accepted(answer.editComment).comment);
  };

  /** @throws ApiError */
  readonly remove = async (commentId: string): Promise<void> => {
    const { deleteComment } = await this.persist(() => this.api.request(DeleteComment, { input: { commentId } }));
    accepted(deleteComment);
  };

  /** @throws ApiError */
  readonly like = async (commentId: string, like = true): Promise<void> => {
    const ask = () => this.api.request(ReactToComment, { input: { commentId, like } });
    const answer = await this.latestOf(`like ${commentId}`, ask);
    if (answer) this.took(accepted(answer.reactToComment).comment);
  };

  /** @throws ApiError */
  readonly pin = async (commentId: string, pinned = true): Promise<void> => {
    const ask = () => this.api.request(PinComment, { input: { commentId, pinned } });
    const answer = await this.latestOf('pin', ask);
    if (answer) accepted(answer.pinComment);
  };

  protected listen(follower: Follower<News>): () => void {
    return this.api.follow(LiveComments, { videoId: this.options.videoId }, follower);
  }

  protected async ask(first: number, after: string | null, signal: AbortSignal): Promise<Page> {
    const { videoId, orderBy = 'NEWEST' } = this.options;
    const { video, viewer } = await this.api.request(VideoComments, { videoId, orderBy, first, after }, signal);
    if (!video) throw new ApiError('NOT_FOUND', 'There is no such video, or it is not yours to see.');
    return { ...video, viewerId: viewer?.id ?? null };
  }

  protected infoOf(page: Page) {
    return page.comments.pageInfo;
  }

  protected shown(page: Page, kept: readonly CommentView[]): Partial<CommentsView> {
    this.mayModerate = page.viewerCanEdit;
    this.viewerId = page.viewerId;
    if (kept.length === 0) this.repliesAfter.clear();
    return {
      comments: joined(kept, page.comments.nodes.map(viewOf)),
      pinned: page.pinnedComment ? viewOf(page.pinnedComment) : null,
      commentCount: page.commentCount,
    };
  }

  protected itemsOf(view: CommentsView): readonly CommentView[] {
    return view.comments;
  }

  protected withItems(comments: readonly CommentView[]): Partial<CommentsView> {
    return comments.length === 0 ? { comments, pinned: null } : { comments };
  }

  protected apply({ kind, comment, commentCount }: News): void {
    this.show({ commentCount });
    if (!comment) return;
    const { parent, ...parts } = comment;
    if (parent) this.replaceEach(parent.id, (view) => ({ ...view, replyCount: parent.replyCount }));
    const { pinned } = this.read();
    const known = this.find(comment.id) ?? (pinned?.id === comment.id ? pinned : null);
    const isThere = comment.deletedAt === null;
    const isOwn = comment.author !== null && comment.author?.id === this.viewerId;
    const seen: Parts = {
      ...parts,
      viewerHasLiked: known?.viewerHasLiked ?? false,
      viewerCanEdit: isThere && isOwn,
      viewerCanDelete: isThere && (isOwn || this.mayModerate),
    };
    // Of all kinds only this one means more than the comment says itself: others may come in another order than they happened.
    if (kind === 'ADDED') this.put(seen);
    else this.replace(seen);
    if (isThere && comment.pinned) {
      this.show({ pinned: viewOf(seen), comments: this.read().comments.map((one) => withPin(one, comment.id)) });
    } else if (pinned?.id === comment.id) this.show({ pinned: null });
  }

  private took(comment: Parts | null | undefined): void {
    if (comment) this.change(() => this.replace(comment));
  }

  /** Repeats what never reached the server, unless something newer of its kind was begun: then it gives null. */
  private latestOf<T>(kind: string, ask: () => Promise<T>): Promise<T | null> {
    const own = Symbol();
    this.latest.set(kind, own);
    return this.persist<T | null>(async () => (this.latest.get(kind) === own ? ask() : null)).finally(() => {
      if (this.latest.get(kind) === own) this.latest.delete(kind);
    });
  }

  private async persist<T>(ask: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 'OFFLINE' || attempt === ATTEMPTS) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS * attempt * Math.random()));
      }
    }
  }

  /** Where it belongs, once; in its place when it is there already. */
  private put(comment: Parts): void {
    if (this.find(comment.id)) this.replace(comment);
    else if (comment.deletedAt === null && comment.parentId === null) this.putFirst(viewOf(comment));
    else if (comment.deletedAt === null && comment.parentId !== null) {
      this.replaceEach(comment.parentId ?? '', (parent) => {
        // What is behind a page that was not read comes with it.
        if (!parent.replies || parent.hasMoreReplies) return parent;
        if (parent.replies.length >= MOST_REPLIES) return { ...parent, hasMoreReplies: true };
        return { ...parent, replies: [...parent.replies, viewOf(comment)] };
      });
    }
  }

  private replace(comment: Parts): void {
    const isGone = comment.deletedAt !== null && comment.replyCount === 0;
    this.replaceEach(comment.id, (view) => (isGone ? null : { ...view, ...comment }));
    const { pinned } = this.read();
    if (pinned?.id === comment.id) this.show({ pinned: { ...pinned, ...comment } });
  }

  private find(id: string): CommentView | null {
    for (const comment of this.read().comments) {
      if (comment.id === id) return comment;
      const reply = comment.replies?.find((one) => one.id === id);
      if (reply) return reply;
    }
    return null;
  }

  /** @param make null: it is not there any more */
  private replaceEach(id: string, make: (comment: CommentView) => CommentView | null): void {
    const through = (list: readonly CommentView[]): CommentView[] =>
      list.flatMap((one) => {
        const made = one.id === id ? make(one) : one;
        if (!made) return [];
        // A place without words is there for its replies alone.
        if (made.deletedAt !== null && made.replyCount === 0) return [];
        return [made.replies ? { ...made, replies: through(made.replies) } : made];
      });
    this.show({ comments: through(this.read().comments) });
  }
}

const viewOf = (parts: Parts): CommentView => ({
  ...parts,
  replies: parts.replyCount === 0 ? [] : null,
  hasMoreReplies: parts.replyCount > 0,
});

function withPin(comment: CommentView, pinnedId: string): CommentView {
  const pinned = comment.id === pinnedId;
  return comment.pinned === pinned ? comment : { ...comment, pinned };
}
