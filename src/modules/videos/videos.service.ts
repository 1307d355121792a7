import { Injectable } from '@nestjs/common';
import DataLoader from 'dataloader';
import type { Actor } from '../../common/access/index.js';
import { type Cache, Caches, RECENT_MS } from '../../common/cache/index.js';
import { columnsOf, Database, type Sql, type Tx } from '../../common/database/index.js';
import { NotFound } from '../../common/errors/index.js';
import { Events, OnEvent } from '../../common/events/index.js';
import {
  decodeCursor,
  encodeCursor,
  following,
  type KeysetPage,
  type MaybePromise,
  type OperationContext,
  pageOf,
} from '../../common/graphql/index.js';
import { type JobContext, Periodically } from '../../common/jobs/index.js';
import { Live, LiveEvents } from '../../common/live/index.js';
import { accessTopic, ChannelDeleted, ChannelsService, NotAnEditor } from '../channels/index.js';
import { cleanLines, cleanName } from '../users/index.js';
import { type ProcessingStage, VideoEntity } from './video.entity.js';
import { statesBefore, type VideoState } from './video-state.js';
import { cleanLanguage, cleanTags } from './video-tags.js';
import {
  DownloadDecided,
  RunWithdrawn,
  VideoChanged,
  VideoDeleted,
  VideoFailed,
  VideoPublished,
  VideoReady,
} from './videos.events.js';
import { canEdit, canWatch, type VideoVisibility } from './videos.policy.js';

/** A row of `video` with the database's time at which it was read. */
export type Video = VideoEntity & { readAt: Date };

/** The condition, on a video `v`, for what stands in lists once its time has come: no clock makes it true or false. */
export const LISTED_WHEN_DUE = `v.deleted_at IS NULL AND v.visibility = 'PUBLIC' AND v.verified_at IS NOT NULL AND v.state IN ('PLAYABLE', 'READY')`;
/** For what stands in lists, whoever looks. */
export const LISTED = `${LISTED_WHEN_DUE} AND (v.publish_at IS NULL OR v.publish_at <= now())`;
/**
 * The same with its channel, for lists of all channels. That is a subquery for a value, which PostgreSQL never makes a join: a
 * page asks for the channels of what it shows, and no more.
 */
export const LISTED_ANYWHERE = `${LISTED} AND (SELECT c.deleted_at IS NULL FROM channel c WHERE c.id = v.channel_id)`;
const UNLISTED = `v.listed_at IS NULL AND ${LISTED}
  AND EXISTS (SELECT FROM channel c WHERE c.id = v.channel_id AND c.deleted_at IS NULL)`;
const LISTED_AT_ONCE = 100;
const DELETED_AT_ONCE = 50;

/** The first page of a channel as most ask for it. */
const FIRST_PAGE = 20;

const MAX_TITLE = 100;
const MAX_DESCRIPTION = 5_000;

/** Where a video stands in the list of its channel. */
interface ListPlace {
  id: string;
  time: string;
}

/** The live topic that ticks when a video comes into the channel's list, or leaves it. */
export const listTopic = (channelId: string): string => `channel-videos:${channelId}`;

/** The live topic that ticks when anything about the video changed. */
export const videoTopic = (videoId: string): string => `video:${videoId}`;

@Injectable()
export class VideosService {
  /** What a `Video` is read from, on a video `v`. */
  readonly columns: string;
  // As they were a moment ago, for whoever cannot change them.
  private readonly recent: Cache<Video>;
  private readonly recentPages: Cache<ListPlace[]>;
  private readonly recentCounts: Cache<number>;
  /** One read for all who ask in one turn: thousands may, when who listens is asked for anew. */
  private readonly together = new DataLoader<string, Video | null>(
    async (ids) => {
      const found = await this.byIds([...new Set(ids)]);
      return ids.map((id) => found.get(id) ?? null);
    },
    { cache: false },
  );

  constructor(
    private readonly db: Database,
    private readonly events: Events,
    private readonly live: Live,
    private readonly liveEvents: LiveEvents,
    private readonly channels: ChannelsService,
    caches: Caches,
  ) {
    this.columns = `${columnsOf(db, VideoEntity, 'v')}, now() AS "readAt"`;
    const kept = { ttlMs: RECENT_MS, max: 10_000 };
    this.recent = caches.of({ name: 'videos', topic: 'video', ...kept, load: (ids) => this.byIds(ids) });
    this.recentPages = caches.of({
      ...{ name: 'channel_pages', topic: 'channel-videos', ...kept, max: 2_000 },
      load: async (ids) => new Map(await Promise.all(ids.map(async (id) => [id, await this.firstPlaces(id)] as const))),
    });
    this.recentCounts = caches.of({
      ...{ name: 'video_counts', topic: 'channel-videos', ...kept },
      load: (ids) => this.listedCounts(ids),
    });
  }

  /** Deleted videos are not found. */
  async byId(sql: Sql, id: string): Promise<Video | null> {
    return (await this.byIds([id], sql)).get(id) ?? null;
  }

  async byIds(ids: readonly string[], sql: Sql = this.db): Promise<Map<string, Video>> {
    const rows = await sql.query<Video>(
      `SELECT ${this.columns} FROM video v WHERE v.id = ANY($1::uuid[]) AND v.deleted_at IS NULL`,
      [ids],
    );
    return new Map(rows.map((row) => [row.id, row]));
  }

  /** Those that stand in lists now, whoever looks. */
  async listedByIds(ids: readonly string[]): Promise<Map<string, Video>> {
    const rows = await this.db.query<Video>(
      `SELECT ${this.columns} FROM video v WHERE v.id = ANY($1::uuid[]) AND ${LISTED_ANYWHERE}`,
      [ids],
    );
    return new Map(rows.map((row) => [row.id, row]));
  }

  /** Also what is left of deleted ones: an upload session keeps its video's id. */
  async withDeletedByIds(ids: readonly string[]): Promise<Map<string, Video>> {
    const rows = await this.db.query<Video>(`SELECT ${this.columns} FROM video v WHERE v.id = ANY($1::uuid[])`, [ids]);
    return new Map(rows.map((row) => [row.id, row]));
  }

  /** The video if the actor may see it, else null. */
  async visible(id: string, actor: Actor | null): Promise<Video | null> {
    if (actor) return this.visibleNow(id, actor);
    const video = await this.recent.get(id);
    return video && canWatch(video, null, null, video.readAt) ? video : null;
  }

  /** The same as the database has it, for whoever may go on by the answer for longer than a moment. */
  async visibleNow(id: string, actor: Actor | null): Promise<Video | null> {
    const video = await this.together.load(id);
    if (!video || canWatch(video, null, null, video.readAt)) return video;
    const role = await this.roleIn(video, actor);
    return canWatch(video, actor, role, video.readAt) ? video : null;
  }

  /** The same for field resolvers, of a row that was come by in another way: who began its upload need not see it any more. */
  isVisible(video: Video, { actor, loaders }: Pick<OperationContext, 'actor' | 'loaders'>): MaybePromise<boolean> {
    if (video.deletedAt !== null) return false;
    if (canWatch(video, null, null, video.readAt)) return true;
    const role = this.channels.roleOfActor(actor, video.channelId, loaders);
    return following(role, (known) => canWatch(video, actor, known, video.readAt));
  }

  async mayEdit(video: { channelId: string }, actor: Actor | null): Promise<boolean> {
    return actor !== null && canEdit(actor, await this.roleIn(video, actor));
  }

  /**
   * @throws NotFound when it is missing, or not the actor's to see
   * @throws NotAnEditor when it is theirs to see only
   */
  async editable(id: string, actor: Actor, field: string[] = ['videoId']): Promise<Video> {
    const video = await this.byId(this.db, id);
    const role = video && (await this.roleIn(video, actor));
    if (!video || !canWatch(video, actor, role, video.readAt)) throw new NotFound('video', field);
    if (!canEdit(actor, role)) throw new NotAnEditor();
    return video;
  }

  /**
   * @param all also what only owners and editors may see
   * @param after cursor of the page before
   */
  async ofChannel(channelId: string, all: boolean, first: number, after?: string | null): Promise<KeysetPage<Video>> {
    const recent = !all && !after && first <= FIRST_PAGE ? await this.firstPage(channelId, first) : null;
    if (recent) return recent;
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [null, null];
    const rows = await this.db.query<Video & { time: string }>(
      `SELECT ${this.columns}, v.created_at::text AS time FROM video v
       WHERE ${listed(all)} ${time ? 'AND (v.created_at, v.id) < ($3, $4)' : ''}
       ORDER BY v.created_at DESC, v.id DESC LIMIT $2`,
      [channelId, first + 1, ...(time ? [time, id] : [])],
    );
    return pageOf(rows, first, (row) => [row.time, row.id]);
  }

  /** The first page of what others see; null where it is out of date: a page that is cut short may have no place to go on from. */
  private async firstPage(channelId: string, first: number): Promise<KeysetPage<Video> | null> {
    const places = (await this.recentPages.get(channelId)) ?? [];
    const shown = places.slice(0, first);
    const found = await this.recent.getMany(shown.map(({ id }) => id));
    // Its row decides: a video that was hidden leaves the page before the page is read anew.
    const rows = shown.flatMap(({ id, time }) => {
      const row = found.get(id);
      const isListed = row && row.visibility === 'PUBLIC' && canWatch(row, null, null, row.readAt);
      return isListed ? [{ ...row, place: encodeCursor(time, id) }] : [];
    });
    return rows.length < shown.length ? null : { rows, hasNextPage: places.length > first };
  }

  private firstPlaces(channelId: string): Promise<ListPlace[]> {
    return this.db.query<ListPlace>(
      `SELECT v.id, v.created_at::text AS time FROM video v WHERE ${listed(false)}
       ORDER BY v.created_at DESC, v.id DESC LIMIT $2`,
      [channelId, FIRST_PAGE + 1],
    );
  }

  async countOfChannel(channelId: string, all: boolean): Promise<number> {
    if (!all) return (await this.recentCounts.get(channelId)) ?? 0;
    const [row] = await this.db.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM video v WHERE ${listed(all)}`,
      [channelId],
    );
    return row?.count ?? 0;
  }

  /** How many of a channel's videos stand in lists. */
  async listedCounts(channelIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.db.query<{ id: string; count: number }>(
      `SELECT v.channel_id AS id, count(*)::int AS count FROM video v
       WHERE v.channel_id = ANY($1::uuid[]) AND v.listed_at IS NOT NULL AND ${LISTED} GROUP BY v.channel_id`,
      [channelIds],
    );
    return new Map(rows.map((row) => [row.id, row.count]));
  }

  /** The same as it was a moment ago, for whoever cannot change it. */
  recentListedCounts(channelIds: readonly string[]): Promise<Map<string, number>> {
    return this.recentCounts.getMany(channelIds);
  }

  /** Made with its upload session, in that one's transaction. @throws NotFound when the channel was deleted */
  async create(
    tx: Tx,
    video: {
      channelId: string;
      ownerId: string;
      title: string;
      description: string;
      tags?: readonly string[];
      language?: string | null;
      visibility: VideoVisibility;
      isHighlight?: boolean;
    },
  ): Promise<string> {
    const [row] = await tx.query<{ id: string }>(
      // Whoever deletes the channel waits for this transaction, and takes its video with the others.
      `INSERT INTO video (channel_id, owner_id, title, description, tags, language, visibility, is_highlight)
       SELECT id, $2::uuid, $3, $4, $5::text[], $6, $7, $8 FROM channel WHERE id = $1 AND deleted_at IS NULL FOR SHARE RETURNING id`,
      [
        video.channelId,
        video.ownerId,
        video.title,
        video.description,
        video.tags ?? [],
        video.language ?? null,
        video.visibility,
        video.isHighlight ?? false,
      ],
    );
    if (!row) throw new NotFound('channel', ['channelId']);
    return row.id;
  }

  /** @throws InvalidInput */
  static cleanTitle(title: string): string {
    return cleanName(title, 'title', MAX_TITLE);
  }

  /** @throws InvalidInput */
  static cleanDescription(description: string): string {
    return cleanLines(description, 'description', MAX_DESCRIPTION);
  }

  /** @throws InvalidInput */
  static cleanTags(tags: readonly string[]): string[] {
    return cleanTags(tags);
  }

  /** @throws InvalidInput */
  static cleanLanguage(language: string): string {
    return cleanLanguage(language);
  }

  async update(
    actor: Actor,
    id: string,
    change: {
      title?: string | null;
      description?: string | null;
      tags?: readonly string[] | null;
      language?: string | null;
      visibility?: VideoVisibility | null;
      publishAt?: Date | null;
      downloadable?: boolean | null;
      highlight?: boolean | null;
    },
  ): Promise<Video> {
    const title = change.title == null ? null : VideosService.cleanTitle(change.title);
    const description = change.description == null ? null : VideosService.cleanDescription(change.description);
    const tags = change.tags == null ? null : cleanTags(change.tags);
    const language = change.language == null ? null : cleanLanguage(change.language);
    const { accessEpoch } = await this.editable(id, actor);
    return this.db.tx(async (tx) => {
      // Whatever hides the video from somebody who could see it also ends the addresses they hold.
      const [row] = await tx.query<Video>(
        `UPDATE video v SET title = coalesce($2, title), description = coalesce($3, description),
                visibility = coalesce($4, visibility), downloadable = coalesce($7, downloadable), is_highlight = coalesce($8, is_highlight),
                tags = coalesce($9, tags), language = CASE WHEN $10 THEN $11 ELSE language END,
                publish_at = CASE WHEN $5 THEN $6::timestamptz ELSE publish_at END,
                -- Others will watch it then.
                watched_at = CASE WHEN $5 OR $4 <> visibility THEN now() ELSE watched_at END,
                access_epoch = access_epoch + CASE WHEN ($4 = 'PRIVATE' AND visibility <> 'PRIVATE')
                                                     OR ($5 AND $6::timestamptz > now()) THEN 1 ELSE 0 END
         WHERE id = $1 AND deleted_at IS NULL RETURNING ${this.columns}`,
        [
          id,
          title,
          description,
          change.visibility ?? null,
          change.publishAt !== undefined,
          change.publishAt ?? null,
          change.downloadable ?? null,
          change.highlight ?? null,
          tags,
          change.language !== undefined,
          language,
        ],
      );
      if (!row) throw new NotFound('video', ['videoId']);
      if (change.downloadable != null) await this.events.publish(tx, DownloadDecided, { videoId: id });
      await this.list(tx, id);
      await this.changed(tx, id);
      if (row.accessEpoch !== accessEpoch) await this.hidden(tx, id);
      return row;
    });
  }

  /** Deleting what is deleted already is no error for who could have deleted it. */
  async delete(actor: Actor, id: string): Promise<void> {
    const [gone] = await this.db.query<{ channelId: string }>(
      `SELECT channel_id AS "channelId" FROM video WHERE id = $1 AND deleted_at IS NOT NULL`,
      [id],
    );
    if (gone && canEdit(actor, await this.roleIn(gone, actor))) return;
    await this.editable(id, actor);
    await this.db.tx((tx) => this.remove(tx, id));
  }

  /** The row stays as an empty tombstone, so that what still refers to it can be cleaned up in its own time. */
  async remove(tx: Tx, id: string): Promise<void> {
    const [gone] = await tx.query(
      `UPDATE video SET deleted_at = now(), title = '', description = '', tags = '{}', language = NULL, access_epoch = access_epoch + 1, run = run + 1
       WHERE id = $1 AND deleted_at IS NULL RETURNING id`,
      [id],
    );
    if (!gone) return;
    await this.hidden(tx, id);
    await this.events.publish(tx, VideoDeleted, { videoId: id });
    await this.changed(tx, id);
  }

  /** Its videos go with a channel, some at a time. */
  @OnEvent(ChannelDeleted)
  async onChannelDeleted({ channelId }: { channelId: string }, { signal }: JobContext): Promise<void> {
    for (let more = true; more; ) {
      signal.throwIfAborted();
      more = await this.db.tx(async (tx) => {
        const rows = await tx.query<{ id: string }>(
          'SELECT id FROM video WHERE channel_id = $1 AND deleted_at IS NULL ORDER BY id LIMIT $2 FOR NO KEY UPDATE',
          [channelId, DELETED_AT_ONCE],
        );
        for (const { id } of rows) await this.remove(tx, id);
        return rows.length === DELETED_AT_ONCE;
      });
    }
  }

  /** The upload is complete and its digest was right: from here on others than its editors may come to see it. */
  async markVerified(tx: Tx, id: string): Promise<{ run: number } | null> {
    const [row] = await tx.query<{ run: number }>(
      `UPDATE video SET verified_at = now(),
              published_at = CASE WHEN state IN ('PLAYABLE', 'READY') THEN coalesce(published_at, now()) ELSE published_at END
       WHERE id = $1 AND deleted_at IS NULL RETURNING run`,
      [id],
    );
    await this.list(tx, id);
    if (row) await this.changed(tx, id);
    return row ?? null;
  }

  /**
   * One step of one run, decided by one statement.
   *
   * @returns false, with nothing changed, when the run is over, the step was taken before, or the video is gone
   */
  async transition(
    tx: Tx,
    step: {
      videoId: string;
      run: number;
      to: VideoState;
      stage: ProcessingStage;
      failure?: { code: string; message: string; retryable: boolean };
    },
  ): Promise<boolean> {
    const { videoId, run, to, stage, failure } = step;
    const over = to === 'READY' || to === 'FAILED' || to === 'BLOCKED';
    const [row] = await tx.query(
      `UPDATE video SET state = $3, stage = $4, failure_code = $5, failure_message = $6, failure_retryable = $7,
              processing_started_at = CASE WHEN $3 = 'PROCESSING' THEN now() ELSE processing_started_at END,
              processing_attempts = processing_attempts + CASE WHEN $3 = 'PROCESSING' THEN 1 ELSE 0 END,
              processing_finished_at = CASE WHEN $8 THEN now() ELSE NULL END,
              published_at = CASE WHEN $3 IN ('PLAYABLE', 'READY') AND verified_at IS NOT NULL
                             THEN coalesce(published_at, now()) ELSE published_at END
       WHERE id = $1 AND run = $2 AND state = ANY($9) AND deleted_at IS NULL RETURNING id`,
      [
        videoId,
        run,
        to,
        stage,
        failure?.code ?? null,
        failure?.message ?? null,
        failure?.retryable ?? null,
        over,
        statesBefore(to),
      ],
    );
    if (!row) return false;
    if (to === 'FAILED' || to === 'BLOCKED') await this.hidden(tx, videoId);
    if (to === 'READY') await this.events.publish(tx, VideoReady, { videoId, run });
    if (to === 'FAILED' && failure) await this.events.publish(tx, VideoFailed, { videoId, run, code: failure.code });
    if (to === 'PLAYABLE' || to === 'READY') await this.list(tx, videoId);
    await this.changed(tx, videoId);
    return true;
  }

  /** What the probe found out, and the stage that follows it. */
  async describe(
    tx: Tx,
    videoId: string,
    run: number,
    found: { durationMs: number; width: number; height: number; frameRate: number },
  ): Promise<boolean> {
    const rows = await tx.query(
      `UPDATE video SET duration_ms = $3, width = $4, height = $5, frame_rate = $6, stage = 'ENCODING'
       WHERE id = $1 AND run = $2 AND deleted_at IS NULL RETURNING id`,
      [videoId, run, found.durationMs, found.width, found.height, found.frameRate],
    );
    if (rows.length === 1) await this.changed(tx, videoId);
    return rows.length === 1;
  }

  /**
   * Starts over with the verified master: nothing of the run before counts any more.
   *
   * @param from the run that is given up
   * @returns the new run, or null when `from` was over already
   */
  async nextRun(tx: Tx, videoId: string, from: number): Promise<number | null> {
    const [row] = await tx.query<{ run: number }>(
      `UPDATE video SET run = run + 1, state = 'PROCESSING', stage = 'QUEUED', failure_code = NULL, failure_message = NULL,
              failure_retryable = NULL, processing_finished_at = NULL, processing_started_at = now(),
              processing_attempts = processing_attempts + 1
       WHERE id = $1 AND run = $2 AND state <> 'BLOCKED' AND deleted_at IS NULL RETURNING run`,
      [videoId, from],
    );
    if (!row) return null;
    await this.hidden(tx, videoId);
    await this.changed(tx, videoId);
    return row.run;
  }

  /**
   * Bytes of an unverified upload are wanted again: what was made of them early is taken back with all its addresses, and
   * what is being made counts no more.
   *
   * @param run only this one; any unless given
   * @returns false, with nothing changed, when the upload is verified by now, or the run is over
   */
  async withdraw(tx: Tx, videoId: string, run: number | null = null): Promise<boolean> {
    const [row] = await tx.query<{ run: number }>(
      `UPDATE video SET run = run + 1, access_epoch = access_epoch + 1, state = 'UPLOADING', stage = 'QUEUED',
              processing_started_at = NULL, duration_ms = NULL, width = NULL, height = NULL, frame_rate = NULL
       WHERE id = $1 AND run = coalesce($2, run) AND state IN ('UPLOADING', 'PROCESSING', 'PLAYABLE')
         AND verified_at IS NULL AND deleted_at IS NULL RETURNING run`,
      [videoId, run],
    );
    if (!row) return false;
    await this.events.publish(tx, RunWithdrawn, { videoId, run: row.run - 1 });
    await this.changed(tx, videoId);
    return true;
  }

  /** Somebody watches it. Costs a write once an hour, however often it is called. */
  async noteWatched(videoId: string): Promise<void> {
    await this.db.query(
      `UPDATE video SET watched_at = now() WHERE id = $1 AND watched_at < now() - interval '1 hour'`,
      [videoId],
    );
  }

  /** Its first moment in lists, where it has come: to be asked after whatever may have made it so, in the same transaction. */
  private async list(tx: Tx, id: string): Promise<void> {
    const [row] = await tx.query<{ channelId: string }>(
      `UPDATE video v SET listed_at = now() WHERE v.id = $1 AND ${UNLISTED} RETURNING v.channel_id AS "channelId"`,
      [id],
    );
    if (row) await this.events.publish(tx, VideoPublished, { videoId: id, channelId: row.channelId });
    // It may also have come back.
    await this.listChanged(tx, id);
  }

  /** Those whose time has come by the clock alone, and those that a version before this one let into lists. */
  @Periodically(1_000)
  async listDue(signal?: AbortSignal): Promise<void> {
    for (let more = true; more && !signal?.aborted; ) {
      more = await this.db.tx(async (tx) => {
        const rows = await tx.query<{ videoId: string; channelId: string }>(
          `UPDATE video SET listed_at = now() WHERE id IN
             (SELECT v.id FROM video v WHERE ${UNLISTED} LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)
           RETURNING id AS "videoId", channel_id AS "channelId"`,
          [LISTED_AT_ONCE],
        );
        for (const { videoId, channelId } of rows) {
          await this.events.publish(tx, VideoPublished, { videoId, channelId });
          tx.afterCommit(() => {
            this.live.tick(videoTopic(videoId));
            this.live.tick(listTopic(channelId));
          });
        }
        return rows.length === LISTED_AT_ONCE;
      });
    }
  }

  /** To be told after whatever changed the row, in the same transaction. */
  private async changed(tx: Tx, id: string): Promise<void> {
    await this.events.publish(tx, VideoChanged, { videoId: id });
    tx.afterCommit(() => this.live.tick(videoTopic(id)));
  }

  /** Whoever listens to what goes on about it is asked for anew. */
  private async hidden(tx: Tx, id: string): Promise<void> {
    await this.liveEvents.append(tx, accessTopic(id), {});
    await this.listChanged(tx, id);
  }

  private async listChanged(tx: Tx, id: string): Promise<void> {
    const [row] = await tx.query<{ channelId: string }>('SELECT channel_id AS "channelId" FROM video WHERE id = $1', [
      id,
    ]);
    if (row) tx.afterCommit(() => this.live.tick(listTopic(row.channelId)));
  }

  private async roleIn(video: { channelId: string }, actor: Actor | null) {
    return actor ? this.channels.roleOf(actor.userId, video.channelId) : null;
  }
}

/** The condition, with the channel as `$1`, for what is in the channel's list. */
function listed(all: boolean): string {
  return `v.channel_id = $1 AND v.deleted_at IS NULL ${all ? '' : `AND ${LISTED}`}`;
}
