import { Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { columnsOf, Database, type Sql, type Tx } from '../../common/database/index.js';
import { NotFound } from '../../common/errors/index.js';
import { Events } from '../../common/events/index.js';
import { decodeCursor, encodeCursor } from '../../common/graphql/index.js';
import { Live } from '../../common/live/index.js';
import { ChannelsService } from '../channels/index.js';
import { cleanLines, cleanName } from '../users/index.js';
import { type ProcessingStage, VideoEntity } from './video.entity.js';
import { statesBefore, type VideoState } from './video-state.js';
import { NotAnEditor } from './videos.errors.js';
import { DownloadDecided, RunWithdrawn, VideoDeleted, VideoFailed, VideoReady } from './videos.events.js';
import { canEdit, canWatch, type VideoVisibility } from './videos.policy.js';

/** A row of `video` with the database's time at which it was read. */
export type Video = VideoEntity & { readAt: Date };

const MAX_TITLE = 100;
const MAX_DESCRIPTION = 5_000;

/** The live topic that ticks when anything about the video changed. */
export const videoTopic = (videoId: string): string => `video:${videoId}`;

@Injectable()
export class VideosService {
  private readonly columns: string;

  constructor(
    private readonly db: Database,
    private readonly events: Events,
    private readonly live: Live,
    private readonly channels: ChannelsService,
  ) {
    this.columns = `${columnsOf(db, VideoEntity, 'v')}, now() AS "readAt"`;
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

  /** Also what is left of deleted ones: an upload session keeps its video's id. */
  async withDeletedByIds(ids: readonly string[]): Promise<Map<string, Video>> {
    const rows = await this.db.query<Video>(`SELECT ${this.columns} FROM video v WHERE v.id = ANY($1::uuid[])`, [ids]);
    return new Map(rows.map((row) => [row.id, row]));
  }

  /** The video if the actor may see it, else null. */
  async visible(id: string, actor: Actor | null): Promise<Video | null> {
    const video = await this.byId(this.db, id);
    if (!video) return null;
    const role = await this.roleIn(video, actor);
    return canWatch(video, actor, role, video.readAt) ? video : null;
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
  async ofChannel(
    channelId: string,
    all: boolean,
    first: number,
    after?: string | null,
  ): Promise<{ rows: (Video & { cursorTime: string })[]; hasNextPage: boolean }> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [null, null];
    const rows = await this.db.query<Video & { cursorTime: string }>(
      `SELECT ${this.columns}, v.created_at::text AS "cursorTime" FROM video v
       WHERE ${listed(all)} ${time ? 'AND (v.created_at, v.id) < ($3, $4)' : ''}
       ORDER BY v.created_at DESC, v.id DESC LIMIT $2`,
      [channelId, first + 1, ...(time ? [time, id] : [])],
    );
    return { rows: rows.slice(0, first), hasNextPage: rows.length > first };
  }

  async countOfChannel(channelId: string, all: boolean): Promise<number> {
    const [row] = await this.db.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM video v WHERE ${listed(all)}`,
      [channelId],
    );
    return row?.count ?? 0;
  }

  static cursorOf(row: { cursorTime: string; id: string }): string {
    return encodeCursor(row.cursorTime, row.id);
  }

  /** Made with its upload session, in that one's transaction. */
  async create(
    tx: Tx,
    video: {
      channelId: string;
      ownerId: string;
      title: string;
      description: string;
      visibility: VideoVisibility;
    },
  ): Promise<string> {
    const [row] = await tx.query<{ id: string }>(
      `INSERT INTO video (channel_id, owner_id, title, description, visibility) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
      [video.channelId, video.ownerId, video.title, video.description, video.visibility],
    );
    if (!row) throw new Error('INSERT gave no row');
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

  async update(
    actor: Actor,
    id: string,
    change: {
      title?: string | null;
      description?: string | null;
      visibility?: VideoVisibility | null;
      publishAt?: Date | null;
      downloadable?: boolean | null;
    },
  ): Promise<Video> {
    const title = change.title == null ? null : VideosService.cleanTitle(change.title);
    const description = change.description == null ? null : VideosService.cleanDescription(change.description);
    await this.editable(id, actor);
    return this.db.tx(async (tx) => {
      // Whatever hides the video from somebody who could see it also ends the addresses they hold.
      const [row] = await tx.query<Video>(
        `UPDATE video v SET title = coalesce($2, title), description = coalesce($3, description),
                visibility = coalesce($4, visibility), downloadable = coalesce($7, downloadable), publish_at = CASE WHEN $5 THEN $6::timestamptz ELSE publish_at END,
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
        ],
      );
      if (!row) throw new NotFound('video', ['videoId']);
      if (change.downloadable != null) await this.events.publish(tx, DownloadDecided, { videoId: id });
      tx.afterCommit(() => this.live.tick(videoTopic(id)));
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
    const gone = await tx.query(
      `UPDATE video SET deleted_at = now(), title = '', description = '', access_epoch = access_epoch + 1, run = run + 1
       WHERE id = $1 AND deleted_at IS NULL RETURNING id`,
      [id],
    );
    if (gone.length === 0) return;
    await this.events.publish(tx, VideoDeleted, { videoId: id });
    tx.afterCommit(() => this.live.tick(videoTopic(id)));
  }

  /** The upload is complete and its digest was right: from here on others than its editors may come to see it. */
  async markVerified(tx: Tx, id: string): Promise<{ run: number } | null> {
    const [row] = await tx.query<{ run: number }>(
      `UPDATE video SET verified_at = now(),
              published_at = CASE WHEN state IN ('PLAYABLE', 'READY') THEN coalesce(published_at, now()) ELSE published_at END
       WHERE id = $1 AND deleted_at IS NULL RETURNING run`,
      [id],
    );
    tx.afterCommit(() => this.live.tick(videoTopic(id)));
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
    const rows = await tx.query(
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
    if (rows.length === 0) return false;
    if (to === 'READY') await this.events.publish(tx, VideoReady, { videoId, run });
    if (to === 'FAILED' && failure) await this.events.publish(tx, VideoFailed, { videoId, run, code: failure.code });
    tx.afterCommit(() => this.live.tick(videoTopic(videoId)));
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
    tx.afterCommit(() => this.live.tick(videoTopic(videoId)));
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
    tx.afterCommit(() => this.live.tick(videoTopic(videoId)));
    return row?.run ?? null;
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
    tx.afterCommit(() => this.live.tick(videoTopic(videoId)));
    return true;
  }

  /** Somebody watches it. Costs a write once an hour, however often it is called. */
  async noteWatched(videoId: string): Promise<void> {
    await this.db.query(
      `UPDATE video SET watched_at = now() WHERE id = $1 AND watched_at < now() - interval '1 hour'`,
      [videoId],
    );
  }

  private async roleIn(video: { channelId: string }, actor: Actor | null) {
    return actor ? this.channels.roleOf(actor.userId, video.channelId) : null;
  }
}

/** The condition, with the channel as `$1`, for what is in the channel's list. */
function listed(all: boolean): string {
  return `v.channel_id = $1 AND v.deleted_at IS NULL ${
    all
      ? ''
      : `AND v.visibility = 'PUBLIC' AND v.verified_at IS NOT NULL AND v.state IN ('PLAYABLE', 'READY')
         AND (v.publish_at IS NULL OR v.publish_at <= now())`
  }`;
}
