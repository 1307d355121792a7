// What both peers answer with: the statements of the application for the two operations, on a bare pool of connections.
import { join } from 'node:path';
import pg from 'pg';
import { readSettings } from '../../src/common/config/index.js';
import { DiskStorage } from '../../src/modules/storage/disk-storage.js';
import type { ObjectStorage } from '../../src/modules/storage/index.js';
import { S3Storage } from '../../src/modules/storage/s3-storage.js';
import { expiryFor, signToken } from '../../src/modules/streaming/playback-token.js';
import {
  formatRange,
  isCovered,
  missingRanges,
  parseMultirange,
  sizeOf,
} from '../../src/modules/uploads/byte-ranges.js';
import { commit } from '../../src/modules/uploads/upload-ledger.js';

pg.types.setTypeParser(20, Number);
const settings = readSettings();
const pool = new pg.Pool({ connectionString: settings.databaseUrl as string, max: settings.databasePoolSize });
const storage: ObjectStorage = settings.s3
  ? new S3Storage(settings.s3)
  : new DiskStorage({ root: join(settings.dataDir, 'storage'), publicUrl: '', signingSecret: '' });
/** Nobody signs in to a peer. */
const VIEWER = process.env.BENCH_VIEWER as string;

export const idOf = (type: string, uuid: string) => Buffer.from(`${type}:${uuid}`).toString('base64url');
export const uuidOf = (id: string) => Buffer.from(id, 'base64url').toString().split(':')[1] as string;

export async function channel(id: string) {
  const { rows } = await pool.query(
    'SELECT id, handle, handle_key AS "handleKey", name, description, created_at AS "createdAt" FROM channel WHERE id = $1',
    [uuidOf(id)],
  );
  return rows[0] && { ...rows[0], uuid: rows[0].id, id };
}

export async function roles(channelIds: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await pool.query(
    'SELECT channel_id AS "channelId", user_id AS "userId", role, created_at AS "createdAt" FROM channel_member WHERE user_id = $1 AND channel_id = ANY($2::uuid[])',
    [VIEWER, channelIds],
  );
  return new Map(rows.map((row) => [row.channelId, row.role]));
}

export async function videos(channelId: string, first: number) {
  const { rows } = await pool.query(
    `SELECT v.id, v.channel_id AS "channelId", v.owner_id AS "ownerId", v.title, v.description, v.visibility, v.state,
            v.failure_code AS "failureCode", v.failure_message AS "failureMessage", v.failure_retryable AS "failureRetryable",
            v.run, v.access_epoch AS "accessEpoch", v.verified_at AS "verifiedAt", v.publish_at AS "publishAt",
            v.published_at AS "publishedAt", v.duration_ms AS "durationMs", v.width, v.height, v.frame_rate AS "frameRate",
            v.stage, v.processing_started_at AS "processingStartedAt", v.processing_finished_at AS "processingFinishedAt",
            v.processing_attempts AS "processingAttempts", v.created_at AS "createdAt", v.deleted_at AS "deletedAt",
            now() AS "readAt", v.created_at::text AS "cursorTime" FROM video v
     WHERE v.channel_id = $1 AND v.deleted_at IS NULL ORDER BY v.created_at DESC, v.id DESC LIMIT $2`,
    [channelId, first + 1],
  );
  const page = rows.slice(0, first);
  const last = page.at(-1);
  return {
    rows: page,
    hasNextPage: rows.length > first,
    endCursor: last && Buffer.from(JSON.stringify([last.cursorTime, last.id])).toString('base64url'),
  };
}

export async function watchable(
  videoIds: readonly string[],
): Promise<Map<string, { stills: { kind: string; number: number }[] }>> {
  const { rows } = await pool.query(
    `SELECT v.id, v.run,
       (SELECT coalesce(json_agg(json_build_object('kind', r.kind, 'codecs', r.codecs, 'started', EXISTS (
                 SELECT FROM segment s WHERE s.video_id = r.video_id AND s.run = r.run AND s.rendition = r.name AND s.number = 1
               ))), '[]')
        FROM rendition r WHERE r.video_id = v.id AND r.run = v.run) AS tracks,
       (SELECT coalesce(json_agg(json_build_object('kind', kind, 'number', number, 'atMs', at_ms, 'width', width, 'height', height)
                        ORDER BY at_ms, number), '[]')
        FROM still WHERE video_id = v.id AND still.run = v.run) AS stills
     FROM video v WHERE v.id = ANY($1::uuid[]) AND v.deleted_at IS NULL AND v.state NOT IN ('FAILED', 'BLOCKED')`,
    [videoIds],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

export function posterUrl(
  video: { id: string; run: number; accessEpoch: number; readAt: Date },
  found: { stills: { kind: string; number: number }[] } | undefined,
): string | null {
  const poster = found?.stills.find((still) => still.kind === 'POSTER');
  if (!poster) return null;
  const grant = { epoch: video.accessEpoch, expiresAt: expiryFor(video.readAt.getTime() / 1000, 6 * 3600) };
  const token = signToken(settings.playbackSecret as string, video.id, grant);
  return `${process.env.BENCH_PUBLIC_URL}/media/${token}/${video.id}/r${video.run}/poster/${poster.number}.jpg`;
}

export interface Chunk {
  offset: number;
  sizeBytes: number;
  sha256: string;
}

async function session(id: string) {
  const { rows } = await pool.query(
    `SELECT id, owner_id AS "ownerId", channel_id AS "channelId", video_id AS "videoId", file_name AS "fileName",
            content_type AS "contentType", size_bytes AS "sizeBytes", sha256, fingerprint, idempotency_key AS "idempotencyKey",
            input_hash AS "inputHash", state, paused_at AS "pausedAt", epoch, covered, failure_code AS "failureCode",
            failure_message AS "failureMessage", master_key AS "masterKey", created_at AS "createdAt",
            expires_at AS "expiresAt", completed_at AS "completedAt" FROM upload_session WHERE id = $1`,
    [id],
  );
  return rows[0];
}

/** Of chunks that are all stored, as signed. */
export async function commitChunks(sessionId: string, stored: readonly Chunk[]) {
  const uuid = uuidOf(sessionId);
  const before = await session(uuid);
  if (before.state !== 'OPEN') throw new Error('The session has ended.');
  const range = (chunk: Chunk) => ({ start: chunk.offset, end: chunk.offset + chunk.sizeBytes });
  const { rows: keys } = await pool.query(
    `SELECT n.k, t.object_key AS key FROM unnest($2::int8range[], $3::bytea[]) WITH ORDINALITY AS n(span, sha, k)
     JOIN upload_target t ON t.session_id = $1 AND t.span = n.span AND t.sha256 = n.sha`,
    [uuid, stored.map((chunk) => formatRange(range(chunk))), stored.map((chunk) => Buffer.from(chunk.sha256, 'hex'))],
  );
  const looked = new Array<{ range: { start: number; end: number }; key: string; sha256: string }>(stored.length);
  const rest = keys[Symbol.iterator]();
  const look = async () => {
    for (const { k, key } of rest) {
      const chunk = stored[k - 1] as Chunk;
      const object = await storage.head(key);
      if (object?.sizeBytes !== chunk.sizeBytes || object.sha256 !== chunk.sha256) throw new Error('Not stored.');
      looked[k - 1] = { range: range(chunk), key, sha256: chunk.sha256 };
    }
  };
  await Promise.all(Array.from({ length: 16 }, look));

  const client = await pool.connect();
  let result: Awaited<ReturnType<typeof commit>>;
  try {
    await client.query('START TRANSACTION');
    result = await commit(
      { query: async (sql, parameters) => (await client.query(sql, parameters as unknown[])).rows },
      uuid,
      looked,
    );
    await client.query('COMMIT');
  } finally {
    client.release();
  }
  const contributing = new Set(result?.contributing);
  const results = looked.map(({ key, range }) => ({
    offset: range.start,
    outcome: contributing.has(key) || !isCovered(range, result?.covered ?? []) ? 'COMMITTED' : 'ALREADY_COVERED',
    code: null,
    message: null,
  }));
  const after = await session(uuid);
  const covered = parseMultirange(after.covered);
  const committedBytes = sizeOf(covered);
  return {
    session: {
      id: sessionId,
      progress: committedBytes / after.sizeBytes,
      committedBytes,
      missingRanges: missingRanges(covered, after.sizeBytes),
    },
    results,
    userErrors: [],
  };
}
