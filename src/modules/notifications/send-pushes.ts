import { Inject, Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database, type Tx } from '../../common/database/index.js';
import { HandlesJob, type JobContext, type JobRequest, Jobs, type Share } from '../../common/jobs/index.js';
import { ChannelsService } from '../channels/index.js';
import { CommentsService } from '../comments/index.js';
import { UsersService } from '../users/index.js';
import { canWatch, VideosService } from '../videos/index.js';
import { IS_TOLD } from './notification-kinds.js';
import { FindPushes, type FollowersBehind, type PushBatch, SendPushes } from './notifications.jobs.js';
import { pushes } from './notifications.metrics.js';
import { retryInSeconds, type Verdict, verdictOf } from './push-delivery.js';
import { messageOf, type PushSubject, type Shown, topicOf } from './push-message.js';
import { PushServices, type PushTarget, type VapidKeys } from './push-services.js';
import { PushSubscriptionsService } from './push-subscriptions.service.js';

/** Followers looked at in one transaction, as many as are told by rows. */
const FOLLOWERS = 1_000;
/** Subscriptions of one job: what a worker that is killed sends again, at the most. */
const BATCH = 100;
const AT_ONCE = 20;
/** What could not be delivered for so long is of no use any more. */
const USEFUL = `interval '1 day'`;
/** Who answered nothing but failures for so long is as good as gone. */
const DEAD = `interval '14 days'`;

interface Target extends PushTarget {
  readonly id: string;
  readonly userId: string;
  /** Of use for so long yet. */
  readonly seconds: number;
}
interface Outcome {
  readonly target: Target;
  readonly verdict: Verdict;
  readonly retryAfterSeconds: number | null;
}

/** The condition, on a push subscription `p`, with the kind as the parameter of this number. */
const isWanted = (kind: number) =>
  `coalesce((SELECT f.push FROM notification_preference f WHERE f.user_id = p.user_id AND f.kind = $${kind}), true)`;

/**
 * Pushes, at least once each: a batch that was interrupted is sent again, and the tag, the same each time, makes browsers and push
 * services show it as one.
 */
@Injectable()
export class Pushes {
  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly subscriptions: PushSubscriptionsService,
    private readonly services: PushServices,
    private readonly videos: VideosService,
    private readonly channels: ChannelsService,
    private readonly comments: CommentsService,
    private readonly users: UsersService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** Some people, who were told in this transaction. */
  async toPeople(tx: Tx, subject: PushSubject, userIds: readonly string[]): Promise<void> {
    if (userIds.length === 0) return;
    const rows = await tx.query<{ id: string; at: Date }>(
      `SELECT p.id, now() AS at FROM push_subscription p WHERE p.user_id = ANY($1::uuid[]) AND ${isWanted(2)} ORDER BY p.id`,
      [userIds, subject.kind],
    );
    for (const batch of batchesOf(rows)) {
      const [{ at }] = batch;
      await this.jobs.enqueue(tx, SendPushes, {
        subject,
        at: at.toISOString(),
        subscriptionIds: batch.map(({ id }) => id),
        attempt: 1,
      });
    }
  }

  /** All followers, however many: whether they have rows or not. */
  async toFollowers(tx: Tx, { videoId, channelId, after }: FollowersBehind): Promise<void> {
    const dedupeKey = `find-pushes:${videoId}:${after ?? ''}`;
    const share: Share = { owner: channelId, subject: videoId };
    await this.jobs.enqueue(tx, FindPushes, { videoId, channelId, after }, { dedupeKey, share });
  }

  /** One transaction: jobs for the subscriptions of as many followers as it looks at, and the next of its kind. */
  @HandlesJob(FindPushes)
  async find({ videoId, channelId, after }: FollowersBehind): Promise<void> {
    await this.db.tx(async (tx) => {
      const [found] = await tx.query<{ count: number; last: string; at: Date; ids: string[] }>(
        `WITH batch AS (
           SELECT s.user_id, ${IS_TOLD} AS is_told, c.created_at FROM channel_subscription s
           JOIN channel_notification c ON c.cause = $1
           WHERE s.channel_id = $2 AND ($3::uuid IS NULL OR s.user_id > $3) ORDER BY s.user_id LIMIT $4)
         SELECT count(*)::int AS count, (SELECT user_id FROM batch ORDER BY 1 DESC LIMIT 1) AS last, max(created_at) AS at,
                (SELECT coalesce(array_agg(p.id ORDER BY p.user_id, p.id), '{}') FROM batch b
                 JOIN push_subscription p ON p.user_id = b.user_id WHERE b.is_told AND ${isWanted(5)}) AS ids
         FROM batch`,
        [videoId, channelId, after, FOLLOWERS, 'NEW_VIDEO'],
      );
      if (!found || found.count === 0) return;
      const subject: PushSubject = {
        ...{ cause: videoId, kind: 'NEW_VIDEO', channelId, videoId },
        ...{ commentId: null, actorId: null },
      };
      const requests = [...batchesOf(found.ids)].map(
        (subscriptionIds): JobRequest<PushBatch> => ({
          definition: SendPushes,
          payload: { subject, at: found.at.toISOString(), subscriptionIds, attempt: 1 },
          dedupeKey: `push:${videoId}:${subscriptionIds[0]}`,
        }),
      );
      await this.jobs.enqueueAll(tx, requests, { owner: channelId, subject: videoId });
      if (found.count === FOLLOWERS) await this.toFollowers(tx, { videoId, channelId, after: found.last });
    });
  }

  @HandlesJob(SendPushes)
  async send(batch: PushBatch, { jobId, signal }: JobContext): Promise<void> {
    const targets = await this.targetsOf(batch);
    if (targets.length === 0) return;
    const keys = await this.subscriptions.keys();
    const messages = await this.messagesFor(batch.subject, targets);
    const outcomes: Outcome[] = [];
    const waiting = targets.filter(({ userId }) => messages.has(userId));
    const work = async () => {
      for (let target = waiting.shift(); target; target = waiting.shift()) {
        signal.throwIfAborted();
        const message = messages.get(target.userId) as string;
        outcomes.push(await this.deliver(target, message, { keys, topic: topicOf(batch.subject.cause), signal }));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    // A stop looks like a failure of the service's.
    signal.throwIfAborted();
    await this.settle(batch, outcomes, jobId);
  }

  /** Those that are still there, of people who are still signed in there and still want it, while it is of use. */
  private async targetsOf({ subject, at, subscriptionIds }: PushBatch): Promise<Target[]> {
    return this.db.query<Target>(
      `SELECT p.id, p.user_id AS "userId", p.endpoint, p.p256dh, p.auth,
              ceil(extract(epoch FROM $2::timestamptz + ${USEFUL} - now()))::int AS seconds
       FROM push_subscription p JOIN login_session s ON s.id = p.session_id AND s.revoked_at IS NULL AND s.expires_at > now()
       WHERE p.id = ANY($1::uuid[]) AND ${isWanted(3)} AND $2::timestamptz + ${USEFUL} > now()`,
      [subscriptionIds, at, subject.kind],
    );
  }

  /** By recipient, with what each may see now. Nothing for a video or comment that is gone, or not public any more. */
  private async messagesFor(subject: PushSubject, targets: readonly Target[]): Promise<Map<string, string>> {
    const { kind, videoId, channelId, commentId, actorId } = subject;
    const [video, channel, comment, actor] = await Promise.all([
      videoId ? this.videos.byId(this.db, videoId) : null,
      channelId ? this.channels.byId(channelId) : null,
      commentId ? this.comments.byIds([commentId]).then((found) => found.get(commentId)) : null,
      actorId ? this.users.byId(actorId) : null,
    ]);
    if ((videoId && !video) || (commentId && (!comment || comment.deletedAt))) return new Map();
    const isOpen = !video || canWatch(video, null, null, video.readAt);
    if (kind === 'NEW_VIDEO' && !(isOpen && video?.visibility === 'PUBLIC')) return new Map();
    const shown: Shown = {
      title: video?.title || undefined,
      channel: channel?.name || undefined,
      actor: actor?.displayName || undefined,
      text: comment?.text || undefined,
    };
    const messages = new Map<string, string>();
    for (const userId of new Set(targets.map((target) => target.userId))) {
      let maySee = isOpen;
      if (!maySee && video) {
        const recipient: Actor = { userId, sessionId: '', role: 'MEMBER' };
        const role = await this.channels.roleOf(userId, video.channelId);
        maySee = canWatch(video, recipient, role, video.readAt);
      }
      messages.set(userId, messageOf(subject, this.config.publicUrl, maySee ? shown : null));
    }
    return messages;
  }

  private async deliver(
    target: Target,
    message: string,
    options: { keys: VapidKeys; topic: string; signal: AbortSignal },
  ): Promise<Outcome> {
    try {
      const answer = await this.services.send(target, message, { ...options, seconds: target.seconds });
      return { target, verdict: verdictOf(answer.status), retryAfterSeconds: answer.retryAfterSeconds };
    } catch {
      // No connection, or no answer in time, whatever is the cause: it says nothing about this push.
      return { target, verdict: 'later', retryAfterSeconds: null };
    }
  }

  /** What became of a batch, and what of it is tried again: services that fail do not hold up each other's. */
  private async settle(batch: PushBatch, outcomes: readonly Outcome[], jobId: string): Promise<void> {
    const idsOf = (...verdicts: Verdict[]) =>
      outcomes.filter(({ verdict }) => verdicts.includes(verdict)).map(({ target }) => target.id);
    const hosts = new Map<string, Outcome[]>();
    for (const outcome of outcomes.filter(({ verdict }) => verdict === 'later')) {
      const { host } = new URL(outcome.target.endpoint);
      hosts.set(host, [...(hosts.get(host) ?? []), outcome]);
    }
    await this.db.tx(async (tx) => {
      await tx.query('DELETE FROM push_subscription WHERE id = ANY($1::uuid[])', [idsOf('gone')]);
      await tx.query(
        'UPDATE push_subscription SET failing_since = NULL WHERE id = ANY($1::uuid[]) AND failing_since IS NOT NULL',
        [idsOf('sent')],
      );
      const failed = idsOf('later', 'refused');
      await tx.query(
        'UPDATE push_subscription SET failing_since = now() WHERE id = ANY($1::uuid[]) AND failing_since IS NULL',
        [failed],
      );
      await tx.query(`DELETE FROM push_subscription WHERE id = ANY($1::uuid[]) AND failing_since < now() - ${DEAD}`, [
        failed,
      ]);
      for (const [host, some] of hosts) {
        const asked = Math.max(...some.map(({ retryAfterSeconds }) => retryAfterSeconds ?? 0));
        const seconds = retryInSeconds(batch.attempt, asked, Math.random());
        const subscriptionIds = some.map(({ target }) => target.id);
        const outcome = seconds === null ? 'given_up' : 'later';
        tx.afterCommit(() => pushes.inc({ outcome }, some.length));
        if (seconds === null) continue;
        const next: PushBatch = { ...batch, subscriptionIds, attempt: batch.attempt + 1 };
        const options = { dedupeKey: `push-again:${jobId}:${host}`, delayMs: seconds * 1_000 };
        const { channelId, videoId, kind } = batch.subject;
        const share = kind === 'NEW_VIDEO' && channelId && videoId ? { owner: channelId, subject: videoId } : undefined;
        await this.jobs.enqueue(tx, SendPushes, next, { ...options, share });
      }
      for (const outcome of ['sent', 'gone', 'refused'] as const) {
        tx.afterCommit(() => pushes.inc({ outcome }, idsOf(outcome).length));
      }
    });
  }
}

function* batchesOf<Item>(items: readonly Item[]): Generator<[Item, ...Item[]]> {
  for (let at = 0; at < items.length; at += BATCH) yield items.slice(at, at + BATCH) as [Item, ...Item[]];
}
