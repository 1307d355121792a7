import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../../common/database/index.js';
import { OnEvent } from '../../common/events/index.js';
import { HandlesJob, Jobs, type Share } from '../../common/jobs/index.js';
import { LiveEvents } from '../../common/live/index.js';
import { SubscriptionsService } from '../subscriptions/index.js';
import { LISTED, VideoPublished } from '../videos/index.js';
import { IS_TOLD } from './notification-kinds.js';
import { type FollowersBehind, TellFollowers } from './notifications.jobs.js';
import { FAN_OUT_TOPIC, type FanOutEvent } from './notifications.service.js';
import { Pushes } from './send-pushes.js';

/** With more followers none gets a row of his own: writing them would take longer than looking at one at each reading. */
export const ROWS_UP_TO = 10_000;
/** In one transaction: some 14 ms. Larger batches are no faster, and what is written beside them waits longer. */
export const BATCH = 1_000;
/** So few are named: whoever else listens then need not ask whether it is for them. */
const NAMED = 100;

/** The topic of what everybody may hear of a channel. */
export const channelTopic = (channelId: string): string => `channel:${channelId}`;
export interface ChannelEvent {
  readonly videoId: string;
}

/** A new video is told to the channel's followers: once, to who followed it when the telling began, while it stands in lists. */
@Injectable()
export class TellFollowersOfVideos {
  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly liveEvents: LiveEvents,
    private readonly subscriptions: SubscriptionsService,
    private readonly pushes: Pushes,
  ) {}

  @OnEvent(VideoPublished)
  async published({ videoId, channelId }: { videoId: string; channelId: string }): Promise<void> {
    const followers = (await this.subscriptions.countsOf([channelId])).get(channelId) ?? 0;
    const isBroadcast = followers > ROWS_UP_TO;
    await this.db.tx(async (tx) => {
      const made = await tx.query(
        `INSERT INTO channel_notification (cause, channel_id, is_broadcast, is_highlight)
         SELECT v.id, c.id, $3, v.is_highlight FROM channel c JOIN video v ON v.id = $1 AND ${LISTED} WHERE c.id = $2
         ON CONFLICT DO NOTHING RETURNING cause`,
        [videoId, channelId, isBroadcast],
      );
      // Told before: this job runs again. Or it is not public any more.
      if (made.length === 0) return;
      const event: ChannelEvent = { videoId };
      await this.liveEvents.append(tx, channelTopic(channelId), event);
      if (isBroadcast) await this.fanOut(tx, { cause: videoId, channelId });
      else await this.enqueue(tx, videoId, channelId, null);
      await this.pushes.toFollowers(tx, { videoId, channelId, after: null });
    });
  }

  /** One transaction: the rows, what tells of them live, and the next batch. */
  @HandlesJob(TellFollowers)
  async tell({ videoId, channelId, after }: FollowersBehind): Promise<void> {
    await this.db.tx(async (tx) => {
      const [batch] = await tx.query<{ count: number; last: string; told: string[] }>(
        // Each row has the time of its own writing: later than what was read by then.
        `WITH batch AS (
           SELECT s.user_id, ${IS_TOLD} AS is_told FROM channel_subscription s
           JOIN channel_notification c ON c.cause = $1 JOIN video v ON v.id = $1 AND ${LISTED}
           WHERE s.channel_id = $2 AND ($3::uuid IS NULL OR s.user_id > $3) ORDER BY s.user_id LIMIT $4
         ), told AS (
           INSERT INTO notification (recipient_id, cause, kind, channel_id, video_id, is_hidden)
           SELECT b.user_id, $1, 'NEW_VIDEO', $2, $1, NOT coalesce(p.inbox, true)
           FROM batch b LEFT JOIN notification_preference p ON p.user_id = b.user_id AND p.kind = 'NEW_VIDEO'
           WHERE b.is_told ORDER BY b.user_id
           ON CONFLICT DO NOTHING RETURNING recipient_id
         )
         SELECT count(*)::int AS count, (SELECT user_id FROM batch ORDER BY 1 DESC LIMIT 1) AS last,
                (SELECT coalesce(array_agg(recipient_id ORDER BY recipient_id), '{}') FROM told) AS told FROM batch`,
        [videoId, channelId, after, BATCH],
      );
      if (!batch) return;
      const { count, last, told } = batch;
      const to = told.length <= NAMED ? { to: told } : { lo: told[0], hi: told.at(-1) };
      if (told.length > 0) await this.fanOut(tx, { cause: videoId, channelId, ...to });
      if (count === BATCH) await this.enqueue(tx, videoId, channelId, last);
    });
  }

  private async fanOut(tx: Tx, event: FanOutEvent): Promise<void> {
    await this.liveEvents.append(tx, FAN_OUT_TOPIC, event);
  }

  /** Channels have turns: one with many followers delays no other. */
  private async enqueue(tx: Tx, videoId: string, channelId: string, after: string | null): Promise<void> {
    const share: Share = { owner: channelId, subject: videoId };
    const dedupeKey = `tell-followers:${videoId}:${after ?? ''}`;
    await this.jobs.enqueue(tx, TellFollowers, { videoId, channelId, after }, { dedupeKey, share });
  }
}
