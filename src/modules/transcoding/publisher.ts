import { Injectable, Logger } from '@nestjs/common';
import { Database, type Tx } from '../../common/database/index.js';
import { Jobs, Periodically, type Share } from '../../common/jobs/index.js';
import { traceUpload } from '../../common/tracing/index.js';
import { StoredObjects } from '../storage/index.js';
import { VideosService } from '../videos/index.js';
import { presentationFaults } from './conformance.js';
import { MadeRenditions } from './made-renditions.js';
import type { RunPieceKind } from './plan.js';
import {
  inOrder,
  jobOf,
  MakeDownload,
  PIECE_JOB_KEY,
  ProbeVideo,
  pieceJobKey,
  probeJobKey,
  type RunSize,
} from './transcoding.jobs.js';
import { processing, videosEnded } from './transcoding.metrics.js';

const SWEEP_PAGE = 100;
/** About. */
const SEGMENT_SECONDS = 4;
const PIECES_A_SWEEP = 500;
const BEFORE_ALL = '00000000-0000-0000-0000-000000000000';
/** Told in the log: of a run in which all is wrong these tell enough. */
const FAULTS_TOLD = 5;

/** Takes a run's next steps when its pieces allow them, and finds the runs that nobody takes any further. */
@Injectable()
export class Publisher {
  private readonly logger = new Logger(Publisher.name);
  private sweptTo = BEFORE_ALL;

  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly videos: VideosService,
    private readonly objects: StoredObjects,
    private readonly made: MadeRenditions,
  ) {}

  /**
   * PLAYABLE, stills, READY, each as far as the committed segments allow and each once. Called after every commit, never
   * within one: of two last finishers in two open transactions neither would see the other.
   */
  async advance(videoId: string, run: number): Promise<void> {
    const [now] = await this.db.query<{ starts: boolean; stills: string | null; finished: boolean; seconds: number }>(
      `SELECT extract(epoch FROM now() - v.processing_started_at)::float8 AS seconds, v.state = 'PROCESSING' AND NOT EXISTS (
                SELECT FROM rendition r WHERE r.video_id = v.id AND r.run = v.run AND (r.position = 0 OR r.kind = 'AUDIO')
                  AND NOT EXISTS (SELECT FROM segment s WHERE s.video_id = v.id AND s.run = v.run AND s.rendition = r.name AND s.number = 1)) AS starts,
              (SELECT p.id FROM piece p WHERE p.video_id = v.id AND p.run = v.run AND p.kind = 'STILLS' AND p.done_at IS NULL
                 AND low.segment_count = (SELECT count(*) FROM segment s
                                          WHERE s.video_id = v.id AND s.run = v.run AND s.rendition = low.name)) AS stills,
              v.verified_at IS NOT NULL
                AND NOT EXISTS (SELECT FROM transcode_source t WHERE t.video_id = v.id AND t.run = v.run AND t.early)
                AND NOT EXISTS (SELECT FROM piece p WHERE p.video_id = v.id AND p.run = v.run AND p.done_at IS NULL) AS finished
       FROM video v JOIN rendition low ON low.video_id = v.id AND low.run = v.run AND low.position = 0
       WHERE v.id = $1 AND v.run = $2 AND v.state IN ('PROCESSING', 'PLAYABLE') AND v.deleted_at IS NULL`,
      [videoId, run],
    );
    if (!now) return;
    if (now.starts) {
      const step = { videoId, run, to: 'PLAYABLE', stage: 'ENCODING' } as const;
      const plays = await this.db.tx((tx) => this.videos.transition(tx, step));
      if (plays) processing.observe({ until: 'playable' }, now.seconds);
    }
    if (now.stills) {
      const piece = { id: now.stills, kind: 'STILLS', number: 0, frameCount: 0 } as const;
      await this.db.tx((tx) => this.ask(tx, videoId, run, [piece]));
    }
    if (now.finished) {
      await traceUpload(videoId, 'publish', { 'sluice.run': run }, async (span) => {
        // Nothing of a run that is complete changes while it is looked at; whether it still is the run, the transaction asks.
        const faults = presentationFaults(await this.made.read(videoId, run));
        await this.db.tx(async (tx) => {
          const outcome = await this.publish(tx, videoId, run, faults);
          span.set({ 'sluice.outcome': outcome });
          if (outcome === 'ready') tx.afterCommit(() => processing.observe({ until: 'ready' }, now.seconds));
        });
      });
    }
  }

  /** One page of the runs under way: takes each as far as it goes, and asks again for work that no job is left for. */
  @Periodically(30_000)
  async sweep(): Promise<void> {
    const videos = await this.db.query<{ id: string; run: number }>(
      `SELECT id, run FROM video WHERE state IN ('PROCESSING', 'PLAYABLE') AND deleted_at IS NULL AND id > $1 ORDER BY id LIMIT $2`,
      [this.sweptTo, SWEEP_PAGE],
    );
    this.sweptTo = videos.length < SWEEP_PAGE ? BEFORE_ALL : (videos.at(-1)?.id ?? BEFORE_ALL);
    for (const { id, run } of videos) {
      try {
        await this.advance(id, run);
        await this.db.tx((tx) => this.askAgain(tx, id, run));
      } catch (error) {
        // It is looked at again next time; those after it are not to wait for it.
        this.logger.warn(`video ${id}, run ${run}: could not be taken further: ${(error as Error).message}`);
      }
    }
  }

  private async publish(
    tx: Tx,
    videoId: string,
    run: number,
    faults: readonly string[],
  ): Promise<'ready' | 'failed' | 'over before'> {
    if (faults.length > 0) {
      const told = faults.slice(0, FAULTS_TOLD).join('; ');
      this.logger.error(`video ${videoId}, run ${run}: not fit to be published, ${faults.length} faults: ${told}`);
      const message = 'What was made of this file has gaps. Processing it again may help.';
      const failure = { code: 'INCOMPLETE_RENDITION', message, retryable: true };
      const failed = await this.videos.transition(tx, { videoId, run, to: 'FAILED', stage: 'FAILED', failure });
      if (failed) tx.afterCommit(() => videosEnded.inc({ outcome: 'failed', code: failure.code }));
      return failed ? 'failed' : 'over before';
    }
    if (!(await this.videos.transition(tx, { videoId, run, to: 'READY', stage: 'DONE' }))) return 'over before';
    tx.afterCommit(() => videosEnded.inc({ outcome: 'ready', code: '' }));
    await tx.query(
      `UPDATE rendition r SET average_bits_per_second = 8 * made.bytes * r.timescale / made.length
       FROM (SELECT rendition, sum(byte_size) AS bytes, sum(duration) AS length FROM segment
             WHERE video_id = $1 AND run = $2 GROUP BY rendition) made
       WHERE r.video_id = $1 AND r.run = $2 AND r.name = made.rendition`,
      [videoId, run],
    );
    const copies = await tx.query<{ key: string }>(
      `UPDATE transcode_source t SET picture_key = NULL FROM transcode_source before
       WHERE t.video_id = $1 AND t.run = $2 AND before.video_id = $1 AND before.run = $2 AND before.picture_key IS NOT NULL
       RETURNING before.picture_key AS key`,
      [videoId, run],
    );
    const keys = copies.map(({ key }) => key);
    await this.objects.drop(tx, keys);
    return 'ready';
  }

  /** Has pieces made, on the turns of the video's owner; asking twice is asking once. Of sound, `segments` has only so many made for now. */
  async ask(
    tx: Tx,
    videoId: string,
    run: number,
    pieces: readonly { id: string; kind: RunPieceKind; number: number; frameCount: number; segments?: number }[],
  ): Promise<void> {
    const [size] = await tx.query<RunSize & { owner: string }>(
      `SELECT v.owner_id AS owner, array_agg(r.width * r.height ORDER BY r.position) AS pixels,
              min(r.frame_rate_num::float8 / r.frame_rate_den) AS "framesPerSecond"
       FROM video v JOIN rendition r ON r.video_id = v.id AND r.run = $2 AND r.kind = 'VIDEO' AND NOT r.copied AND r.on_demand IS NULL
       WHERE v.id = $1 GROUP BY v.owner_id`,
      [videoId, run],
    );
    if (!size) return;
    // Of sound that is longer, the first segment comes before the rest: nothing plays without it.
    const segmentFrames = SEGMENT_SECONDS * size.framesPerSecond;
    const all = pieces.flatMap((piece) => {
      const isLong = piece.kind === 'AUDIO' && piece.segments !== 1 && piece.frameCount > segmentFrames;
      return isLong ? [piece, { ...piece, frameCount: segmentFrames, segments: 1 }] : [piece];
    });
    const requests = inOrder(all).map((piece) => ({
      ...jobOf(piece, size),
      payload: { pieceId: piece.id, segments: piece.segments },
      dedupeKey: pieceJobKey(piece.id, piece.segments),
    }));
    await this.jobs.enqueueAll(tx, requests, { owner: size.owner, subject: videoId });
  }

  /** Has a run judged and planned; asking twice is asking once. */
  async askForProbe(tx: Tx, videoId: string, run: number): Promise<void> {
    const share = await this.shareOf(tx, videoId);
    await this.jobs.enqueue(tx, ProbeVideo, { videoId, run }, { dedupeKey: probeJobKey(videoId, run), share });
  }

  /** Has the file made that may be saved, or taken away where it may not. */
  async askForDownload(tx: Tx, videoId: string): Promise<void> {
    await this.jobs.enqueue(tx, MakeDownload, { videoId }, { share: await this.shareOf(tx, videoId) });
  }

  private async shareOf(tx: Tx, videoId: string): Promise<Share | undefined> {
    const [video] = await tx.query<{ owner: string }>('SELECT owner_id AS owner FROM video WHERE id = $1', [videoId]);
    return video && { ...video, subject: videoId };
  }

  /** Has everything made that is not, and that nobody is about to make; of what is planned early later, as its bytes come. */
  async askAgain(tx: Tx, videoId: string, run: number, most = PIECES_A_SWEEP): Promise<void> {
    const [source] = await tx.query<{ early: boolean }>(
      'SELECT early FROM transcode_source WHERE video_id = $1 AND run = $2',
      [videoId, run],
    );
    if (!source || source.early) {
      const verified = await tx.query('SELECT FROM video WHERE id = $1 AND verified_at IS NOT NULL', [videoId]);
      if (verified.length === 0) return;
      await this.askForProbe(tx, videoId, run);
      // A worker of the version before takes one to be done when there is a plan.
      await tx.query(
        `UPDATE job SET state = 'QUEUED', run_at = now(), finished_at = NULL WHERE dedupe_key = $1 AND state = 'DONE'`,
        [probeJobKey(videoId, run)],
      );
      return;
    }
    const pieces = await tx.query<{ id: string; kind: RunPieceKind; number: number; frameCount: number }>(
      `SELECT id, kind, number, frame_count AS "frameCount" FROM piece p WHERE video_id = $1 AND run = $2 AND kind <> 'STILLS' AND done_at IS NULL
         AND NOT EXISTS (SELECT FROM job j WHERE j.dedupe_key = $3 || p.id) ORDER BY number LIMIT $4`,
      [videoId, run, PIECE_JOB_KEY, most],
    );
    if (pieces.length > 0) await this.ask(tx, videoId, run, pieces);
  }
}
