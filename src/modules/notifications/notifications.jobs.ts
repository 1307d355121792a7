import { defineJob } from '../../common/jobs/index.js';
import type { PushSubject } from './push-message.js';

/** Those of a channel's followers behind `after` (a user's id). */
export interface FollowersBehind {
  readonly videoId: string;
  readonly channelId: string;
  readonly after: string | null;
}

/** Tells these followers, as many as make one transaction, and asks for the next. */
export const TellFollowers = defineJob<FollowersBehind>({ name: 'TellFollowers', queue: 'default' });

/** Finds the browsers of these followers, as many as make one transaction, and asks for their pushes and for the next. */
export const FindPushes = defineJob<FollowersBehind>({ name: 'FindPushes', queue: 'default' });

export interface PushBatch {
  readonly subject: PushSubject;
  /** When it was told: ISO 8601. */
  readonly at: string;
  readonly subscriptionIds: readonly string[];
  /** Counted from 1. */
  readonly attempt: number;
}

/** Waits for services of others, so it has a queue of its own; processes that answer requests do it. */
export const SendPushes = defineJob<PushBatch>({ name: 'SendPushes', queue: 'push' });
