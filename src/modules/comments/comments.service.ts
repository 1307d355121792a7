import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { columnsOf, Database, FIRST_UUID, type Sql, type Tx } from '../../common/database/index.js';
import { InvalidInput, NotFound } from '../../common/errors/index.js';
import { AFTER_STRAGGLERS, Events, OnEvent } from '../../common/events/index.js';
import { decodeCursor, type KeysetPage, pageOf } from '../../common/graphql/index.js';
import type { JobContext } from '../../common/jobs/index.js';
import { type EventStream, LiveEvents } from '../../common/live/index.js';
import { accessTopic, ChannelsService, NotAnEditor } from '../channels/index.js';
import { IdempotencyKeyReused } from '../uploads/index.js';
import { cleanLines } from '../users/index.js';
import { canEdit, VideoDeleted, type VideoRow, VideosService } from '../videos/index.js';
import { CommentEntity, type Discussion } from './comment.entity.js';
import { NoSecondLevel, NotYourComment } from './comments.errors.js';
import { CommentAdded } from './comments.events.js';
import type { CommentEventKind, CommentNews, CommentOrder } from './comments.graphql.js';
import { canDelete, canRewrite } from './comments.policy.js';

const MAX_TEXT = 2_000;
/** What is deleted stays in its list as long as there are replies to it. The same words as in two indexes. */
const SHOWN = 'c.parent_id IS NULL AND (c.deleted_at IS NULL OR c.reply_count > 0)';
/** Comments that one step looks at, and likes that one statement deletes. */
const A_STEP = 500;
const LIKES_AT_ONCE = 1_000;

/** The topic of what happens to the comments of a video. */
export const commentsTopic = (videoId: string): string => `comments:${videoId}`;

/**
 * Comments of two levels and who likes them. Each count is changed in the transaction of what it counts, and rows are
 * locked in one order: a reply, what it answers, the video's count, which is the last.
 */
@Injectable()
export class CommentsService {
  private readonly columns: string;

  constructor(
    private readonly db: Database,
    private readonly events: Events,
    private readonly liveEvents: LiveEvents,
    private readonly channels: ChannelsService,
    private readonly videos: VideosService,
  ) {
    this.columns = columnsOf(db, CommentEntity, 'c');
  }

  async byIds(ids: readonly string[], sql: Sql = this.db): Promise<Map<string, CommentEntity>> {
    const rows = await sql.query<CommentEntity>(`SELECT ${this.columns} FROM comment c WHERE c.id = ANY($1::uuid[])`, [
      ids,
    ]);
    return new Map(rows.map((row) => [row.id, row]));
  }

  /** The comment, also a deleted one, if the actor may see its video, else null. */
  async visible(id: string, actor: Actor | null): Promise<CommentEntity | null> {
    const comment = (await this.byIds([id])).get(id);
    return comment && (await this.videos.visible(comment.videoId, actor)) ? comment : null;
  }

  /**
   * The same key of the same author gives the comment of the first time.
   * @throws InvalidInput, NotFound (the video, or the parent), NoSecondLevel, IdempotencyKeyReused
   */
  async add(
    actor: Actor,
    input: { videoId: string; parentId: string | null; text: string; idempotencyKey: string | null },
  ): Promise<CommentEntity> {
    const { videoId, parentId, idempotencyKey } = input;
    const text = clean(input.text);
    const video = await this.videos.visible(videoId, actor);
    if (!video) throw new NotFound('video', ['videoId']);
    const hash = createHash('sha256')
      .update(JSON.stringify([videoId, parentId, text]))
      .digest();
    const before = await this.byKey(this.db, actor.userId, idempotencyKey, hash);
    if (before) return before;
    const made = await this.db
      .tx(async (tx) => {
        if (parentId !== null) await this.countReply(tx, videoId, parentId);
        const [made] = await tx.query<CommentEntity>(
          `INSERT INTO comment AS c (video_id, parent_id, author_id, text, idempotency_key, input_hash)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (author_id, idempotency_key) DO NOTHING RETURNING ${this.columns}`,
          [videoId, parentId, actor.userId, text, idempotencyKey, hash],
        );
        // The same key won a race: what this transaction counted goes with its roll-back.
        if (!made) throw new LostRace();
        await this.events.publish(tx, CommentAdded, {
          ...{ commentId: made.id, videoId, parentId },
          ...{ channelId: video.channelId, authorId: actor.userId },
        });
        await this.tell(tx, made, 'ADDED');
        await tx.query(
          `INSERT INTO video_discussion AS d (video_id, comments) VALUES ($1, 1)
         ON CONFLICT (video_id) DO UPDATE SET comments = d.comments + 1`,
          [videoId],
        );
        return made;
      })
      .catch((error: unknown) => {
        if (error instanceof LostRace) return this.byKey(this.db, actor.userId, idempotencyKey, hash);
        throw error;
      });
    if (!made) throw new Error('The comment that won the race is gone.');
    return made;
  }

  /** @throws InvalidInput, NotFound, NotYourComment */
  async edit(actor: Actor, id: string, said: string): Promise<CommentEntity> {
    const text = clean(said);
    const { comment } = await this.living(id, actor);
    if (!canRewrite(actor, comment.authorId)) throw new NotYourComment();
    return this.db.tx(async (tx) => {
      const [row] = await tx.query<CommentEntity>(
        `UPDATE comment c SET text = $2, edited_at = now()
         WHERE id = $1 AND deleted_at IS NULL AND text <> $2 RETURNING ${this.columns}`,
        [id, text],
      );
      const now = row ?? (await this.byIds([id], tx)).get(id);
      if (!now || now.deletedAt !== null) throw new NotFound('comment', ['commentId']);
      if (row) await this.tell(tx, row, 'EDITED');
      return now;
    });
  }

  /**
   * Takes its text away for good. Deleting what is deleted already is no error for who could have deleted it.
   * @throws NotFound, NotYourComment
   */
  async delete(actor: Actor, id: string): Promise<void> {
    const { comment, video } = await this.found(id, actor);
    const role = await this.channels.roleOf(actor.userId, video.channelId);
    if (!canDelete(actor, comment.authorId, role)) throw new NotYourComment();
    await this.db.tx(async (tx) => {
      const gone = await tx.query(
        `UPDATE comment SET deleted_at = now(), text = '', like_count = 0 WHERE id = $1 AND deleted_at IS NULL RETURNING id`,
        [id],
      );
      if (gone.length === 0) return;
      await this.tell(tx, comment, 'DELETED');
      if (comment.parentId !== null) {
        await tx.query('UPDATE comment SET reply_count = reply_count - 1 WHERE id = $1', [comment.parentId]);
      }
      await tx.query(
        `UPDATE video_discussion SET comments = comments - 1, pinned_id = nullif(pinned_id, $2) WHERE video_id = $1`,
        [comment.videoId, id],
      );
    });
  }

  /** @throws NotFound, NotAnEditor, NoSecondLevel */
  async pin(actor: Actor, id: string, pinned: boolean): Promise<CommentEntity> {
    const { comment, video } = await this.living(id, actor);
    if (!canEdit(actor, await this.channels.roleOf(actor.userId, video.channelId))) throw new NotAnEditor();
    if (comment.parentId !== null) throw new NoSecondLevel();
    await this.db.tx(async (tx) => {
      // Whoever deletes it waits, or was first.
      const there = await tx.query('SELECT id FROM comment WHERE id = $1 AND deleted_at IS NULL FOR SHARE', [id]);
      if (there.length === 0) throw new NotFound('comment', ['commentId']);
      const changed = await tx.query(
        pinned
          ? `UPDATE video_discussion SET pinned_id = $2 WHERE video_id = $1 AND pinned_id IS DISTINCT FROM $2 RETURNING video_id`
          : 'UPDATE video_discussion SET pinned_id = NULL WHERE video_id = $1 AND pinned_id = $2 RETURNING video_id',
        [comment.videoId, id],
      );
      if (changed.length > 0) await this.tell(tx, comment, pinned ? 'PINNED' : 'UNPINNED');
    });
    return comment;
  }

  /** Likes a comment, or does no more; what is so already stays so. @throws NotFound */
  async react(actor: Actor, id: string, like: boolean): Promise<CommentEntity> {
    const { comment } = await this.living(id, actor);
    return this.db.tx(async (tx) => {
      const changed = await tx.query(
        like
          ? 'INSERT INTO comment_like (comment_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING user_id'
          : 'DELETE FROM comment_like WHERE comment_id = $1 AND user_id = $2 RETURNING user_id',
        [id, actor.userId],
      );
      if (changed.length === 0) return (await this.byIds([id], tx)).get(id) ?? comment;
      const [row] = await tx.query<CommentEntity>(
        `UPDATE comment c SET like_count = like_count + $2 WHERE id = $1 AND deleted_at IS NULL RETURNING ${this.columns}`,
        [id, like ? 1 : -1],
      );
      if (!row) throw new NotFound('comment', ['commentId']);
      return row;
    });
  }

  /** Those that answer none. @param after cursor of the page before, in the same order */
  async ofVideo(
    videoId: string,
    order: CommentOrder,
    first: number,
    after?: string | null,
  ): Promise<KeysetPage<CommentEntity>> {
    if (order === 'TOP') {
      const [likes, time, id] = after ? decodeCursor(after, 'integer', 'time', 'uuid') : [];
      return this.page(
        first,
        `WHERE c.video_id = $1 AND ${SHOWN} ${id ? 'AND (c.like_count, c.created_at, c.id) < ($3::bigint, $4::timestamptz, $5::uuid)' : ''}
         ORDER BY c.like_count DESC, c.created_at DESC, c.id DESC LIMIT $2`,
        [videoId, first + 1, ...(id ? [likes, time, id] : [])],
        (row) => [row.likeCount, row.time, row.id],
      );
    }
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [];
    return this.page(
      first,
      `WHERE c.video_id = $1 AND ${SHOWN} ${id ? 'AND (c.created_at, c.id) < ($3::timestamptz, $4::uuid)' : ''}
       ORDER BY c.created_at DESC, c.id DESC LIMIT $2`,
      [videoId, first + 1, ...(id ? [time, id] : [])],
      (row) => [row.time, row.id],
    );
  }

  /** In the order in which they were written. @param after cursor of the page before */
  async replies(parentId: string, first: number, after?: string | null): Promise<KeysetPage<CommentEntity>> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [];
    return this.page(
      first,
      `WHERE c.parent_id = $1 AND c.deleted_at IS NULL ${id ? 'AND (c.created_at, c.id) > ($3::timestamptz, $4::uuid)' : ''}
       ORDER BY c.created_at, c.id LIMIT $2`,
      [parentId, first + 1, ...(id ? [time, id] : [])],
      (row) => [row.time, row.id],
    );
  }

  /** Of videos without comments there is none. */
  async discussions(videoIds: readonly string[]): Promise<Map<string, Discussion>> {
    const rows = await this.db.query<Discussion>(
      `SELECT video_id AS "videoId", comments, pinned_id AS "pinnedId" FROM video_discussion WHERE video_id = ANY($1::uuid[])`,
      [videoIds],
    );
    return new Map(rows.map((row) => [row.videoId, row]));
  }

  /** Those of the comments that the user likes. */
  async likedBy(userId: string, ids: readonly string[]): Promise<Map<string, true>> {
    const rows = await this.db.query<{ id: string }>(
      'SELECT comment_id AS id FROM comment_like WHERE user_id = $1 AND comment_id = ANY($2::uuid[])',
      [userId, ids],
    );
    return new Map(rows.map((row) => [row.id, true]));
  }

  /**
   * What happens to the comments of a video, as long as the actor may see it.
   * @param after cursor of the last event that is known
   * @throws NotFound; CursorExpired when it is not known any more what happened since
   */
  async news(actor: Actor | null, videoId: string, after: string | null): Promise<EventStream<CommentNews>> {
    const video = await this.videos.visible(videoId, actor);
    if (!video) throw new NotFound('video', ['videoId']);
    // Asked once of each change, so what is remembered from before it would hold for good.
    const ask = async () => {
      if (!(await this.videos.visibleNow(videoId, actor))) throw new NotFound('video', ['videoId']);
    };
    const access = { topic: [accessTopic(video.channelId), accessTopic(videoId)], ask };
    return this.liveEvents.stream<CommentNews>({ topic: commentsTopic(videoId), after, access });
  }

  /** What was said and liked under a video that is gone: likes ahead of what they are of, replies ahead of what they answer. */
  @OnEvent(VideoDeleted, AFTER_STRAGGLERS)
  async deleteDiscussion({ videoId }: { videoId: string }, { signal }: JobContext): Promise<void> {
    await this.db.query('DELETE FROM video_discussion WHERE video_id = $1', [videoId]);
    for await (const ids of this.allOf(videoId, signal)) {
      for (let gone = LIKES_AT_ONCE; gone === LIKES_AT_ONCE; ) {
        signal.throwIfAborted();
        const likes = await this.db.query(
          `DELETE FROM comment_like WHERE (comment_id, user_id) IN (SELECT l.* FROM unnest($1::uuid[]) c(id)
             CROSS JOIN LATERAL (SELECT comment_id, user_id FROM comment_like WHERE comment_id = c.id LIMIT $2) l LIMIT $2) RETURNING user_id`,
          [ids, LIKES_AT_ONCE],
        );
        gone = likes.length;
      }
      await this.db.query('DELETE FROM comment WHERE id = ANY($1::uuid[]) AND parent_id IS NOT NULL', [ids]);
    }
    for await (const ids of this.allOf(videoId, signal)) {
      await this.db.query('DELETE FROM comment WHERE id = ANY($1::uuid[])', [ids]);
    }
  }

  /** The ids of a video's comments, some at a time, each once: none is looked at again because others are gone. */
  private async *allOf(videoId: string, signal: AbortSignal): AsyncGenerator<string[]> {
    for (let after: string | undefined = FIRST_UUID; after; ) {
      signal.throwIfAborted();
      const rows: { id: string }[] = await this.db.query<{ id: string }>(
        'SELECT id FROM comment WHERE video_id = $1 AND id > $2 ORDER BY id LIMIT $3',
        [videoId, after, A_STEP],
      );
      if (rows.length > 0) yield rows.map(({ id }) => id);
      after = rows.at(-1)?.id;
    }
  }

  /** The comment and its video. @throws NotFound when it is missing, or not the actor's to see */
  private async found(id: string, actor: Actor): Promise<{ comment: CommentEntity; video: VideoRow }> {
    const comment = (await this.byIds([id])).get(id);
    const video = comment && (await this.videos.visible(comment.videoId, actor));
    if (!comment || !video) throw new NotFound('comment', ['commentId']);
    return { comment, video };
  }

  /** The same, of what is not deleted. */
  private async living(id: string, actor: Actor): Promise<{ comment: CommentEntity; video: VideoRow }> {
    const found = await this.found(id, actor);
    if (found.comment.deletedAt !== null) throw new NotFound('comment', ['commentId']);
    return found;
  }

  private async byKey(sql: Sql, authorId: string, key: string | null, hash: Buffer): Promise<CommentEntity | null> {
    if (key === null) return null;
    const [row] = await sql.query<CommentEntity>(
      `SELECT ${this.columns} FROM comment c WHERE c.author_id = $1 AND c.idempotency_key = $2`,
      [authorId, key],
    );
    if (row && !row.inputHash?.equals(hash)) throw new IdempotencyKeyReused();
    return row ?? null;
  }

  /** @throws NotFound, NoSecondLevel */
  private async countReply(tx: Tx, videoId: string, parentId: string): Promise<void> {
    const [parent] = await tx.query<{ parentId: string | null }>(
      `UPDATE comment SET reply_count = reply_count + 1 WHERE id = $1 AND video_id = $2 AND deleted_at IS NULL
       RETURNING parent_id AS "parentId"`,
      [parentId, videoId],
    );
    if (!parent) throw new NotFound('comment', ['parentId']);
    if (parent.parentId !== null) throw new NoSecondLevel();
  }

  private async tell(tx: Tx, { id, videoId }: CommentEntity, kind: CommentEventKind): Promise<void> {
    const news: CommentNews = { videoId, commentId: id, kind };
    await this.liveEvents.append(tx, commentsTopic(videoId), news);
  }

  private async page(
    first: number,
    where: string,
    parameters: readonly unknown[],
    place: (row: CommentEntity & { time: string }) => readonly (string | number)[],
  ): Promise<KeysetPage<CommentEntity>> {
    const rows = await this.db.query<CommentEntity & { time: string }>(
      `SELECT ${this.columns}, c.created_at::text AS time FROM comment c ${where}`,
      parameters,
    );
    return pageOf(rows, first, place);
  }
}

class LostRace extends Error {}

/** @throws InvalidInput */
function clean(said: string): string {
  const text = cleanLines(said, 'text', MAX_TEXT);
  if (!/[\p{L}\p{N}\p{P}\p{S}]/u.test(text)) throw new InvalidInput('text must not be empty.', ['text']);
  return text;
}
