import { Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { Database, type Tx } from '../../common/database/index.js';
import { Jobs } from '../../common/jobs/index.js';
import { traceStep } from '../../common/tracing/index.js';
import { mainAudio, type Probe, timing } from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { UploadsService } from '../uploads/index.js';
import { type VideoRow, VideosService } from '../videos/index.js';
import { ladder } from './ladder.js';
import { AUDIO_RENDITION, type PieceKind, pieceOf, plan } from './plan.js';
import { type KindProgress, type RenditionState, renditionState } from './progress.js';
import { Publisher } from './publisher.js';
import { CannotRetry, NothingToProcess } from './transcoding.errors.js';
import { ASKED_FOR, FreeRuns, PIECE_JOB_KEY, ProbeVideo, probeJobKey } from './transcoding.jobs.js';
import { videosEnded } from './transcoding.metrics.js';

export interface RenditionView {
  name: string;
  width: number;
  height: number;
  frameRate: number;
  codecs: string;
  averageBitsPerSecond: number;
  state: RenditionState;
}

/** Sums over the pieces of a video's run, and how long they have been worked on. */
export interface RunProgress {
  kinds: KindProgress[];
  seconds: number;
}

const FREE_PAGE = 500;

@Injectable()
export class TranscodingService {
  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly videos: VideosService,
    private readonly uploads: UploadsService,
    private readonly objects: StoredObjects,
    private readonly publisher: Publisher,
  ) {}

  async start(tx: Tx, videoId: string, run: number): Promise<void> {
    await this.jobs.enqueue(tx, ProbeVideo, { videoId, run }, { dedupeKey: probeJobKey(videoId, run) });
  }

  /**
   * Writes the whole plan of a run and asks for its pieces.
   *
   * @param found the master's probe and, where the master cannot be read in pieces, its picture's copy
   * @returns false, with nothing changed, when the run is over or was planned before
   */
  async planRun(
    video: { videoId: string; run: number },
    found: { probe: Probe; picture: { probe: Probe; key: string; sizeBytes: number } | null },
  ): Promise<boolean> {
    const { videoId, run } = video;
    const picture = (found.picture?.probe ?? found.probe).video;
    if (!picture) throw new Error('A probe without a picture was accepted.');
    const times = timing(found.picture?.probe ?? found.probe);
    const frameRate = times.fpsNum / times.fpsDen;
    const { renditions, pieces } = plan(times, ladder(picture, frameRate), mainAudio(found.probe) !== null);
    const about = { 'sluice.rungs': renditions.map(({ name }) => name), 'sluice.pieces': pieces.length };
    return traceStep('plan', about, () =>
      this.db.tx(async (tx) => {
        const [planned] = await tx.query(`SELECT FROM transcode_source WHERE video_id = $1 AND run = $2`, [
          videoId,
          run,
        ]);
        const described =
          !planned &&
          (await this.videos.describe(tx, videoId, run, {
            durationMs: Math.round((times.frames * 1000) / frameRate),
            width: picture.width,
            height: picture.height,
            frameRate,
          }));
        if (!described) {
          if (found.picture) await this.objects.drop(tx, [found.picture.key]);
          return false;
        }
        await tx.query(
          `INSERT INTO transcode_source (video_id, run, probe, picture, picture_key) VALUES ($1, $2, $3, $4, $5)`,
          [
            videoId,
            run,
            JSON.stringify(found.probe),
            found.picture ? JSON.stringify(found.picture.probe) : null,
            found.picture?.key ?? null,
          ],
        );
        if (found.picture && (await this.objects.keep(tx, [found.picture])).length === 0) {
          throw new Error('The copy of the picture was collected before it was planned with.');
        }
        await tx.query(
          `INSERT INTO rendition (video_id, run, name, kind, position, width, height, frame_rate_num, frame_rate_den, timescale,
                                max_bits_per_second, segment_count, segment_duration, total_duration)
         SELECT $1, $2, name, kind, position, width, height, "frameRateNum", "frameRateDen", timescale,
                "maxBitsPerSecond", "segmentCount", "segmentDuration", "totalDuration"
         FROM json_to_recordset($3) AS t(name text, kind text, position int, width int, height int, "frameRateNum" int,
                "frameRateDen" int, timescale int, "maxBitsPerSecond" int, "segmentCount" int,
                "segmentDuration" bigint, "totalDuration" bigint)`,
          [videoId, run, JSON.stringify(renditions)],
        );
        const rows = await tx.query<{ id: string; kind: PieceKind; number: number }>(
          `INSERT INTO piece (video_id, run, kind, number, first_frame, frame_count)
         SELECT $1, $2, kind, number, "firstFrame", "frameCount"
         FROM json_to_recordset($3) AS t(kind text, number int, "firstFrame" int, "frameCount" int)
         RETURNING id, kind, number`,
          [videoId, run, JSON.stringify(pieces)],
        );
        await this.publisher.ask(
          tx,
          rows.filter((row) => row.kind !== 'STILLS'),
        );
        return true;
      }),
    );
  }

  /** The file will never do: its video fails for good, and nothing of it stays stored. */
  async refuse(video: { videoId: string; run: number }, failure: { code: string; message: string }): Promise<void> {
    await this.db.tx(async (tx) => {
      const step = { ...video, to: 'FAILED', stage: 'FAILED', failure: { ...failure, retryable: false } } as const;
      if (!(await this.videos.transition(tx, step))) return;
      await this.uploads.releaseMaster(tx, video.videoId);
      tx.afterCommit(() => videosEnded.inc({ outcome: 'failed', code: failure.code }));
    });
  }

  /** A player waits for this segment: its piece is the next to be made, unless it is being made. */
  async hurry(wanted: { videoId: string; run: number; rendition: string; segmentNumber: number }): Promise<void> {
    const { videoId, run, rendition, segmentNumber } = wanted;
    const { kind, number } = pieceOf(rendition === AUDIO_RENDITION ? 'AUDIO' : 'VIDEO', segmentNumber);
    await this.db.query(
      `UPDATE job SET priority = $5 FROM piece p
       WHERE p.video_id = $1 AND p.run = $2 AND p.kind = $3 AND p.number = $4 AND p.done_at IS NULL
         AND job.dedupe_key = $6 || p.id AND job.state = 'QUEUED' AND job.priority > $5`,
      [videoId, run, kind, number, ASKED_FOR, PIECE_JOB_KEY],
    );
  }

  /**
   * Processes the master anew, from the beginning.
   *
   * @throws NotFound, NotAnEditor
   * @throws NothingToProcess when there is no verified master
   * @throws CannotRetry when it is blocked, or another run began meanwhile
   */
  async retry(actor: Actor, videoId: string): Promise<VideoRow> {
    const video = await this.videos.editable(videoId, actor);
    return this.db.tx(async (tx) => {
      const run = await this.videos.nextRun(tx, videoId, video.run, 'PROCESSING');
      // Under the video's lock: a verdict on the run before may be giving the master up just now.
      if (!(await this.uploads.masterOf(tx, videoId))) throw new NothingToProcess();
      const row = run === null ? null : await this.videos.byId(tx, videoId);
      if (run === null || row === null) throw new CannotRetry();
      await this.jobs.enqueue(tx, FreeRuns, { videoId, run: video.run });
      await this.start(tx, videoId, run);
      return row;
    });
  }

  /** Gives up all rows and objects of a video's runs up to and with this one. Safe to be cut anywhere and done again. */
  async free(videoId: string, run: number): Promise<void> {
    while (await this.db.tx((tx) => this.freeSegments(tx, videoId, run)));
    await this.db.tx(async (tx) => {
      const keys: string[] = [];
      for (const [table, column] of [
        ['still', 'object_key'],
        ['transcode_source', 'picture_key'],
        ['download', 'object_key'],
      ]) {
        const rows = await tx.query<{ key: string | null }>(
          `DELETE FROM ${table} WHERE video_id = $1 AND run <= $2 RETURNING ${column} AS key`,
          [videoId, run],
        );
        keys.push(...rows.flatMap((row) => (row.key === null ? [] : [row.key])));
      }
      await tx.query('DELETE FROM piece WHERE video_id = $1 AND run <= $2', [videoId, run]);
      await tx.query('DELETE FROM rendition WHERE video_id = $1 AND run <= $2', [videoId, run]);
      if (keys.length > 0) await this.objects.drop(tx, keys);
    });
  }

  /** The video rungs of the videos' runs, the lowest first. */
  async renditionsOf(videoIds: readonly string[]): Promise<Map<string, RenditionView[]>> {
    const rows = await this.db.query<
      Omit<RenditionView, 'state'> & {
        videoId: string;
        segments: number;
        segmentCount: number;
        hasFirst: boolean;
        videoFailed: boolean;
      }
    >(
      `SELECT r.video_id AS "videoId", r.name, r.width, r.height, r.frame_rate_num::float8 / r.frame_rate_den AS "frameRate",
              coalesce(r.codecs, '') AS codecs, coalesce(r.average_bits_per_second, r.max_bits_per_second) AS "averageBitsPerSecond",
              r.segment_count AS "segmentCount", v.state IN ('FAILED', 'BLOCKED') AS "videoFailed",
              -- Counting is for runs under way: what is READY has all.
              CASE WHEN v.state = 'READY' THEN r.segment_count
                   ELSE (SELECT count(*)::int FROM segment s WHERE s.video_id = r.video_id AND s.run = r.run AND s.rendition = r.name) END AS segments,
              EXISTS (SELECT FROM segment s WHERE s.video_id = r.video_id AND s.run = r.run AND s.rendition = r.name AND s.number = 1) AS "hasFirst"
       FROM rendition r JOIN video v ON v.id = r.video_id AND v.run = r.run
       WHERE r.video_id = ANY($1::uuid[]) AND r.kind = 'VIDEO' ORDER BY r.position`,
      [videoIds],
    );
    return byVideo(rows.map((row) => ({ ...row, state: renditionState(row) })));
  }

  async progressOf(videoIds: readonly string[]): Promise<Map<string, RunProgress>> {
    const rows = await this.db.query<KindProgress & { videoId: string; seconds: number }>(
      `SELECT p.video_id AS "videoId", p.kind, extract(epoch FROM now() - min(t.created_at))::float8 AS seconds,
              sum(p.frame_count)::float8 AS frames,
              sum(p.frame_count * CASE WHEN p.done_at IS NULL THEN p.progress ELSE 1 END)::float8 AS "framesDone"
       FROM piece p JOIN video v ON v.id = p.video_id AND v.run = p.run
       JOIN transcode_source t ON t.video_id = p.video_id AND t.run = p.run
       WHERE p.video_id = ANY($1::uuid[]) GROUP BY p.video_id, p.kind`,
      [videoIds],
    );
    return new Map([...byVideo(rows)].map(([videoId, kinds]) => [videoId, { kinds, seconds: kinds[0]?.seconds ?? 0 }]));
  }

  private async freeSegments(tx: Tx, videoId: string, run: number): Promise<boolean> {
    const keys = await tx.query<{ key: string }>(
      'SELECT DISTINCT object_key AS key FROM segment WHERE video_id = $1 AND run <= $2 LIMIT $3',
      [videoId, run, FREE_PAGE],
    );
    if (keys.length === 0) return false;
    const list = keys.map((row) => row.key);
    await tx.query('DELETE FROM segment WHERE object_key = ANY($1::text[])', [list]);
    await this.objects.drop(tx, list);
    return true;
  }
}

function byVideo<Row extends { videoId: string }>(rows: readonly Row[]): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) groups.set(row.videoId, [...(groups.get(row.videoId) ?? []), row]);
  return groups;
}
