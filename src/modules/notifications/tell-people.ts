import { Injectable } from '@nestjs/common';
import { Database, type Sql } from '../../common/database/index.js';
import { OnEvent } from '../../common/events/index.js';
import type { ChannelRole } from '../channels/index.js';
import { CommentAdded, CommentsService } from '../comments/index.js';
import { ChannelFollowed } from '../subscriptions/index.js';
import { VideoFailed, VideoReady, VideosService } from '../videos/index.js';
import { causeOf } from './cause.js';
import type { NotificationKind } from './notification-kinds.js';
import { NotificationsService } from './notifications.service.js';

/** What concerns few people is told to each of them. */
@Injectable()
export class TellPeople {
  constructor(
    private readonly db: Database,
    private readonly notifications: NotificationsService,
    private readonly videos: VideosService,
    private readonly comments: CommentsService,
  ) {}

  @OnEvent(VideoReady)
  async ready({ videoId, run }: { videoId: string; run: number }): Promise<void> {
    await this.tellUploader(videoId, run, 'UPLOAD_FINISHED');
  }

  @OnEvent(VideoFailed)
  async failed({ videoId, run }: { videoId: string; run: number }): Promise<void> {
    await this.tellUploader(videoId, run, 'UPLOAD_FAILED');
  }

  private async tellUploader(videoId: string, run: number, kind: NotificationKind): Promise<void> {
    await this.db.tx(async (tx) => {
      const video = await this.videos.byId(tx, videoId);
      if (!video) return;
      const { channelId, ownerId } = video;
      const cause = causeOf(kind, videoId, run);
      await this.notifications.tell(tx, { recipientIds: [ownerId], cause, kind, channelId, videoId });
    });
  }

  /** A reply is told to whom it answers, anything else to who looks after the channel; nobody is told of his own words. */
  @OnEvent(CommentAdded)
  async commented({ commentId, videoId, channelId, parentId, authorId }: CommentNews): Promise<void> {
    await this.db.tx(async (tx) => {
      const comment = (await this.comments.byIds([commentId], tx)).get(commentId);
      if (!comment || comment.deletedAt) return;
      const parent = parentId && (await this.comments.byIds([parentId], tx)).get(parentId);
      const told = parent ? [parent.authorId] : await this.membersOf(tx, channelId, ['OWNER', 'EDITOR']);
      await this.notifications.tell(tx, {
        recipientIds: told.filter((id) => id !== authorId),
        cause: commentId,
        kind: parentId ? 'REPLY' : 'COMMENT',
        ...{ channelId, videoId, commentId, actorId: authorId },
      });
    });
  }

  /** Once for each follower, however often they leave and come back. */
  @OnEvent(ChannelFollowed)
  async followed({ channelId, userId }: { channelId: string; userId: string }): Promise<void> {
    await this.db.tx(async (tx) => {
      const owners = await this.membersOf(tx, channelId, ['OWNER']);
      const cause = causeOf('NEW_FOLLOWER', channelId, userId);
      const recipientIds = owners.filter((id) => id !== userId);
      await this.notifications.tell(tx, { recipientIds, cause, kind: 'NEW_FOLLOWER', channelId, actorId: userId });
    });
  }

  private async membersOf(sql: Sql, channelId: string, roles: readonly ChannelRole[]): Promise<string[]> {
    const rows = await sql.query<{ id: string }>(
      'SELECT user_id AS id FROM channel_member WHERE channel_id = $1 AND role = ANY($2) AND accepted_at IS NOT NULL',
      [channelId, roles],
    );
    return rows.map(({ id }) => id);
  }
}

type CommentNews = NonNullable<(typeof CommentAdded)['payload']>;
