import { Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { columnsOf, Database } from '../../common/database/index.js';
import type { Loaders, MaybePromise } from '../../common/graphql/index.js';
import { cleanLines, cleanName } from '../users/index.js';
import { ChannelEntity } from './channel.entity.js';
import { ChannelMember } from './channel-member.entity.js';
import { HandleTaken } from './channels.errors.js';
import type { ChannelRole } from './channels.policy.js';
import { checkHandle, handleKey } from './handle.js';

/** A channel among those of one user; `place` is where it stands in that list. */
export interface Membership {
  channel: ChannelEntity;
  place: { time: string; channelId: string };
}

@Injectable()
export class ChannelsService {
  private readonly columns: string;

  constructor(private readonly database: Database) {
    this.columns = columnsOf(database, ChannelEntity, 'c');
  }

  async byId(id: string): Promise<ChannelEntity | null> {
    return (await this.byIds([id])).get(id) ?? null;
  }

  async byIds(ids: readonly string[]): Promise<Map<string, ChannelEntity>> {
    const channels = await this.database.query<ChannelEntity>(
      `SELECT ${this.columns} FROM channel c WHERE c.id = ANY($1::uuid[])`,
      [ids],
    );
    return new Map(channels.map((channel) => [channel.id, channel]));
  }

  /** Takes anything: what is no handle is no channel's. */
  async byHandle(handle: string): Promise<ChannelEntity | null> {
    if (handle.includes('\0')) return null;
    const [channel] = await this.database.query<ChannelEntity>(
      `SELECT ${this.columns} FROM channel c WHERE c.handle_key = $1`,
      [handleKey(handle)],
    );
    return channel ?? null;
  }

  async roleOf(userId: string, channelId: string): Promise<ChannelRole | null> {
    return (await this.rolesOf(userId, [channelId])).get(channelId) ?? null;
  }

  /** The same for field resolvers: asked once for all channels of the operation. */
  roleOfActor(actor: Actor | null, channelId: string, loaders: Loaders): MaybePromise<ChannelRole | null> {
    if (!actor) return null;
    return loaders.load('channel roles', (ids: readonly string[]) => this.rolesOf(actor.userId, ids), channelId);
  }

  /** The user's roles in those of the channels where there is one. */
  async rolesOf(userId: string, channelIds: readonly string[]): Promise<Map<string, ChannelRole>> {
    const members = await this.database.query<{ channelId: string; role: ChannelRole }>(
      'SELECT channel_id AS "channelId", role FROM channel_member WHERE user_id = $1 AND channel_id = ANY($2::uuid[])',
      [userId, channelIds],
    );
    return new Map(members.map((member) => [member.channelId, member.role]));
  }

  /**
   * Makes a channel whose owner is `userId`.
   * @throws InvalidInput (also HANDLE_RESERVED), HandleTaken
   */
  async create(
    userId: string,
    input: { handle: string; name: string; description?: string | null },
  ): Promise<ChannelEntity> {
    checkHandle(input.handle);
    const name = cleanName(input.name, 'name', 100);
    const description = cleanLines(input.description ?? '', 'description', 5_000) || null;
    return this.database.tx(async (tx) => {
      const [made] = await tx.query<{ id: string }>(
        `INSERT INTO channel (handle, handle_key, name, description) VALUES ($1, $2, $3, $4)
         ON CONFLICT (handle_key) DO NOTHING RETURNING id`,
        [input.handle, handleKey(input.handle), name, description],
      );
      if (!made) throw new HandleTaken();
      await tx.manager.insert(ChannelMember, { channelId: made.id, userId, role: 'OWNER' });
      return tx.manager.findOneByOrFail(ChannelEntity, { id: made.id });
    });
  }

  /** The channels in which the user has a role, newest membership first. */
  async ofUser(
    userId: string,
    first: number,
    after: Membership['place'] | null,
  ): Promise<{ rows: Membership[]; hasNextPage: boolean }> {
    const places = await this.database.query<Membership['place']>(
      `SELECT created_at::text AS time, channel_id AS "channelId" FROM channel_member
       WHERE user_id = $1 AND ($2::timestamptz IS NULL OR (created_at, channel_id) < ($2::timestamptz, $3::uuid))
       ORDER BY created_at DESC, channel_id DESC LIMIT $4`,
      [userId, after?.time ?? null, after?.channelId ?? null, first + 1],
    );
    const found = await this.byIds(places.map((place) => place.channelId));
    const rows = places.slice(0, first).flatMap((place) => {
      const channel = found.get(place.channelId);
      return channel ? [{ channel, place }] : [];
    });
    return { rows, hasNextPage: places.length > first };
  }

  async countOfUser(userId: string): Promise<number> {
    const [row] = await this.database.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM channel_member WHERE user_id = $1',
      [userId],
    );
    return row?.count ?? 0;
  }
}
