import { Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { type Cache, Caches, RECENT_MS } from '../../common/cache/index.js';
import { columnsOf, Database, type Sql, type Tx } from '../../common/database/index.js';
import { NotFound } from '../../common/errors/index.js';
import { Events } from '../../common/events/index.js';
import { decodeCursor, type KeysetPage, type Loaders, type MaybePromise, pageOf } from '../../common/graphql/index.js';
import { Live, LiveEvents } from '../../common/live/index.js';
import { StoredObjects } from '../storage/index.js';
import { cleanLines, cleanName, UsersService } from '../users/index.js';
import { ChannelEntity } from './channel.entity.js';
import { dropImages } from './channel-image-rows.js';
import { ChannelMemberEntity } from './channel-member.entity.js';
import { HandleTaken, LastOwner, NotAnEditor, NotAnOwner, TooManyMembers } from './channels.errors.js';
import { ChannelChanged, ChannelDeleted, EditorLeft } from './channels.events.js';
import { type ChannelRole, canManage, canOwn, canUpload } from './channels.policy.js';
import { checkHandle, handleKey, handleLook, isHandle } from './handle.js';

const MOST_MEMBERS = 100;

/** The topic of whatever may end who sees something: a channel's members, a video's visibility. What it says is of no consequence. */
export const accessTopic = (id: string): string => `access:${id}`;

/** The live topic that ticks when the channel's row changed. */
const channelTopic = (id: string): string => `channel:${id}`;

@Injectable()
export class ChannelsService {
  private readonly columns: string;
  /** Also what is left of deleted ones. */
  private readonly recent: Cache<ChannelEntity>;
  /** The ids of handles, which belong to one channel for good. */
  private readonly recentHandles: Cache<string>;

  private readonly memberColumns: string;

  constructor(
    private readonly database: Database,
    private readonly events: Events,
    private readonly liveEvents: LiveEvents,
    private readonly users: UsersService,
    private readonly objects: StoredObjects,
    private readonly live: Live,
    caches: Caches,
  ) {
    this.columns = columnsOf(database, ChannelEntity, 'c');
    this.memberColumns = columnsOf(database, ChannelMemberEntity, 'm');
    const kept = { ttlMs: RECENT_MS, max: 10_000 };
    this.recent = caches.of({
      ...{ name: 'channels', topic: 'channel', ...kept },
      load: (ids) => this.withDeletedByIds(ids),
    });
    this.recentHandles = caches.of({ name: 'handles', ...kept, load: (keys) => this.idsOfHandles(keys) });
  }

  async byId(id: string): Promise<ChannelEntity | null> {
    return (await this.byIds([id])).get(id) ?? null;
  }

  /** Deleted channels are not found. */
  async byIds(ids: readonly string[]): Promise<Map<string, ChannelEntity>> {
    const all = await this.withDeletedByIds(ids);
    return new Map([...all].filter(([, channel]) => channel.deletedAt === null));
  }

  /** Also what is left of deleted ones, whose videos are on their way. */
  async withDeletedByIds(ids: readonly string[]): Promise<Map<string, ChannelEntity>> {
    const channels = await this.database.query<ChannelEntity>(
      `SELECT ${this.columns} FROM channel c WHERE c.id = ANY($1::uuid[])`,
      [ids],
    );
    return new Map(channels.map((channel) => [channel.id, channel]));
  }

  /** As it was a moment ago, for whoever cannot change it. */
  async recentById(id: string): Promise<ChannelEntity | null> {
    const channel = await this.recent.get(id);
    return channel?.deletedAt === null ? channel : null;
  }

  /** The same, of deleted ones what is left. */
  recentWithDeletedByIds(ids: readonly string[]): Promise<Map<string, ChannelEntity>> {
    return this.recent.getMany(ids);
  }

  /** What is no handle is not kept either: its length has no bound. */
  async recentByHandle(handle: string): Promise<ChannelEntity | null> {
    const id = isHandle(handle) ? await this.recentHandles.get(handleKey(handle)) : null;
    return id === null ? null : this.recentById(id);
  }

  private async idsOfHandles(keys: readonly string[]): Promise<Map<string, string>> {
    const rows = await this.database.query<{ id: string; key: string }>(
      'SELECT id, handle_key AS key FROM channel WHERE handle_key = ANY($1::text[]) AND deleted_at IS NULL',
      [keys],
    );
    return new Map(rows.map(({ id, key }) => [key, id]));
  }

  /** Takes anything: what is no handle is no channel's. */
  async byHandle(handle: string): Promise<ChannelEntity | null> {
    if (!isHandle(handle)) return null;
    const [channel] = await this.database.query<ChannelEntity>(
      `SELECT ${this.columns} FROM channel c WHERE c.handle_key = $1 AND c.deleted_at IS NULL`,
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
  async rolesOf(
    userId: string,
    channelIds: readonly string[],
    sql: Sql = this.database,
  ): Promise<Map<string, ChannelRole>> {
    const members = await sql.query<{ channelId: string; role: ChannelRole }>(
      `SELECT channel_id AS "channelId", role FROM channel_member
       WHERE user_id = $1 AND channel_id = ANY($2::uuid[]) AND accepted_at IS NOT NULL`,
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
        `INSERT INTO channel (handle, handle_key, handle_look, name, description) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING RETURNING id`,
        [input.handle, handleKey(input.handle), handleLook(input.handle), name, description],
      );
      if (!made) throw new HandleTaken();
      await tx.manager.insert(ChannelMemberEntity, { channelId: made.id, userId, role: 'OWNER' });
      await this.events.publish(tx, ChannelChanged, { channelId: made.id });
      return tx.manager.findOneByOrFail(ChannelEntity, { id: made.id });
    });
  }

  /**
   * What is null or left out stays as it is.
   * @throws InvalidInput, NotFound, NotAnEditor
   */
  async update(
    actor: Actor,
    id: string,
    change: { name?: string | null; description?: string | null },
  ): Promise<ChannelEntity> {
    const name = change.name == null ? null : cleanName(change.name, 'name', 100);
    const description = change.description == null ? null : cleanLines(change.description, 'description', 5_000);
    if (!(await this.byId(id))) throw new NotFound('channel', ['channelId']);
    if (!canManage(actor, await this.roleOf(actor.userId, id))) throw new NotAnEditor();
    return this.database.tx(async (tx) => {
      const [before] = await tx.query<{ name: string }>('SELECT name FROM channel WHERE id = $1 FOR NO KEY UPDATE', [
        id,
      ]);
      const [row] = await tx.query<ChannelEntity>(
        `UPDATE channel c SET name = coalesce($2, name), description = nullif(coalesce($3, description), '')
         WHERE id = $1 AND deleted_at IS NULL RETURNING ${this.columns}`,
        [id, name, description],
      );
      if (!row) throw new NotFound('channel', ['channelId']);
      if (row.name !== before?.name) await this.events.publish(tx, ChannelChanged, { channelId: id });
      tx.afterCommit(() => this.live.tick(channelTopic(id)));
      return row;
    });
  }

  /**
   * The row stays as an empty tombstone with its handle, which would let others pass for it.
   * @throws NotFound, NotAnOwner
   */
  async delete(actor: Actor, id: string): Promise<void> {
    await this.database.tx(async (tx) => {
      await this.lockForOwner(tx, actor, id);
      await tx.query(`UPDATE channel SET deleted_at = now(), name = '', description = NULL WHERE id = $1`, [id]);
      await tx.query('DELETE FROM channel_member WHERE channel_id = $1', [id]);
      await dropImages(tx, this.objects, id, null, 'all');
      await this.events.publish(tx, ChannelDeleted, { channelId: id });
      await this.liveEvents.append(tx, accessTopic(id), {});
      tx.afterCommit(() => this.live.tick(channelTopic(id)));
    });
  }

  /**
   * Asks somebody to become a member, or gives a member another role. Administrators need not be asked by themselves.
   * @throws NotFound (the channel, or the user), NotAnOwner, LastOwner, TooManyMembers
   */
  async setMember(actor: Actor, channelId: string, userId: string, role: ChannelRole): Promise<ChannelMemberEntity> {
    // Ahead of the transaction: it takes a connection of its own, for which many who hold one would wait for each other.
    const user = await this.users.byId(userId);
    return this.database.tx(async (tx) => {
      await this.lockForOwner(tx, actor, channelId);
      if (!user) throw new NotFound('user', ['userId']);
      const before = (await this.rolesOf(userId, [channelId], tx)).get(channelId) ?? null;
      const [row] = await tx.query<ChannelMemberEntity>(
        `INSERT INTO channel_member AS m (channel_id, user_id, role, accepted_at) VALUES ($1, $2, $3, CASE WHEN $4 THEN now() END)
         ON CONFLICT (channel_id, user_id) DO UPDATE
         SET role = excluded.role, accepted_at = coalesce(m.accepted_at, excluded.accepted_at) RETURNING ${this.memberColumns}`,
        [channelId, userId, role, actor.userId === userId],
      );
      if (!row) throw new Error('INSERT gave no row');
      await this.membersChanged(tx, channelId, userId, before, role);
      return row;
    });
  }

  /** Takes up what one was asked. Repeating it is no error. @throws NotFound when nobody asked */
  async acceptMembership(actor: Actor, channelId: string): Promise<ChannelMemberEntity> {
    const [row] = await this.database.query<ChannelMemberEntity>(
      `UPDATE channel_member m SET accepted_at = coalesce(accepted_at, now()) WHERE channel_id = $1 AND user_id = $2
       RETURNING ${this.memberColumns}`,
      [channelId, actor.userId],
    );
    if (!row) throw new NotFound('invitation', ['channelId']);
    return row;
  }

  /**
   * Everybody may leave, or decline; others are removed by owners. Removing who is no member is no error.
   * @throws NotFound, NotAnOwner, LastOwner
   */
  async removeMember(actor: Actor, channelId: string, userId: string): Promise<void> {
    await this.database.tx(async (tx) => {
      if (actor.userId === userId) await this.lock(tx, channelId);
      else await this.lockForOwner(tx, actor, channelId);
      const [gone] = await tx.query<{ role: ChannelRole | null }>(
        `DELETE FROM channel_member WHERE channel_id = $1 AND user_id = $2
         RETURNING CASE WHEN accepted_at IS NOT NULL THEN role END AS role`,
        [channelId, userId],
      );
      if (gone) await this.membersChanged(tx, channelId, userId, gone.role, null);
    });
  }

  /** In the order in which they were asked. @param after cursor of the page before */
  async members(channelId: string, first: number, after?: string | null): Promise<KeysetPage<ChannelMemberEntity>> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [];
    const rows = await this.database.query<ChannelMemberEntity & { time: string }>(
      `SELECT ${this.memberColumns}, m.created_at::text AS time FROM channel_member m
       WHERE m.channel_id = $1 ${id ? 'AND (m.created_at, m.user_id) > ($3::timestamptz, $4::uuid)' : ''}
       ORDER BY m.created_at, m.user_id LIMIT $2`,
      [channelId, first + 1, ...(id ? [time, id] : [])],
    );
    return pageOf(rows, first, (row) => [row.time, row.userId]);
  }

  /** `all` has also who has not answered yet, `owners` has not. */
  async countOfMembers(channelId: string, sql: Sql = this.database): Promise<{ all: number; owners: number }> {
    const [row] = await sql.query<{ all: number; owners: number }>(
      `SELECT count(*)::int AS all, (count(*) FILTER (WHERE role = 'OWNER' AND accepted_at IS NOT NULL))::int AS owners
       FROM channel_member WHERE channel_id = $1`,
      [channelId],
    );
    return row ?? { all: 0, owners: 0 };
  }

  /** What the user was asked, and has not answered, by channel. */
  async invitationsAmong(userId: string, channelIds: readonly string[]): Promise<Map<string, ChannelMemberEntity>> {
    const rows = await this.database.query<ChannelMemberEntity>(
      `SELECT ${this.memberColumns} FROM channel_member m
       WHERE m.user_id = $1 AND m.channel_id = ANY($2::uuid[]) AND m.accepted_at IS NULL`,
      [userId, channelIds],
    );
    return new Map(rows.map((row) => [row.channelId, row]));
  }

  /** Whoever changes members, or deletes the channel, waits for who does so already. @throws NotFound */
  private async lock(tx: Tx, channelId: string): Promise<void> {
    const rows = await tx.query('SELECT id FROM channel WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE', [
      channelId,
    ]);
    if (rows.length === 0) throw new NotFound('channel', ['channelId']);
  }

  /** The same, for who owns it still once the lock is there. @throws NotFound, NotAnOwner */
  private async lockForOwner(tx: Tx, actor: Actor, channelId: string): Promise<void> {
    await this.lock(tx, channelId);
    const role = (await this.rolesOf(actor.userId, [channelId], tx)).get(channelId) ?? null;
    if (!canOwn(actor, role)) throw new NotAnOwner();
  }

  /** @param before the role of who is a member @throws LastOwner, TooManyMembers */
  private async membersChanged(
    tx: Tx,
    channelId: string,
    userId: string,
    before: ChannelRole | null,
    after: ChannelRole | null,
  ): Promise<void> {
    const { all, owners } = await this.countOfMembers(channelId, tx);
    if (owners === 0) throw new LastOwner();
    if (all > MOST_MEMBERS) throw new TooManyMembers(MOST_MEMBERS);
    if (before === null || before === after) return;
    await this.liveEvents.append(tx, accessTopic(channelId), {});
    if (canUpload(before) && !canUpload(after)) await this.events.publish(tx, EditorLeft, { channelId, userId });
  }

  /**
   * The channels in which the user has a role, newest membership first; or those in which one was offered.
   * @param after cursor of the page before
   */
  async ofUser(
    userId: string,
    which: 'member' | 'invited',
    first: number,
    after?: string | null,
  ): Promise<KeysetPage<ChannelEntity>> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [];
    const rows = await this.database.query<ChannelEntity & { time: string }>(
      `SELECT ${this.columns}, m.created_at::text AS time FROM channel_member m JOIN channel c ON c.id = m.channel_id
       WHERE m.user_id = $1 AND (m.accepted_at IS NULL) = $3 AND c.deleted_at IS NULL
         ${id ? 'AND (m.created_at, m.channel_id) < ($4::timestamptz, $5::uuid)' : ''}
       ORDER BY m.created_at DESC, m.channel_id DESC LIMIT $2`,
      [userId, first + 1, which === 'invited', ...(id ? [time, id] : [])],
    );
    return pageOf(rows, first, (row) => [row.time, row.id]);
  }

  async countOfUser(userId: string, which: 'member' | 'invited'): Promise<number> {
    const [row] = await this.database.query<{ count: number }>(
      'SELECT count(*)::int AS count FROM channel_member WHERE user_id = $1 AND (accepted_at IS NULL) = $2',
      [userId, which === 'invited'],
    );
    return row?.count ?? 0;
  }
}
