import { createHash } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { columnsOf, Database, type Sql, type Tx } from '../../common/database/index.js';
import { DomainError, InvalidInput, NotFound } from '../../common/errors/index.js';
import { OnEvent } from '../../common/events/index.js';
import { decodeCursor, type KeysetPage, pageOf } from '../../common/graphql/index.js';
import { Jobs, Periodically, type Share } from '../../common/jobs/index.js';
import { Live } from '../../common/live/index.js';
import type { RateLimit } from '../../common/rate-limits/index.js';
import { beginUpload, traceUpload } from '../../common/tracing/index.js';
import { ChannelsService, canUpload, EditorLeft } from '../channels/index.js';
import { StoredObjects } from '../storage/index.js';
import { cleanName, UsersService } from '../users/index.js';
import { VideoDeleted, VideosService, type VideoVisibility } from '../videos/index.js';
import { type ByteRange, formatRanges, missingRanges, parseMultirange } from './byte-ranges.js';
import { isHopeless } from './file-type.js';
import * as ledger from './upload-ledger.js';
import { UploadSessionEntity, type UploadSessionState } from './upload-session.entity.js';
import {
  FileRefused,
  IdempotencyKeyReused,
  QuotaExceeded,
  SessionEnded,
  TooManyOpenUploads,
  UploadIncomplete,
} from './uploads.errors.js';
import { AssembleMaster, FreeChunks, LookAhead } from './uploads.jobs.js';
import { sessionsEnded } from './uploads.metrics.js';
import { canManageUpload } from './uploads.policy.js';
import { firstWanted } from './wanted-ranges.js';

export type UploadSessionRow = UploadSessionEntity;
export interface ChunkRow {
  offset: number;
  sizeBytes: number;
  sha256: Buffer | null;
  verified: boolean;
  state: 'SIGNED' | 'COMMITTED' | 'FAILED';
  attempts: number;
  failureReason: string | null;
  committedAt: Date | null;
  key: string;
}
export interface Page<Row> {
  rows: Row[];
  hasNextPage: boolean;
}

/** The live topic that ticks when anything about the session changed. */
export const uploadTopic = (sessionId: string): string => `upload:${sessionId}`;

/** Of one user, however they are begun. */
export const SESSIONS: RateLimit = { name: 'createUploadSession', points: 600, seconds: 60 };

const MISSING_SHOWN = 100;
export const RATE_WINDOW_SECONDS = 60;
/** Whoever still reads a chunk under a lease that was lost has stopped by then. */
const LONGEST_LEASE_MS = 60_000;
const EXPIRED_AT_ONCE = 100;
const MOST_BATCHES = 20;

/** An upload session's life: begun, paused, resumed, completed, cancelled, expired. Its chunks are ChunksService's. */
@Injectable()
export class UploadsService {
  private readonly columns: string;

  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly live: Live,
    private readonly objects: StoredObjects,
    private readonly users: UsersService,
    private readonly channels: ChannelsService,
    private readonly videos: VideosService,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    this.columns = columnsOf(db, UploadSessionEntity, 'u');
  }

  async byId(id: string, sql: Sql = this.db): Promise<UploadSessionRow | null> {
    const [row] = await sql.query<UploadSessionRow>(`SELECT ${this.columns} FROM upload_session u WHERE u.id = $1`, [
      id,
    ]);
    return row ?? null;
  }

  async byVideoIds(videoIds: readonly string[]): Promise<Map<string, UploadSessionRow>> {
    const rows = await this.db.query<UploadSessionRow>(
      `SELECT ${this.columns} FROM upload_session u WHERE u.video_id = ANY($1::uuid[])`,
      [videoIds],
    );
    return new Map(rows.map((row) => [row.videoId, row]));
  }

  /** The session if it is the actor's to see and move, else null. */
  async managed(id: string, actor: Actor | null): Promise<UploadSessionRow | null> {
    const session = actor && (await this.byId(id));
    if (!session) return null;
    const role = session.ownerId === actor.userId ? null : await this.channels.roleOf(actor.userId, session.channelId);
    return canManageUpload(session, actor, role) ? session : null;
  }

  /** @throws NotFound */
  async get(id: string, actor: Actor): Promise<UploadSessionRow> {
    const session = await this.managed(id, actor);
    if (!session) throw new NotFound('upload session', ['sessionId']);
    return session;
  }

  /** Newest first. */
  async ofUser(
    userId: string,
    filter: { state?: UploadSessionState | null; fingerprint?: string | null },
    first: number,
    after?: string | null,
  ): Promise<KeysetPage<UploadSessionRow>> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [null, null];
    const rows = await this.db.query<UploadSessionRow & { time: string }>(
      `SELECT ${this.columns}, u.created_at::text AS time FROM upload_session u
       WHERE u.owner_id = $1 AND ($3::text IS NULL OR u.state = $3) AND ($4::text IS NULL OR u.fingerprint = $4)
         ${time ? 'AND (u.created_at, u.id) < ($5, $6)' : ''}
       ORDER BY u.created_at DESC, u.id DESC LIMIT $2`,
      [userId, first + 1, filter.state ?? null, filter.fingerprint ?? null, ...(time ? [time, id] : [])],
    );
    return pageOf(rows, first, (row) => [row.time, row.id]);
  }

  /** Chunks in the order of the file: what was committed, and what was signed or failed and is not committed. */
  async chunksOf(
    sessionId: string,
    state: ChunkRow['state'] | null,
    first: number,
    after?: string | null,
  ): Promise<Page<ChunkRow>> {
    const [offset, key] = after ? decodeCursor(after, 'integer', 'text') : [null, null];
    const rows = await this.db.query<ChunkRow>(
      `SELECT * FROM (
         SELECT lower(c.span) AS "offset", upper(c.span) - lower(c.span) AS "sizeBytes", c.sha256, c.verified,
                'COMMITTED' AS state, coalesce(t.failures, 0) + 1 AS attempts, t.failure_reason AS "failureReason",
                c.committed_at AS "committedAt", c.object_key AS key
         FROM upload_chunk c LEFT JOIN upload_target t USING (session_id, span, sha256) WHERE c.session_id = $1
         UNION ALL
         SELECT lower(t.span), upper(t.span) - lower(t.span), t.sha256, false, t.state, t.failures, t.failure_reason,
                NULL, t.object_key
         FROM upload_target t WHERE t.session_id = $1
           AND NOT EXISTS (SELECT FROM upload_chunk c WHERE c.object_key = t.object_key)
       ) chunk
       WHERE ($3::text IS NULL OR state = $3) ${offset === null ? '' : 'AND ("offset", key) > ($4, $5)'}
       ORDER BY "offset", key LIMIT $2`,
      [sessionId, first + 1, state, ...(offset === null ? [] : [offset, key])],
    );
    return { rows: rows.slice(0, first), hasNextPage: rows.length > first };
  }

  async failedChunkCount(sessionId: string): Promise<number> {
    const [row] = await this.db.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM upload_target t WHERE session_id = $1 AND state = 'FAILED'
         AND NOT EXISTS (SELECT FROM upload_chunk c WHERE c.object_key = t.object_key)`,
      [sessionId],
    );
    return row?.count ?? 0;
  }

  /** Bytes a second over the last minute, as the ledger saw them; no entry where nothing arrived in it. */
  async ratesOf(sessionIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.db.query<{ id: string; rate: number }>(
      `SELECT s.id, sum(upper(r) - lower(r))::float8 /
              greatest(1, least($2, extract(epoch FROM clock_timestamp() - s.created_at)))::float8 AS rate
       FROM upload_session s JOIN upload_chunk c ON c.session_id = s.id, unnest(c.covers) r
       WHERE s.id = ANY($1::uuid[]) AND c.committed_at > clock_timestamp() - $2 * interval '1 s' GROUP BY s.id`,
      [sessionIds, RATE_WINDOW_SECONDS],
    );
    return new Map(rows.map((row) => [row.id, row.rate]));
  }

  /** Those that a request of the append lane brings bytes of right now. */
  async receiving(sessionIds: readonly string[]): Promise<Map<string, true>> {
    const rows = await this.db.query<{ id: string }>(
      'SELECT DISTINCT session_id AS id FROM upload_writer WHERE session_id = ANY($1::uuid[])',
      [sessionIds],
    );
    return new Map(rows.map(({ id }) => [id, true]));
  }

  /** The verified original of a video, or null when there is none (yet, or any more). */
  async masterOf(sql: Sql, videoId: string): Promise<{ key: string; sizeBytes: number } | null> {
    const [row] = await sql.query<{ key: string; sizeBytes: number }>(
      `SELECT master_key AS key, size_bytes AS "sizeBytes" FROM upload_session
       WHERE video_id = $1 AND state = 'COMPLETED' AND master_key IS NOT NULL`,
      [videoId],
    );
    return row ?? null;
  }

  /**
   * Begins an upload, with its video; or gives the one that the same key began.
   *
   * @throws InvalidInput, FileRefused, NotFound (the channel), QuotaExceeded, TooManyOpenUploads, IdempotencyKeyReused
   */
  async create(
    actor: Actor,
    input: {
      channelId: string;
      fileName: string;
      sizeBytes: number;
      contentType?: string | null;
      sha256?: string | null;
      fingerprint?: string | null;
      title?: string | null;
      description?: string | null;
      tags?: readonly string[] | null;
      language?: string | null;
      visibility: VideoVisibility;
      highlight?: boolean | null;
      idempotencyKey: string;
    },
  ): Promise<UploadSessionRow> {
    const startedAt = new Date();
    const fileName = cleanName(input.fileName, 'fileName', 255);
    const title = VideosService.cleanTitle(input.title ?? [...fileName].slice(0, 100).join(''));
    const description = VideosService.cleanDescription(input.description ?? '');
    const tags = VideosService.cleanTags(input.tags ?? []);
    const language = input.language == null ? null : VideosService.cleanLanguage(input.language);
    const { sizeBytes, idempotencyKey } = input;
    if (sizeBytes === 0) throw new FileRefused('EMPTY_FILE', 'The file is empty.');
    if (sizeBytes > this.config.maxUploadBytes) {
      throw new FileRefused('FILE_TOO_LARGE', `A file may have at most ${this.config.maxUploadBytes} bytes.`);
    }
    if (isHopeless(fileName, input.contentType ?? null)) {
      const message = 'By its name or type this is no video: send a video file.';
      throw new FileRefused('UNSUPPORTED_TYPE', message, input.contentType ? 'contentType' : 'fileName');
    }
    const hash = createHash('sha256')
      .update(
        JSON.stringify([
          input.channelId,
          fileName,
          sizeBytes,
          input.contentType ?? null,
          input.sha256 ?? null,
          input.fingerprint ?? null,
          title,
          description,
          input.visibility,
          // A key from before there were these still means what it meant.
          ...(input.highlight ? ['highlight'] : []),
          ...(tags.length > 0 ? [{ tags }] : []),
          ...(language ? [{ language }] : []),
        ]),
      )
      .digest();
    const found = await this.byKey(actor.userId, idempotencyKey, hash);
    if (found) return found;

    const wanted = this.config.earlyProcessing ? firstWanted(fileName, input.contentType ?? null, sizeBytes) : null;
    const made = await this.db
      .tx(async (tx) => {
        await this.reserve(tx, actor.userId, sizeBytes);
        const videoId = await this.videos.create(tx, {
          channelId: input.channelId,
          ownerId: actor.userId,
          title,
          description,
          tags,
          language,
          visibility: input.visibility,
          isHighlight: input.highlight ?? false,
        });
        // Asked with the channel locked: whoever takes the role away has done so, or finds the session.
        const role = (await this.channels.rolesOf(actor.userId, [input.channelId], tx)).get(input.channelId) ?? null;
        if (!canUpload(role)) throw new NotFound('channel', ['channelId']);
        const [row] = await tx.query<UploadSessionRow>(
          `INSERT INTO upload_session AS u (owner_id, channel_id, video_id, file_name, content_type, size_bytes, sha256,
                                          fingerprint, idempotency_key, input_hash, wanted)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (owner_id, idempotency_key) DO NOTHING RETURNING ${this.columns}`,
          [
            actor.userId,
            input.channelId,
            videoId,
            fileName,
            input.contentType ?? null,
            sizeBytes,
            input.sha256 == null ? null : Buffer.from(input.sha256, 'hex'),
            input.fingerprint ?? null,
            idempotencyKey,
            hash,
            wanted && formatRanges(wanted),
          ],
        );
        // The same key won a race: what this transaction reserved and made goes with its roll-back.
        if (!row) throw new LostRace();
        await this.checkInstallation(tx, sizeBytes, actor);
        tx.afterCommit(() =>
          beginUpload(videoId, 'createUploadSession', startedAt, {
            'sluice.session.id': row.id,
            'sluice.video.id': videoId,
            'sluice.file.bytes': sizeBytes,
          }),
        );
        return row;
      })
      .catch(async (error: unknown) => {
        if (!(error instanceof LostRace || error instanceof DomainError)) throw error;
        // Also what there was no room for may be what another request with this key has just begun.
        const winner = await this.byKey(actor.userId, idempotencyKey, hash);
        if (!winner && error instanceof DomainError) throw error;
        return winner;
      });
    if (!made) throw new Error('The session that won the race is gone.');
    return made;
  }

  /**
   * The user's row is locked from here on, so the number of open uploads stays what was counted.
   * @throws QuotaExceeded, TooManyOpenUploads
   */
  private async reserve(tx: Tx, userId: string, sizeBytes: number): Promise<void> {
    const { uploadQuotaBytes, maxOpenUploads } = this.config;
    if (!(await this.users.reserveBytes(tx, userId, sizeBytes, uploadQuotaBytes))) {
      throw new QuotaExceeded('USER', uploadQuotaBytes, await this.users.usedBytes(tx, userId));
    }
    const [{ open } = { open: 0 }] = await tx.query<{ open: number }>(
      `SELECT count(*)::int AS open FROM (SELECT FROM upload_session WHERE owner_id = $1 AND state = 'OPEN' LIMIT $2) o`,
      [userId, maxOpenUploads],
    );
    if (open >= maxOpenUploads) throw new TooManyOpenUploads(maxOpenUploads);
  }

  /** Last in its transaction: from here to the commit others wait. @throws QuotaExceeded */
  private async checkInstallation(tx: Tx, sizeBytes: number, actor: Actor): Promise<void> {
    const quota = this.config.installationQuotaBytes;
    if (quota === null) return;
    const held = await this.users.lockHeldBytes(tx);
    if (held <= quota) return;
    // How much all others store is nobody's business but an administrator's.
    throw new QuotaExceeded('INSTALLATION', quota, actor.role === 'ADMIN' ? held - sizeBytes : quota);
  }

  /** A flag alone: what still arrives counts. */
  async setPaused(actor: Actor, id: string, paused: boolean): Promise<UploadSessionRow> {
    await this.get(id, actor);
    return this.db.tx(async (tx) => {
      const [row] = await tx.query<UploadSessionRow>(
        `UPDATE upload_session u SET paused_at = CASE WHEN $2 THEN coalesce(paused_at, now()) END
         WHERE id = $1 AND state = 'OPEN' RETURNING ${this.columns}`,
        [id, paused],
      );
      this.tickAfter(tx, id);
      return row ?? this.ended(tx, id);
    });
  }

  /** @throws UploadIncomplete, SessionEnded, InvalidInput when another digest was declared */
  async complete(actor: Actor, id: string, sha256: string | null): Promise<UploadSessionRow> {
    const session = await this.get(id, actor);
    const attributes = { 'sluice.session.id': id };
    return traceUpload(session.videoId, 'completeUploadSession', attributes, () => this.completeIt(session, sha256));
  }

  private async completeIt(session: UploadSessionRow, sha256: string | null): Promise<UploadSessionRow> {
    const { id } = session;
    await this.db.tx((tx) => this.completeIfWhole(tx, id, sha256));
    const now = (await this.byId(id)) ?? session;
    if (now.state === 'CANCELLED' || now.state === 'EXPIRED') throw new SessionEnded(now.state);
    // It may also have been completed and reopened meanwhile: then its failure says why, and its ranges are whole.
    if (now.state === 'OPEN') {
      const missing = missingRanges(parseMultirange(now.covered), now.sizeBytes);
      if (missing.length > 0) throw new UploadIncomplete(missing.slice(0, MISSING_SHOWN));
    }
    if (sha256 !== null && now.sha256 !== null && now.sha256.toString('hex') !== sha256) {
      throw new InvalidInput('The session declares another digest of the whole file.', ['sha256'], 'DIGEST_DIFFERS');
    }
    return now;
  }

  async completeIfWhole(tx: Tx, id: string, sha256: string | null): Promise<void> {
    const epoch = await ledger.complete(tx, id, sha256);
    if (epoch === null) return;
    const [work] = await tx.query<{ owner: string; subject: string; megabytes: number }>(
      `SELECT owner_id AS owner, video_id AS subject, size_bytes / 1e6::float8 AS megabytes FROM upload_session WHERE id = $1`,
      [id],
    );
    // A small file costs a round trip or two as well.
    const options = { dedupeKey: `assemble:${id}:${epoch}`, cost: 1 + (work?.megabytes ?? 0), share: work };
    await this.jobs.enqueue(tx, AssembleMaster, { sessionId: id, epoch }, options);
    this.tickAfter(tx, id);
  }

  /** The video goes too. Cancelling what is cancelled answers the same; what is COMPLETED is deleted as a video. */
  async cancel(actor: Actor, id: string): Promise<UploadSessionRow> {
    await this.get(id, actor);
    await this.cancelSession(id);
    const session = await this.get(id, actor);
    if (session.state !== 'CANCELLED') throw new SessionEnded(session.state);
    return session;
  }

  /** For who was let in already. */
  async cancelSession(id: string): Promise<void> {
    await this.db.tx((tx) => this.end(tx, 'CANCELLED', `id = $2 AND state IN ('OPEN', 'COMPLETING')`, [id]));
  }

  /** @throws SessionEnded, or, when the state allows the call after all, an error that makes the caller try again */
  async ended(sql: Sql, id: string): Promise<never> {
    const session = await this.byId(id, sql);
    if (!session || session.state === 'OPEN') throw new Error('The session changed in mid-call.');
    throw new SessionEnded(session.state);
  }

  /** Each range must lie within the file and hold something. */
  async discard(actor: Actor, id: string, ranges: readonly ByteRange[]): Promise<UploadSessionRow> {
    const session = await this.get(id, actor);
    const wrong = ranges.findIndex((range) => range.start >= range.end || range.end > session.sizeBytes);
    if (wrong >= 0) throw new InvalidInput('This range is empty or not within the file.', ['ranges', String(wrong)]);
    await this.db.tx(async (tx) => {
      const gone = (await ledger.discard(tx, id, ranges)) ?? (await this.ended(tx, id));
      // What was made of the file so far may have been made of those.
      if (gone.any && (await this.videos.withdraw(tx, gone.videoId))) await this.lookAhead(tx, id);
      this.tickAfter(tx, id);
    });
    return this.get(id, actor);
  }

  /** What nobody was told of in time does not expire: UploadExpiry announces it first, a day ahead. */
  @Periodically(60_000)
  async expire(signal?: AbortSignal): Promise<void> {
    for (let batch = 0; batch < MOST_BATCHES && !signal?.aborted; batch++) {
      const ended = await this.db.tx((tx) =>
        this.end(
          tx,
          'EXPIRED',
          `id IN (SELECT id FROM upload_session WHERE state = 'OPEN' AND expires_at < now() AND expiry_announced = expires_at
                  ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
          [EXPIRED_AT_ONCE],
        ),
      );
      if (ended < EXPIRED_AT_ONCE) return;
    }
  }

  /** An unfinished upload ends with its video; a finished one gives its original back. */
  @OnEvent(VideoDeleted)
  async onVideoDeleted({ videoId }: { videoId: string }): Promise<void> {
    await this.db.tx(async (tx) => {
      await this.end(tx, 'CANCELLED', `video_id = $2 AND state IN ('OPEN', 'COMPLETING')`, [videoId]);
      await this.releaseMaster(tx, videoId);
    });
  }

  /** Who may not upload there any more finishes nothing there either. */
  @OnEvent(EditorLeft)
  async onEditorLeft({ channelId, userId }: { channelId: string; userId: string }): Promise<void> {
    await this.db.tx(async (tx) => {
      const role = (await this.channels.rolesOf(userId, [channelId], tx)).get(channelId) ?? null;
      if (canUpload(role)) return;
      const theirs = `channel_id = $2 AND owner_id = $3 AND state IN ('OPEN', 'COMPLETING')`;
      await this.end(tx, 'CANCELLED', theirs, [channelId, userId]);
    });
  }

  /** Gives a video's original back, with its share of the quota; nothing when there is none. */
  async releaseMaster(tx: Tx, videoId: string): Promise<void> {
    const [master] = await tx.query<{ key: string; ownerId: string; sizeBytes: number }>(
      `WITH old AS (SELECT id, master_key FROM upload_session
                    WHERE video_id = $1 AND state = 'COMPLETED' AND master_key IS NOT NULL FOR NO KEY UPDATE)
       UPDATE upload_session u SET master_key = NULL FROM old WHERE u.id = old.id
       RETURNING old.master_key AS key, u.owner_id AS "ownerId", u.size_bytes AS "sizeBytes"`,
      [videoId],
    );
    if (!master) return;
    await this.objects.drop(tx, [master.key]);
    await this.users.releaseBytes(tx, master.ownerId, master.sizeBytes);
  }

  /** Hands the chunks' objects to the collector, once nobody can be reading them any more. */
  async freeChunksLater(tx: Tx, sessionId: string): Promise<void> {
    await this.jobs.enqueue(tx, FreeChunks, { sessionId }, { delayMs: LONGEST_LEASE_MS });
  }

  async lookAhead(tx: Tx, sessionId: string): Promise<void> {
    const [share] = await tx.query<Share>(
      'SELECT owner_id AS owner, video_id AS subject FROM upload_session WHERE id = $1',
      [sessionId],
    );
    await this.jobs.enqueue(tx, LookAhead, { sessionId }, { share });
  }

  tickAfter(tx: Tx, sessionId: string): void {
    tx.afterCommit(() => this.live.tick(uploadTopic(sessionId)));
  }

  /** @returns how many */
  private async end(tx: Tx, to: 'CANCELLED' | 'EXPIRED', where: string, parameters: unknown[]): Promise<number> {
    const gone = await tx.query<{ id: string; videoId: string; ownerId: string; sizeBytes: number }>(
      `UPDATE upload_session SET state = $1, epoch = epoch + 1 WHERE ${where}
       RETURNING id, video_id AS "videoId", owner_id AS "ownerId", size_bytes AS "sizeBytes"`,
      [to, ...parameters],
    );
    for (const session of gone) {
      await this.users.releaseBytes(tx, session.ownerId, session.sizeBytes);
      await this.videos.remove(tx, session.videoId);
      await this.jobs.enqueue(tx, FreeChunks, { sessionId: session.id });
      this.tickAfter(tx, session.id);
      tx.afterCommit(() => sessionsEnded.inc({ state: to }));
    }
    return gone.length;
  }

  private async byKey(ownerId: string, key: string, hash: Buffer): Promise<UploadSessionRow | null> {
    const [row] = await this.db.query<UploadSessionRow>(
      `SELECT ${this.columns} FROM upload_session u WHERE u.owner_id = $1 AND u.idempotency_key = $2`,
      [ownerId, key],
    );
    if (row && !row.inputHash.equals(hash)) throw new IdempotencyKeyReused();
    return row ?? null;
  }
}

class LostRace extends Error {}
