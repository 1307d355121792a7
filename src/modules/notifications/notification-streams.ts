import { Injectable } from '@nestjs/common';
import DataLoader from 'dataloader';
import type { Actor } from '../../common/access/index.js';
import { Database } from '../../common/database/index.js';
import { NotFound } from '../../common/errors/index.js';
import { type EventStream, type LiveEvent, LiveEvents } from '../../common/live/index.js';
import { ChannelsService } from '../channels/index.js';
import { ALL_WAYS, type NotificationRow } from './notification-kinds.js';
import { FAN_OUT_TOPIC, type FanOutEvent, type InboxEvent, toldTo, userTopic } from './notifications.service.js';
import { type ChannelEvent, channelTopic } from './tell-followers.js';

/** What a person's devices are told. */
export interface Told {
  readonly cursor: string;
  /** Null where it only says where the stream stands. */
  readonly id: string | null;
  readonly row: NotificationRow | null;
  readonly read: { readonly causes: readonly string[] | null; readonly until: Date } | null;
}

/** Whoever is told of nothing meanwhile is told where the stream stands. */
const SAID_MS = 60_000;

const isFanOut = (body: object): body is FanOutEvent => !('kind' in body);

/** Live: what each person is told, and what everybody may hear of a channel. */
@Injectable()
export class NotificationStreams {
  /** Of all who listen in this process, who was told: one query for what comes to many at the same time. */
  private readonly rows: DataLoader<{ userId: string; cause: string }, NotificationRow | null>;

  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly db: Database,
    private readonly liveEvents: LiveEvents,
    private readonly channels: ChannelsService,
  ) {
    this.rows = new DataLoader((keys) => this.inTurn(keys), { cache: false, maxBatchSize: 1_000 });
  }

  /** @throws CursorExpired */
  async ofUser(actor: Actor, after: string | null): Promise<AsyncGenerator<Told>> {
    const { userId } = actor;
    const stream = await this.liveEvents.stream<InboxEvent | FanOutEvent>({
      topic: [userTopic(userId), FAN_OUT_TOPIC],
      after,
      reader: userId,
    });
    return mapped(stream, after !== null, (event) => this.told(userId, event));
  }

  /** Whoever may see the channel may hear. @throws NotFound, CursorExpired */
  async ofChannel(channelId: string, after: string | null): Promise<EventStream<ChannelEvent>> {
    if (!(await this.channels.byId(channelId))) throw new NotFound('channel', ['channelId']);
    return this.liveEvents.stream<ChannelEvent>({ topic: channelTopic(channelId), after });
  }

  /** Null for what is not for this person. */
  private async told(userId: string, { cursor, id, body }: LiveEvent<InboxEvent | FanOutEvent>): Promise<Told | null> {
    if (body === null) return { cursor, id, row: null, read: null };
    if (!isFanOut(body) && body.kind === 'READ') {
      return { cursor, id, row: null, read: { causes: body.causes, until: new Date(body.until) } };
    }
    const row = await this.rows.load({ userId, cause: body.cause });
    return row && { cursor, id, row, read: null };
  }

  /** One query at a time, however many listen: others need the database too. */
  private inTurn(keys: readonly { userId: string; cause: string }[]): Promise<(NotificationRow | null)[]> {
    const loaded = Promise.allSettled([this.last]).then(() => this.load(keys));
    this.last = loaded;
    return loaded;
  }

  private async load(keys: readonly { userId: string; cause: string }[]): Promise<(NotificationRow | null)[]> {
    const found = await this.db.query<NotificationRow & { at: number }>(
      `SELECT k.at::int AS at, told.* FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS k(user_id, cause, at)
       CROSS JOIN LATERAL (${toldTo('k.user_id', { own: 'AND n.cause = k.cause', merged: 'AND c.cause = k.cause' })}) told
       WHERE coalesce((SELECT p.live FROM notification_preference p WHERE p.user_id = k.user_id AND p.kind = told.kind), $3)`,
      [keys.map(({ userId }) => userId), keys.map(({ cause }) => cause), ALL_WAYS.live],
    );
    const rows = new Map(found.map(({ at, ...row }) => [at, row]));
    return keys.map((_, index) => rows.get(index + 1) ?? null);
  }
}

/**
 * What `map` makes of each event, without those that it makes null of: of these it says now and then how far it has come.
 * `return` does not wait for an event.
 *
 * @param comesBack says so, too, as soon as there is nothing more that was missed
 */
function mapped<In extends object>(
  stream: EventStream<In>,
  comesBack: boolean,
  map: (event: LiveEvent<In>) => Promise<Told | null>,
): AsyncGenerator<Told> {
  let said = comesBack ? Number.NEGATIVE_INFINITY : performance.now();
  /** Behind what was left out last. */
  let cursor: string | null = null;
  return {
    async next() {
      for (;;) {
        const isDue = cursor !== null && performance.now() - said > SAID_MS;
        const next = isDue ? await stream.nextMissed() : await stream.next();
        if (next?.done) return { value: undefined, done: true };
        const event = next?.value as LiveEvent<In> | undefined;
        const told = event ? await map(event) : { cursor: cursor as string, id: null, row: null, read: null };
        cursor = told ? null : (event?.cursor ?? null);
        if (!told) continue;
        said = performance.now();
        return { value: told, done: false };
      }
    },
    async return() {
      await stream.return();
      return { value: undefined, done: true };
    },
    throw: (error) => stream.throw(error),
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await stream.return();
    },
  };
}
