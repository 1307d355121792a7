import { Injectable, Logger } from '@nestjs/common';
import { Database, type Tx } from '../../common/database/index.js';
import { Jobs, Periodically } from '../../common/jobs/index.js';
import { traceUpload } from '../../common/tracing/index.js';
import { StoredObjects } from '../storage/index.js';
import { VideosService } from '../videos/index.js';
import { presentationFaults } from './conformance.js';
import { MadeRenditions } from './made-renditions.js';
import type { PieceKind } from './plan.js';
import { jobOf, PIECE_JOB_KEY, ProbeVideo, pieceJobKey, probeJobKey } from './transcoding.jobs.js';
import { processing, videosEnded } from './transcoding.metrics.js';

const SWEEP_PAGE = 100;
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
              NOT EXISTS (SELECT FROM piece p WHERE p.video_id = v.id AND p.run = v.run AND p.done_at IS NULL) AS finished
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
      const piece = { id: now.stills, kind: 'STILLS', number: 0 } as const;
      await this.db.tx((tx) => this.ask(tx, [piece]));
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
    if (copies.length > 0)
      await this.objects.drop(
        tx,
        copies.map((copy) => copy.key),
      );
    return 'ready';
  }

  /** Has pieces made; asking twice is asking once. */
  async ask(tx: Tx, pieces: readonly { id: string; kind: PieceKind; number: number }[]): Promise<void> {
    for (const piece of pieces) {
      const { job, priority } = jobOf(piece);
      await this.jobs.enqueue(tx, job, { pieceId: piece.id }, { dedupeKey: pieceJobKey(piece.id), priority });
    }
  }

  private async askAgain(tx: Tx, videoId: string, run: number): Promise<void> {
    const pieces = await tx.query<{ id: string; kind: PieceKind; number: number }>(
      `SELECT id, kind, number FROM piece p WHERE video_id = $1 AND run = $2 AND kind <> 'STILLS' AND done_at IS NULL
         AND NOT EXISTS (SELECT FROM job j WHERE j.dedupe_key = $3 || p.id) ORDER BY number LIMIT $4`,
      [videoId, run, PIECE_JOB_KEY, PIECES_A_SWEEP],
    );
    await this.ask(tx, pieces);
    const planned = await tx.query('SELECT FROM transcode_source WHERE video_id = $1 AND run = $2', [videoId, run]);
    if (planned.length > 0) return;
    await this.jobs.enqueue(tx, ProbeVideo, { videoId, run }, { dedupeKey: probeJobKey(videoId, run) });
  }
}
