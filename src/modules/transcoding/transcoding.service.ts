import { Inject, Injectable } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database, type Tx } from '../../common/database/index.js';
import { Jobs } from '../../common/jobs/index.js';
import { traceStep } from '../../common/tracing/index.js';
import { mainAudio, type Probe, type Rung, type Timing, timing } from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { UploadsService } from '../uploads/index.js';
import { type VideoRow, VideosService } from '../videos/index.js';
import { EncodeQueue } from './encode-queue.js';
import { ladder, onDemandRungs } from './ladder.js';
import { ADDRESS_NAME } from './made-renditions.js';
import { type MadeSegments, PieceResults } from './piece-results.js';
import { plan, type RunPieceKind, type RunSettings } from './plan.js';
import { type KindProgress, type OnDemandState, type RenditionState, renditionState } from './progress.js';
import { Publisher } from './publisher.js';
import { CannotRetry, NothingToProcess } from './transcoding.errors.js';
import { ASKED_FOR, FreeRuns, PIECE_JOB_KEY } from './transcoding.jobs.js';
import { videosEnded } from './transcoding.metrics.js';

export interface RenditionView {
  name: string;
  width: number;
  height: number;
  frameRate: number;
  codecs: string;
  averageBitsPerSecond: number;
  state: RenditionState;
  progress: number;
}

/** Sums over the pieces of a video's run, and how long they have been worked on. */
export interface RunProgress {
  kinds: KindProgress[];
  seconds: number;
  /** Until all pieces are made, by what waits and how fast it goes of late; null while nothing can be said. */
  expectedSeconds: number | null;
}

const FREE_PAGE = 500;
/** Twelve hours have 3,600. */
const MOST_PIECES = 10_000;

@Injectable()
export class TranscodingService {
  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly videos: VideosService,
    private readonly uploads: UploadsService,
    private readonly objects: StoredObjects,
    private readonly publisher: Publisher,
    private readonly queue: EncodeQueue,
    private readonly results: PieceResults,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  async start(tx: Tx, videoId: string, run: number): Promise<void> {
    await this.publisher.askForProbe(tx, videoId, run);
  }

  /**
   * Writes the whole plan of a run and asks for its pieces.
   *
   * @param found the master's probe and, where the master cannot be read in pieces, its picture's copy; `copyTop` answers the
   *   highest rung, written and not yet kept, where the master's own picture can be it. `early`: of what has arrived of it: then
   *   pieces are asked for as their bytes come, and the whole is looked at in the end
   * @returns false, with nothing changed, when the run is over or was planned before
   */
  async planRun(
    video: { videoId: string; run: number },
    found: {
      probe: Probe;
      picture: { probe: Probe; key: string; sizeBytes: number } | null;
      copyTop?: (rung: Rung, timing: Timing) => Promise<MadeSegments | null>;
      early?: boolean;
    },
  ): Promise<boolean> {
    const { videoId, run } = video;
    const { early = false } = found;
    const picture = (found.picture?.probe ?? found.probe).video;
    if (!picture) throw new Error('A probe without a picture was accepted.');
    const times = timing(found.picture?.probe ?? found.probe);
    const frameRate = times.fpsNum / times.fpsDen;
    const { encodePreset: preset, encodeCrf: crf, segmentsPerPiece } = this.config;
    const settings: RunSettings = { preset, crf, segmentsPerPiece };
    const rungs = ladder(picture, frameRate, { rungs: this.config.ladder });
    const top = rungs.at(-1);
    // Never the lowest: stills are made of its key pictures, which must be where we put them.
    const copied = top && rungs.length > 1 && found.copyTop ? await found.copyTop(top, times) : null;
    const hasSound = mainAudio(found.probe) !== null;
    // Where the picture is read from a copy, that goes when the video is READY.
    const absent = found.picture ? [] : onDemandRungs(rungs, this.config.onDemandAbove, copied?.rendition);
    const { renditions, pieces } = plan(times, rungs, hasSound, segmentsPerPiece, {
      copied: copied?.rendition,
      absent,
    });
    const about = {
      'sluice.rungs': renditions.map(({ name }) => name),
      'sluice.pieces': pieces.length,
      'sluice.copied': copied !== null,
    };
    return traceStep('plan', about, () =>
      this.db.tx(async (tx) => {
        const [planned] = await tx.query(`SELECT FROM transcode_source WHERE video_id = $1 AND run = $2`, [
          videoId,
          run,
        ]);
        const begun = { videoId, run, to: 'PROCESSING', stage: 'PROBING' } as const;
        const described =
          !planned &&
          (!early || (await this.videos.transition(tx, begun))) &&
          (await this.videos.describe(tx, videoId, run, {
            durationMs: Math.round((times.frames * 1000) / frameRate),
            width: picture.width,
            height: picture.height,
            frameRate,
          }));
        if (!described) {
          const written = [found.picture, copied].flatMap((object) => (object ? [object.key] : []));
          await this.objects.drop(tx, written);
          return false;
        }
        await tx.query(
          `INSERT INTO transcode_source (video_id, run, probe, picture, picture_key, early, settings)
           VALUES ($1, $2, $3, $4, $5, $6, $7)`,
          [
            videoId,
            run,
            JSON.stringify(found.probe),
            found.picture ? JSON.stringify(found.picture.probe) : null,
            found.picture?.key ?? null,
            early,
            JSON.stringify(settings),
          ],
        );
        if (found.picture && (await this.objects.keep(tx, [found.picture])).length === 0) {
          throw new Error('The copy of the picture was collected before it was planned with.');
        }
        await tx.query(
          `INSERT INTO rendition (video_id, run, name, kind, position, width, height, frame_rate_num, frame_rate_den, timescale,
                                max_bits_per_second, segment_count, segment_duration, total_duration, on_demand)
         SELECT $1, $2, name, kind, position, width, height, "frameRateNum", "frameRateDen", timescale,
                "maxBitsPerSecond", "segmentCount", "segmentDuration", "totalDuration", "onDemand"
         FROM json_to_recordset($3) AS t(name text, kind text, position int, width int, height int, "frameRateNum" int,
                "frameRateDen" int, timescale int, "maxBitsPerSecond" int, "segmentCount" int,
                "segmentDuration" bigint, "totalDuration" bigint, "onDemand" text)`,
          [videoId, run, JSON.stringify(renditions)],
        );
        if (copied) await this.results.adopt(tx, video, copied);
        const rows = await tx.query<{ id: string; kind: RunPieceKind; number: number; frameCount: number }>(
          `INSERT INTO piece (video_id, run, kind, number, first_frame, frame_count)
         SELECT $1, $2, kind, number, "firstFrame", "frameCount"
         FROM json_to_recordset($3) AS t(kind text, number int, "firstFrame" int, "frameCount" int)
         RETURNING id, kind, number, frame_count AS "frameCount"`,
          [videoId, run, JSON.stringify(pieces)],
        );
        if (early) return true;
        const now = rows.filter((row) => row.kind !== 'STILLS');
        await this.publisher.ask(tx, videoId, run, now);
        return true;
      }),
    );
  }

  /** Of a run that was planned early; null: not planned; `whole`: it is not to be begun early any more. */
  async earlyTiming({ videoId, run }: { videoId: string; run: number }): Promise<Timing | null | 'whole'> {
    const [row] = await this.db.query<{ state: string; probe: Probe | null; early: boolean | null }>(
      `SELECT v.state, t.probe, t.early FROM video v LEFT JOIN transcode_source t ON t.video_id = v.id AND t.run = v.run
       WHERE v.id = $1 AND v.run = $2 AND v.deleted_at IS NULL`,
      [videoId, run],
    );
    if (row?.probe && row.early) return timing(row.probe);
    return row?.state === 'UPLOADING' ? null : 'whole';
  }

  /** The probe that a run was planned early with, and the whole file was not looked at since; else null. */
  async earlyProbe({ videoId, run }: { videoId: string; run: number }): Promise<Probe | null> {
    const [row] = await this.db.query<{ probe: Probe }>(
      'SELECT probe FROM transcode_source WHERE video_id = $1 AND run = $2 AND early',
      [videoId, run],
    );
    return row?.probe ?? null;
  }

  /** The whole file is what its beginning promised: what was begun early goes on with it. */
  async confirm({ videoId, run }: { videoId: string; run: number }): Promise<void> {
    await this.db.tx(async (tx) => {
      await tx.query('UPDATE transcode_source SET early = false WHERE video_id = $1 AND run = $2', [videoId, run]);
      // Those were of what had arrived.
      await tx.query(
        'UPDATE piece SET strikes = 0, fault = NULL WHERE video_id = $1 AND run = $2 AND done_at IS NULL',
        [videoId, run],
      );
      // A worker of the version before takes such a job to be over, since there was no master yet.
      await tx.query(
        `UPDATE job SET state = 'QUEUED', run_at = now(), finished_at = NULL FROM piece p
         WHERE p.video_id = $1 AND p.run = $2 AND p.done_at IS NULL
           AND job.dedupe_key = $3 || p.id AND job.state = 'DONE'`,
        [videoId, run, PIECE_JOB_KEY],
      );
      await this.publisher.askAgain(tx, videoId, run, MOST_PIECES);
    });
    await this.publisher.advance(videoId, run);
  }

  /** The whole file is another than its beginning promised: nothing of what was made early counts. */
  async beginAnew({ videoId, run }: { videoId: string; run: number }): Promise<void> {
    await this.db.tx(async (tx) => {
      const next = await this.videos.nextRun(tx, videoId, run);
      if (next === null) return;
      await this.jobs.enqueue(tx, FreeRuns, { videoId, run });
      await this.start(tx, videoId, next);
    });
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

  /**
   * A player waits for this segment: its piece takes its owner's next turn that no other player waits for, and gives its own
   * for it. So who is watched is hurried at nobody else's cost. Nothing happens to a piece that is being made.
   */
  async hurry(wanted: { videoId: string; run: number; rendition: string; segmentNumber: number }): Promise<void> {
    const { videoId, run, rendition, segmentNumber } = wanted;
    await this.db.query(
      `WITH wanted AS (
         SELECT j.id, j.queue, j.owner, j.turn FROM rendition r
         JOIN piece p ON p.video_id = r.video_id AND p.run = r.run AND p.done_at IS NULL AND CASE
           WHEN r.kind = 'AUDIO' THEN p.kind = 'AUDIO' WHEN r.on_demand IS NULL THEN p.kind = 'VIDEO' ELSE p.kind = 'RUNG' AND p.rendition = r.name END
           AND (r.kind = 'AUDIO' OR ($4::bigint - 1) * r.segment_duration * r.frame_rate_num / (r.timescale::bigint * r.frame_rate_den)
                                    BETWEEN p.first_frame AND p.first_frame + p.frame_count - 1)
         JOIN job j ON j.dedupe_key = $6 || p.id
         WHERE r.video_id = $1 AND r.run = $2 AND ${ADDRESS_NAME} = $3 AND j.state = 'QUEUED' AND j.priority > $5
         FOR UPDATE OF j SKIP LOCKED
       ), ahead AS (
         SELECT j.id, j.turn FROM wanted w JOIN job j ON j.queue = w.queue AND j.owner = w.owner AND j.state = 'QUEUED'
         WHERE j.priority > $5 AND j.turn < w.turn ORDER BY j.turn LIMIT 1 FOR UPDATE OF j SKIP LOCKED
       )
       UPDATE job SET priority = CASE WHEN job.id = wanted.id THEN $5 ELSE priority END,
                      turn = CASE WHEN job.id = wanted.id THEN coalesce(ahead.turn, job.turn) ELSE wanted.turn END
       FROM wanted LEFT JOIN ahead ON true WHERE job.id IN (wanted.id, ahead.id)`,
      [videoId, run, rendition, segmentNumber, ASKED_FOR, PIECE_JOB_KEY],
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
      const run = await this.videos.nextRun(tx, videoId, video.run);
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
      await this.objects.drop(tx, keys);
    });
  }

  /** The video rungs of the videos' runs, the lowest first. */
  async renditionsOf(videoIds: readonly string[]): Promise<Map<string, RenditionView[]>> {
    const rows = await this.db.query<
      Omit<RenditionView, 'state' | 'progress'> & {
        videoId: string;
        segments: number;
        segmentCount: number;
        hasFirst: boolean;
        videoFailed: boolean;
        onDemand: OnDemandState;
      }
    >(
      `SELECT r.video_id AS "videoId", r.name, r.width, r.height, r.frame_rate_num::float8 / r.frame_rate_den AS "frameRate",
              coalesce(r.codecs, '') AS codecs, coalesce(r.average_bits_per_second, r.max_bits_per_second) AS "averageBitsPerSecond",
              r.segment_count AS "segmentCount", v.state IN ('FAILED', 'BLOCKED') AS "videoFailed", r.on_demand AS "onDemand",
              -- Counting is for runs under way: what is READY has all.
              CASE WHEN v.state = 'READY' AND coalesce(r.on_demand, 'MADE') = 'MADE' THEN r.segment_count
                   ELSE (SELECT count(*)::int FROM segment s WHERE s.video_id = r.video_id AND s.run = r.run AND s.rendition = r.name) END AS segments,
              EXISTS (SELECT FROM segment s WHERE s.video_id = r.video_id AND s.run = r.run AND s.rendition = r.name AND s.number = 1) AS "hasFirst"
       FROM rendition r JOIN video v ON v.id = r.video_id AND v.run = r.run
       WHERE r.video_id = ANY($1::uuid[]) AND r.kind = 'VIDEO' ORDER BY r.position`,
      [videoIds],
    );
    return byVideo(
      rows.map((row) => ({ ...row, state: renditionState(row), progress: row.segments / row.segmentCount })),
    );
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
    const expected = await this.queue.secondsLeft([...new Set(rows.map((row) => row.videoId))]);
    return new Map(
      [...byVideo(rows)].map(([videoId, kinds]) => [
        videoId,
        { kinds, seconds: kinds[0]?.seconds ?? 0, expectedSeconds: expected.get(videoId) ?? null },
      ]),
    );
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
