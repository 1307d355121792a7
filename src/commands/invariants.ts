import type { Sql } from '../common/database/index.js';

/**
 * What no fault may break, as questions whose answers are empty on a healthy system, at any time: each is one statement,
 * so it sees the database as it was at one moment.
 */
const QUESTIONS: Record<string, string> = {
  'a READY video lacks a segment, an init or a piece': `
    SELECT v.id FROM video v JOIN rendition r ON r.video_id = v.id AND r.run = v.run
    WHERE v.state = 'READY' AND coalesce(r.on_demand, 'MADE') = 'MADE' AND (r.init IS NULL OR r.codecs IS NULL OR r.segment_count <>
      (SELECT count(*) FROM segment s WHERE s.video_id = v.id AND s.run = v.run AND s.rendition = r.name))
    UNION SELECT v.id FROM video v JOIN piece p ON p.video_id = v.id AND p.run = v.run WHERE v.state = 'READY' AND p.done_at IS NULL AND p.kind <> 'RUNG'`,
  'a rung that waits to be asked for, or was given up, has something': `
    SELECT r.video_id, r.name FROM rendition r WHERE r.on_demand IN ('ABSENT', 'FAILED') AND (r.init IS NOT NULL
      OR EXISTS (SELECT FROM segment s WHERE s.video_id = r.video_id AND s.run = r.run AND s.rendition = r.name)
      OR EXISTS (SELECT FROM piece p WHERE p.video_id = r.video_id AND p.run = r.run AND p.rendition = r.name))`,
  'a video can be watched whose upload was not verified': `
    SELECT id FROM video WHERE verified_at IS NULL AND (state = 'READY' OR published_at IS NOT NULL)`,
  'a segment, a still, a download or an image names an object that is not kept, or reaches beyond it': `
    SELECT s.object_key FROM segment s LEFT JOIN stored_object o ON o.key = s.object_key
    WHERE o.state IS DISTINCT FROM 'KEPT' OR s.byte_offset + s.byte_size > o.size_bytes
    UNION SELECT s.object_key FROM still s LEFT JOIN stored_object o ON o.key = s.object_key WHERE o.state IS DISTINCT FROM 'KEPT'
    UNION SELECT d.object_key FROM download d LEFT JOIN stored_object o ON o.key = d.object_key
    WHERE o.state IS DISTINCT FROM 'KEPT' OR o.size_bytes <> d.size_bytes
    UNION SELECT o.key FROM channel_image i JOIN stored_object o ON o.key IN (i.source_key, i.object_key)
    WHERE o.state <> 'KEPT' OR (o.key = i.object_key AND o.size_bytes <> i.size_bytes)`,
  'a kept object belongs to nothing': `
    SELECT key FROM stored_object o WHERE state = 'KEPT'
      AND NOT EXISTS (SELECT FROM upload_chunk WHERE object_key = o.key)
      AND NOT EXISTS (SELECT FROM upload_session WHERE master_key = o.key)
      AND NOT EXISTS (SELECT FROM segment WHERE object_key = o.key)
      AND NOT EXISTS (SELECT FROM transcode_source WHERE picture_key = o.key)
      AND NOT EXISTS (SELECT FROM still WHERE object_key = o.key)
      AND NOT EXISTS (SELECT FROM download WHERE object_key = o.key)
      AND NOT EXISTS (SELECT FROM channel_image WHERE source_key = o.key OR object_key = o.key)`,
  'a chunk counts whose object is not kept, or has other bytes': `
    SELECT c.object_key FROM upload_chunk c JOIN stored_object o ON o.key = c.object_key
    WHERE o.state <> 'KEPT' OR o.size_bytes <> upper(c.span) - lower(c.span) OR o.sha256 <> c.sha256`,
  'what the chunks contribute overlaps, or is not what the session covers': `
    SELECT u.id FROM upload_session u LEFT JOIN LATERAL (
      SELECT range_agg(r) AS union_, sum(upper(r) - lower(r)) AS bytes FROM upload_chunk c, unnest(c.covers) r WHERE c.session_id = u.id) c ON true
    WHERE u.state IN ('OPEN', 'COMPLETING') AND (coalesce(c.union_, '{}') <> u.covered OR coalesce(c.bytes, 0) <>
      (SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(u.covered) r))`,
  'a session completes without every byte': `
    SELECT id FROM upload_session WHERE state IN ('COMPLETING', 'COMPLETED') AND covered <> int8multirange(int8range(0, size_bytes))`,
  'a completed session of a living video has no kept master of its size': `
    SELECT u.id FROM upload_session u JOIN video v ON v.id = u.video_id LEFT JOIN stored_object o ON o.key = u.master_key
    WHERE u.state = 'COMPLETED' AND v.deleted_at IS NULL AND v.state <> 'FAILED'
      AND (o.state IS DISTINCT FROM 'KEPT' OR o.size_bytes <> u.size_bytes)`,
  'a master is not the file that was declared': `
    SELECT u.id FROM upload_session u JOIN stored_object o ON o.key = u.master_key WHERE u.state = 'COMPLETED' AND o.sha256 <> u.sha256`,
  'a quota counter is not the sum': `
    SELECT a.id FROM app_user a WHERE used_bytes <> (SELECT coalesce(sum(size_bytes), 0) FROM upload_session u
      WHERE u.owner_id = a.id AND (u.state IN ('OPEN', 'COMPLETING') OR u.master_key IS NOT NULL))`,
  'a count of subscribers is not that of the rows': `
    SELECT c.id FROM channel c LEFT JOIN subscriber_count n ON n.channel_id = c.id
    LEFT JOIN (SELECT channel_id, count(*) AS rows FROM channel_subscription GROUP BY channel_id) s ON s.channel_id = c.id
    WHERE c.deleted_at IS NULL AND coalesce(n.subscribers, 0) <> coalesce(s.rows, 0)`,
  // Of a video that is deleted they go one after the other.
  'a count of likes is not that of the rows': `
    SELECT v.id FROM video v LEFT JOIN video_like_count c ON c.video_id = v.id
    LEFT JOIN (SELECT video_id, count(*) AS rows FROM video_like GROUP BY video_id) l ON l.video_id = v.id
    WHERE v.deleted_at IS NULL AND coalesce(c.likes, 0) <> coalesce(l.rows, 0)
    UNION ALL SELECT c.id FROM comment c JOIN video v ON v.id = c.video_id
    LEFT JOIN (SELECT comment_id, count(*) AS rows FROM comment_like GROUP BY comment_id) l ON l.comment_id = c.id
    WHERE v.deleted_at IS NULL AND c.deleted_at IS NULL AND c.like_count <> coalesce(l.rows, 0)`,
  'a count of comments or replies is not that of the rows': `
    SELECT v.id FROM video v LEFT JOIN video_discussion d ON d.video_id = v.id
    LEFT JOIN (SELECT video_id, count(*) AS rows FROM comment WHERE deleted_at IS NULL GROUP BY video_id) c ON c.video_id = v.id
    WHERE v.deleted_at IS NULL AND coalesce(d.comments, 0) <> coalesce(c.rows, 0)
    UNION ALL SELECT c.id FROM comment c JOIN video v ON v.id = c.video_id
    LEFT JOIN (SELECT parent_id, count(*) AS rows FROM comment WHERE deleted_at IS NULL GROUP BY parent_id) r ON r.parent_id = c.id
    WHERE v.deleted_at IS NULL AND c.reply_count <> coalesce(r.rows, 0)`,
  // Hours that are forgotten stay in the count.
  'a count of views is below that of its hours': `
    SELECT b.video_id FROM view_bucket b JOIN video v ON v.id = b.video_id LEFT JOIN video_popularity p ON p.video_id = b.video_id
    WHERE v.deleted_at IS NULL GROUP BY b.video_id, p.view_count HAVING sum(b.count) > coalesce(p.view_count, 0)`,
  // A version before this one deletes videos without telling who holds these.
  'what was said and liked of a video, or who followed a channel, is kept a day after it went': `
    SELECT id FROM video v WHERE deleted_at < now() - interval '1 day' AND (EXISTS (SELECT FROM comment WHERE video_id = v.id)
      OR EXISTS (SELECT FROM video_like WHERE video_id = v.id))
    UNION ALL SELECT id FROM channel c WHERE deleted_at < now() - interval '1 day'
      AND EXISTS (SELECT FROM channel_subscription WHERE channel_id = c.id)`,
  'what a video is found by is kept a day after it went': `
    SELECT id FROM video v WHERE deleted_at < now() - interval '1 day'
      AND (EXISTS (SELECT FROM video_term WHERE video_id = v.id) OR EXISTS (SELECT FROM related_videos WHERE video_id = v.id))`,
  'something unfinished has no job': `
    SELECT id FROM upload_session u WHERE state = 'COMPLETING'
      AND NOT EXISTS (SELECT FROM job WHERE name = 'AssembleMaster' AND state <> 'DONE' AND payload->>'sessionId' = u.id::text)
    UNION SELECT v.id FROM video v WHERE v.state IN ('PROCESSING', 'PLAYABLE') AND v.deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM piece p WHERE p.video_id = v.id AND p.run = v.run)
      AND NOT EXISTS (SELECT FROM job WHERE state <> 'DONE' AND payload->>'videoId' = v.id::text)
    UNION SELECT v.id FROM video v JOIN piece p ON p.video_id = v.id AND p.run = v.run
    WHERE v.state IN ('PROCESSING', 'PLAYABLE') AND v.deleted_at IS NULL AND p.done_at IS NULL AND p.kind <> 'STILLS'
      -- Before the whole file was looked at, pieces wait for their bytes.
      AND NOT EXISTS (SELECT FROM transcode_source t WHERE t.video_id = v.id AND t.run = v.run AND t.early)
      AND NOT EXISTS (SELECT FROM job WHERE dedupe_key = 'piece:' || p.id AND state <> 'DONE')
    UNION SELECT v.id FROM video v JOIN rendition r ON r.video_id = v.id AND r.run = v.run AND r.on_demand = 'ASKED'
    -- One without pieces is found by the next sweep.
    JOIN piece p ON p.video_id = v.id AND p.run = v.run AND p.rendition = r.name
    WHERE v.state = 'READY' AND v.deleted_at IS NULL AND p.done_at IS NULL
      AND NOT EXISTS (SELECT FROM job WHERE dedupe_key = 'piece:' || p.id AND state <> 'DONE')`,
};

/** Of a rule that is broken a thousand times these tell enough. */
const SHOWN = 100;

export interface BrokenInvariant {
  rule: string;
  /** The ids or keys that break it; no more than 100. */
  rows: Record<string, unknown>[];
}

export async function* brokenInvariants(sql: Sql): AsyncGenerator<BrokenInvariant> {
  for (const [rule, question] of Object.entries(QUESTIONS)) {
    const rows = await sql.query(`SELECT * FROM (${question}) broken LIMIT ${SHOWN}`);
    if (rows.length > 0) yield { rule, rows };
  }
}
