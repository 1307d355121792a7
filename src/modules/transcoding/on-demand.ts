import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database, type Tx } from '../../common/database/index.js';
import { NotFound, Refusal } from '../../common/errors/index.js';
import { Jobs, Periodically } from '../../common/jobs/index.js';
import { Live } from '../../common/live/index.js';
import { type RateLimit, RateLimits } from '../../common/rate-limits/index.js';
import { type Probe, timing } from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { UploadsService } from '../uploads/index.js';
import { VideosService, videoTopic } from '../videos/index.js';
import { presentationFaults } from './conformance.js';
import { ADDRESS_NAME, MadeRenditions } from './made-renditions.js';
import { picturePieces, type RunSettings } from './plan.js';
import type { OnDemandState } from './progress.js';
import { TooManyAsked } from './transcoding.errors.js';
import { EncodeRung, PIECE_JOB_KEY, pieceJobKey } from './transcoding.jobs.js';
import { onDemandAsks, onDemandFreed } from './transcoding.metrics.js';

/** Of one viewer: of what begins something. What is there, or being made, is asked for free of charge. */
const ASKS: RateLimit = { name: 'requestRendition', points: 30, seconds: 3_600 };
/** Rungs that wait or are being made at a time, before a viewer is refused another. */
const MOST_OF_OWNER = 8;
const MOST_OF_ALL = 200;
/** As many again are for editors of the video: viewers cannot keep them out. */
const MOST_WITH_EDITORS = 2 * MOST_OF_ALL;
/** One of which nothing was made for so long makes room for others. */
const FORGET_HOURS = 6;
const SWEEP_PAGE = 100;
/** Videos that are looked at in a sweep for rungs to give up, most of which have none any more. */
const UNWATCHED_PAGE = 1_000;
const START = { at: '-infinity', id: '00000000-0000-0000-0000-000000000000' };

interface RunOf {
  readonly videoId: string;
  readonly run: number;
}

/**
 * Rungs that are not made with their video but when somebody asks for them, and given up when nobody watches:
 * `rendition.on_demand`, docs/decisions/0022-on-demand-rungs.md.
 *
 * ABSENT, asked for: ASKED. All of it made and looked at: MADE. Nothing came of it: ABSENT. Its input will not do: FAILED, until
 * an editor asks. Made with the video (null) or MADE, and not watched: ABSENT. Only videos that are READY have it made;
 * others remember who asked.
 */
@Injectable()
export class OnDemandRungs {
  private readonly logger = new Logger(OnDemandRungs.name);
  private readonly asking = new Map<string, Promise<void>>();
  private unwatchedTo = START;

  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly live: Live,
    private readonly limits: RateLimits,
    private readonly videos: VideosService,
    private readonly uploads: UploadsService,
    private readonly objects: StoredObjects,
    private readonly made: MadeRenditions,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * A viewer, who may watch the video, wants this rung. It is made once, whoever asks and however often; nothing happens to
   * one that is there.
   *
   * @param name also as addresses have it
   * @param viewer for the bound on how often one may ask: a user's id, or an address's block
   * @param edits whether they may edit the video: then one that FAILED is tried again
   * @returns the rung's name
   * @throws NotFound when the run plans no such rung; TooManyAsked; RATE_LIMITED
   */
  async ask({ videoId, run }: RunOf, name: string, viewer: string, edits = false): Promise<string> {
    for (;;) {
      const [rung] = await this.db.query<{ name: string; onDemand: OnDemandState }>(
        `SELECT r.name, r.on_demand AS "onDemand" FROM rendition r
         WHERE r.video_id = $1 AND r.run = $2 AND r.kind = 'VIDEO' AND $3 IN (r.name, ${ADDRESS_NAME})`,
        [videoId, run, name],
      );
      if (!rung) throw new NotFound('rendition', ['name']);
      if (rung.onDemand === 'ASKED') onDemandAsks.inc({ outcome: 'under_way' });
      if (rung.onDemand !== 'ABSENT' && !(edits && rung.onDemand === 'FAILED')) return rung.name;
      // Of many who ask at the same time one begins it, at their cost; the others hold no connection, and find it begun.
      const key = `${videoId}/${run}/${rung.name}`;
      const other = this.asking.get(key);
      if (other) {
        await other;
        continue;
      }
      const begun = this.begin({ videoId, run }, rung.name, viewer, edits);
      const over = () => void this.asking.delete(key);
      this.asking.set(key, begun.then(over, over));
      await begun;
      return rung.name;
    }
  }

  private async begin(of: RunOf, name: string, viewer: string, edits: boolean): Promise<void> {
    let outcome: 'begun' | 'under_way' | 'refused' | null = null;
    try {
      await this.limits.spend(ASKS, viewer);
      try {
        outcome = (await this.db.tx((tx) => this.markAsked(tx, of, name, edits))) ? 'begun' : 'under_way';
      } finally {
        if (outcome !== 'begun') this.limits.giveBack(ASKS, viewer);
      }
    } catch (error) {
      if (error instanceof TooManyAsked || error instanceof Refusal) outcome = 'refused';
      throw error;
    } finally {
      if (outcome) onDemandAsks.inc({ outcome });
    }
    if (outcome !== 'begun') return;
    try {
      await this.askForPieces(of);
    } catch (error) {
      this.logger.warn(`video ${of.videoId}: left to the next sweep: ${(error as Error).message}`);
    }
  }

  /** @returns false where another was first */
  private async markAsked(tx: Tx, { videoId, run }: RunOf, name: string, edits: boolean): Promise<boolean> {
    // Before the rung, as whoever gives it up does.
    const [video] = await tx.query<{ owner: string }>(
      `SELECT owner_id AS owner FROM video
       WHERE id = $1 AND run = $2 AND deleted_at IS NULL AND state IN ('PROCESSING', 'PLAYABLE', 'READY') FOR SHARE`,
      [videoId, run],
    );
    if (!video) throw new NotFound('rendition', ['name']);
    const asked = await tx.query(
      `UPDATE rendition SET on_demand = 'ASKED', asked_at = now()
       WHERE video_id = $1 AND run = $2 AND name = $3 AND on_demand = ANY($4) RETURNING name`,
      [videoId, run, name, edits ? ['ABSENT', 'FAILED'] : ['ABSENT']],
    );
    if (asked.length === 0) return false;
    // So that the bounds hold for many who ask at once.
    await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('rungs asked for', 0))`);
    const [waiting = { own: 0, all: 0 }] = await tx.query<{ own: number; all: number }>(
      `SELECT count(*) FILTER (WHERE v.owner_id = $1)::int AS own, count(*)::int AS all
       FROM rendition r JOIN video v ON v.id = r.video_id AND v.run = r.run
       WHERE r.on_demand = 'ASKED' AND v.deleted_at IS NULL AND v.state IN ('PROCESSING', 'PLAYABLE', 'READY')`,
      [video.owner],
    );
    if (waiting.all > (edits ? MOST_WITH_EDITORS : MOST_OF_ALL)) throw new TooManyAsked();
    if (waiting.own > MOST_OF_OWNER && !edits) throw new TooManyAsked();
    tx.afterCommit(() => this.live.tick(videoTopic(videoId)));
    return true;
  }

  /**
   * Has all made that was asked for of a run that is READY, and that nobody is about to make, with work that is done while
   * there is no other. Asking twice is asking once.
   */
  private askForPieces({ videoId, run }: RunOf): Promise<void> {
    return this.db.tx(async (tx) => {
      // Whoever ends the run or gives a rung up is waited for here, or waits.
      const [video] = await tx.query<{ owner: string }>(
        `SELECT owner_id AS owner FROM video WHERE id = $1 AND run = $2 AND state = 'READY' AND deleted_at IS NULL FOR SHARE`,
        [videoId, run],
      );
      if (!video) return;
      const [source] = await tx.query<{ probe: Probe; settings: RunSettings; names: string[] }>(
        `SELECT t.probe, t.settings, rung.names FROM transcode_source t, LATERAL (
           SELECT array_agg(name) AS names FROM rendition r WHERE r.video_id = $1 AND r.run = $2 AND r.on_demand = 'ASKED'
             AND NOT EXISTS (SELECT FROM piece p WHERE p.video_id = $1 AND p.run = $2 AND p.rendition = r.name)) rung
         WHERE t.video_id = $1 AND t.run = $2 AND t.picture IS NULL AND rung.names IS NOT NULL`,
        [videoId, run],
      );
      if (source) {
        const pieces = picturePieces('RUNG', timing(source.probe), source.settings.segmentsPerPiece);
        await tx.query(
          `INSERT INTO piece (video_id, run, kind, rendition, number, first_frame, frame_count)
           SELECT $1, $2, kind, rendition, number, "firstFrame", "frameCount"
           FROM unnest($3::text[]) rendition, json_to_recordset($4) AS t(kind text, number int, "firstFrame" int, "frameCount" int)
           ON CONFLICT DO NOTHING`,
          [videoId, run, source.names, JSON.stringify(pieces)],
        );
      }
      const unasked = await tx.query<{ id: string; megapixels: number }>(
        `SELECT p.id, p.frame_count / 1e6::float8 * r.width * r.height AS megapixels
         FROM piece p JOIN rendition r ON r.video_id = p.video_id AND r.run = p.run AND r.name = p.rendition
         WHERE p.video_id = $1 AND p.run = $2 AND p.kind = 'RUNG' AND p.done_at IS NULL
           AND NOT EXISTS (SELECT FROM job j WHERE j.dedupe_key = $3 || p.id) ORDER BY r.position, p.number`,
        [videoId, run, PIECE_JOB_KEY],
      );
      const requests = unasked.map(({ id, megapixels }) => ({
        definition: EncodeRung,
        payload: { pieceId: id },
        dedupeKey: pieceJobKey(id),
        cost: megapixels,
      }));
      await this.jobs.enqueueAll(tx, requests, { owner: video.owner, subject: videoId });
    });
  }

  /** To be called after every commit of a piece: what is all made is looked at as part of the whole presentation, and listed. */
  async advance({ videoId, run }: RunOf): Promise<void> {
    const whole = await this.db.query<{ name: string; edition: number }>(
      `SELECT r.name, r.edition FROM rendition r JOIN video v ON v.id = r.video_id AND v.run = r.run
       WHERE r.video_id = $1 AND r.run = $2 AND r.on_demand = 'ASKED' AND v.state = 'READY' AND v.deleted_at IS NULL
         AND (SELECT bool_and(done_at IS NOT NULL) FROM piece p
              WHERE p.video_id = r.video_id AND p.run = r.run AND p.kind = 'RUNG' AND p.rendition = r.name)`,
      [videoId, run],
    );
    for (const { name, edition } of whole) {
      const renditions = await this.made.read(videoId, run, name);
      // What is listed already was looked at when it was.
      const faults = presentationFaults(renditions).filter((fault) => fault.startsWith(`${name}:`));
      if (faults.length > 0) {
        await this.giveUp({ videoId, run }, name, 'ABSENT', faults.join('; '));
        continue;
      }
      // Whoever asked may have waited for longer than an unwatched video keeps it.
      await this.videos.noteWatched(videoId);
      const average = renditions.find((rendition) => rendition.name === name)?.averageBitsPerSecond;
      await this.db.query(
        `UPDATE rendition SET on_demand = 'MADE', average_bits_per_second = $5
         WHERE video_id = $1 AND run = $2 AND name = $3 AND edition = $4 AND on_demand = 'ASKED'`,
        [videoId, run, name, edition, average],
      );
      this.live.tick(videoTopic(videoId));
    }
  }

  /**
   * What was made of it goes, and the video goes on without.
   * @param to FAILED: it cannot be made of this file; ABSENT: it may be asked for again
   */
  async giveUp({ videoId, run }: RunOf, name: string, to: 'ABSENT' | 'FAILED', why: string): Promise<void> {
    const bytes = await this.db.tx(async (tx) => {
      // What commits a piece of it has locked the video first, too.
      await tx.query('SELECT FROM video WHERE id = $1 AND run = $2 FOR NO KEY UPDATE', [videoId, run]);
      return this.remove(tx, { videoId, run }, [name], 'ASKED', to);
    });
    if (bytes !== null) this.logger.warn(`video ${videoId}, run ${run}: ${name} was not made: ${why}`);
  }

  /** One page of what was asked for: takes each as far as it goes, also where whoever was about to do it is gone. */
  @Periodically(30_000)
  async sweep(signal?: AbortSignal): Promise<void> {
    const runs = await this.db.query<RunOf>(
      `SELECT DISTINCT r.video_id AS "videoId", r.run FROM rendition r JOIN video v ON v.id = r.video_id AND v.run = r.run
       WHERE r.on_demand = 'ASKED' AND v.state = 'READY' AND v.deleted_at IS NULL LIMIT $1`,
      [MOST_WITH_EDITORS],
    );
    for (const run of runs) {
      if (signal?.aborted) return;
      try {
        await this.advance(run);
        await this.forget(run);
        await this.askForPieces(run);
      } catch (error) {
        this.logger.warn(`video ${run.videoId}: could not be taken further: ${(error as Error).message}`);
      }
    }
  }

  /** What is asked for and never comes to be made would keep others out for ever. */
  private async forget({ videoId, run }: RunOf): Promise<void> {
    const rungs = await this.db.query<{ name: string }>(
      `SELECT r.name FROM rendition r JOIN video v ON v.id = r.video_id LEFT JOIN piece p ON p.video_id = r.video_id AND p.run = r.run AND p.rendition = r.name
       LEFT JOIN job j ON p.done_at IS NULL AND j.dedupe_key = $3 || p.id AND j.state = 'RUNNING'
       WHERE r.video_id = $1 AND r.run = $2 AND r.on_demand = 'ASKED' GROUP BY r.name, r.asked_at, v.processing_finished_at
       HAVING count(j.id) = 0 AND greatest(r.asked_at, v.processing_finished_at, max(p.done_at)) < now() - $4 * interval '1 hour'`,
      [videoId, run, PIECE_JOB_KEY, FORGET_HOURS],
    );
    for (const { name } of rungs) {
      await this.giveUp({ videoId, run }, name, 'ABSENT', `nothing was made of it for ${FORGET_HOURS} hours`);
    }
  }

  /** One page of the videos that nobody has watched for long, each in one transaction. */
  @Periodically(60_000)
  async dropUnwatched(signal?: AbortSignal): Promise<void> {
    if (this.config.onDemandAfterDays === 0) return;
    const rows = await this.db.query<RunOf & { at: string; droppable: boolean }>(
      `SELECT v.id AS "videoId", v.run, v.watched_at::text AS at, EXISTS (${DROPPABLE}) AS droppable
       FROM (SELECT id, run, watched_at FROM video WHERE state = 'READY' AND deleted_at IS NULL
               AND watched_at < now() - $2 * interval '1 day' AND (watched_at, id) > ($3, $4)
             ORDER BY watched_at, id LIMIT $5) v`,
      [
        this.config.onDemandKeep,
        this.config.onDemandAfterDays,
        this.unwatchedTo.at,
        this.unwatchedTo.id,
        UNWATCHED_PAGE,
      ],
    );
    let dropped = 0;
    for (const { droppable, ...run } of rows) {
      this.unwatchedTo = { at: run.at, id: run.videoId };
      if (!droppable) continue;
      await this.db.tx((tx) => this.drop(tx, run));
      if (++dropped === SWEEP_PAGE || signal?.aborted) return;
    }
    if (rows.length < UNWATCHED_PAGE) this.unwatchedTo = START;
  }

  private async drop(tx: Tx, { videoId, run }: RunOf): Promise<void> {
    const [unwatched] = await tx.query(
      `SELECT id FROM video WHERE id = $1 AND run = $2 AND state = 'READY' AND deleted_at IS NULL
         AND greatest(watched_at, processing_finished_at, publish_at) < now() - $3 * interval '1 day' FOR NO KEY UPDATE SKIP LOCKED`,
      [videoId, run, this.config.onDemandAfterDays],
    );
    // Nothing is deleted that cannot be made again.
    if (!unwatched || !(await this.uploads.masterOf(tx, videoId))) return;
    const rungs = await tx.query<{ name: string }>(
      `SELECT name FROM (SELECT $2::uuid AS id, $3::int AS run) v, LATERAL (${DROPPABLE}) r`,
      [this.config.onDemandKeep, videoId, run],
    );
    const names = rungs.map(({ name }) => name);
    const bytes = await this.remove(tx, { videoId, run }, names, 'MADE', 'ABSENT');
    tx.afterCommit(() => onDemandFreed.inc(bytes ?? 0));
  }

  /**
   * @param from MADE: also those that were made with the video
   * @returns how many bytes go with them; null where none was so any more
   */
  private async remove(
    tx: Tx,
    { videoId, run }: RunOf,
    names: readonly string[],
    from: 'ASKED' | 'MADE',
    to: 'ABSENT' | 'FAILED',
  ): Promise<number | null> {
    const of = [videoId, run];
    const rungs = await tx.query<{ name: string }>(
      `UPDATE rendition SET on_demand = $4, edition = edition + 1, init = NULL, codecs = NULL, average_bits_per_second = NULL
       WHERE video_id = $1 AND run = $2 AND name = ANY($3::text[]) AND coalesce(on_demand, 'MADE') = $5 RETURNING name`,
      [...of, names, to, from],
    );
    if (rungs.length === 0) return null;
    const gone = rungs.map(({ name }) => name);
    await tx.query(
      `WITH gone AS (DELETE FROM piece WHERE video_id = $1 AND run = $2 AND kind = 'RUNG' AND rendition = ANY($3) RETURNING id)
       DELETE FROM job USING gone WHERE dedupe_key = $4 || gone.id AND state = 'QUEUED'`,
      [...of, gone, PIECE_JOB_KEY],
    );
    const segments = await tx.query<{ key: string; bytes: number }>(
      `DELETE FROM segment WHERE video_id = $1 AND run = $2 AND rendition = ANY($3::text[])
       RETURNING object_key AS key, byte_size AS bytes`,
      [...of, gone],
    );
    await this.objects.drop(tx, [...new Set(segments.map(({ key }) => key))]);
    tx.afterCommit(() => this.live.tick(videoTopic(videoId)));
    return segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

/**
 * The rungs of `v` that may be given up, `$1` being the short side up to which none is. One that was copied could only be
 * encoded again; where the picture was read from a copy, that is gone.
 */
const DROPPABLE = `
  SELECT r.name FROM rendition r JOIN transcode_source t ON t.video_id = r.video_id AND t.run = r.run AND t.picture IS NULL
  WHERE r.video_id = v.id AND r.run = v.run AND r.kind = 'VIDEO' AND r.position > 0 AND NOT r.copied
    AND least(r.width, r.height) > $1 AND coalesce(r.on_demand, 'MADE') = 'MADE'`;
