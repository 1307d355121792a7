import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Injectable, Logger } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { OnEvent } from '../../common/events/index.js';
import { HandlesJob, type JobContext } from '../../common/jobs/index.js';
import { Live } from '../../common/live/index.js';
import { DOWNLOAD_FILE, downloadArguments, MediaEngine, MediaRunError } from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { DownloadDecided, VideoReady, videoTopic } from '../videos/index.js';
import { MadeRenditions } from './made-renditions.js';
import { AUDIO_RENDITION } from './plan.js';
import { Publisher } from './publisher.js';
import { Scratch } from './scratch.js';
import { MakeDownload } from './transcoding.jobs.js';

/** Copying goes at the disk's speed. */
const TIMEOUT_MS = 2 * 3_600_000;
/** Of its short side, in pixels: a copy to keep, at about half of what all rungs together take. */
const HIGHEST_RUNG = 720;
/** What ffmpeg refuses as often it refuses for good. */
const MAX_REFUSALS = 3;

interface Wanted {
  readonly videoId: string;
  readonly run: number;
  readonly picture: string;
  readonly hasSound: boolean;
}

/** The file that whoever may watch a video may save, where its owner allows it: made of the segments, once, and gone with them. */
@Injectable()
export class MakeDownloadJob {
  private readonly logger = new Logger(MakeDownloadJob.name);

  constructor(
    private readonly db: Database,
    private readonly publisher: Publisher,
    private readonly live: Live,
    private readonly engine: MediaEngine,
    private readonly objects: StoredObjects,
    private readonly scratch: Scratch,
    private readonly made: MadeRenditions,
  ) {}

  @OnEvent(VideoReady)
  async ready({ videoId }: { videoId: string }): Promise<void> {
    if (await this.wanted(videoId)) await this.ask(videoId);
  }

  @OnEvent(DownloadDecided)
  decided({ videoId }: { videoId: string }): Promise<void> {
    return this.ask(videoId);
  }

  @HandlesJob(MakeDownload)
  async handle({ videoId }: { videoId: string }, context: JobContext): Promise<void> {
    await this.dropUnwanted(videoId);
    const wanted = await this.wanted(videoId);
    if (!wanted) return;
    try {
      await this.scratch.folder((folder) => this.make(wanted, folder, context));
    } catch (error) {
      const isHopeless = error instanceof MediaRunError && (error.gaveUp || error.failure === 'timeout');
      if (!isHopeless || context.attempt < MAX_REFUSALS) throw error;
      this.logger.error(`video ${videoId}, run ${wanted.run}: no file to save could be made of it: ${error.log}`);
    }
  }

  private ask(videoId: string): Promise<void> {
    return this.db.tx((tx) => this.publisher.askForDownload(tx, videoId));
  }

  private async dropUnwanted(videoId: string): Promise<void> {
    await this.db.tx(async (tx) => {
      const gone = await tx.query<{ key: string }>(
        `DELETE FROM download d USING video v WHERE v.id = d.video_id AND v.id = $1 AND NOT v.downloadable
         RETURNING d.object_key AS key`,
        [videoId],
      );
      const keys = gone.map(({ key }) => key);
      await this.objects.drop(tx, keys);
    });
  }

  /** Null when it is not allowed, not READY, or made already. */
  private async wanted(videoId: string): Promise<Wanted | null> {
    const [row] = await this.db.query<Wanted>(
      `SELECT v.id AS "videoId", v.run, picture.name AS picture,
              EXISTS (SELECT FROM rendition r WHERE r.video_id = v.id AND r.run = v.run AND r.name = $2) AS "hasSound"
       FROM video v CROSS JOIN LATERAL (
         SELECT name FROM rendition r WHERE r.video_id = v.id AND r.run = v.run AND r.kind = 'VIDEO'
           AND coalesce(r.on_demand, 'MADE') = 'MADE' AND (r.position = 0 OR least(r.width, r.height) <= $3) ORDER BY r.position DESC LIMIT 1) picture
       WHERE v.id = $1 AND v.state = 'READY' AND v.downloadable AND v.deleted_at IS NULL
         AND NOT EXISTS (SELECT FROM download d WHERE d.video_id = v.id AND d.run = v.run)`,
      [videoId, AUDIO_RENDITION, HIGHEST_RUNG],
    );
    return row ?? null;
  }

  private async make(wanted: Wanted, folder: string, { lease, signal }: JobContext): Promise<void> {
    const { videoId, run, picture, hasSound } = wanted;
    const [{ bytes } = { bytes: 0 }] = await this.db.query<{ bytes: number }>(
      `SELECT coalesce(sum(byte_size), 0)::float8 AS bytes FROM segment
       WHERE video_id = $1 AND run = $2 AND rendition = ANY($3::text[])`,
      [videoId, run, [picture, AUDIO_RENDITION]],
    );
    await this.scratch.checkRoom(2 * bytes);
    const fetched = async (rendition: string) => {
      const path = join(folder, `${rendition}.mp4`);
      await pipeline(this.made.bytesOf(videoId, run, rendition, signal), createWriteStream(path));
      return path;
    };
    const command = downloadArguments(await fetched(picture), hasSound ? await fetched(AUDIO_RENDITION) : null);
    // The index comes to the front in the end, and nothing is said while all moves back for it.
    await this.engine.run({ command, workDir: folder, timeoutMs: TIMEOUT_MS, stallMs: TIMEOUT_MS, signal });
    const file = join(folder, DOWNLOAD_FILE);
    const { size: sizeBytes } = await stat(file);
    const key = `pieces/${videoId}/${run}/download/${lease}/${DOWNLOAD_FILE}`;
    await this.objects.write(key, () => createReadStream(file), { sizeBytes, signal });
    await this.commit(wanted, { key, sizeBytes });
  }

  /** Nothing is kept when another was first, or the owner or the run thought better of it meanwhile. */
  private async commit({ videoId, run }: Wanted, object: { key: string; sizeBytes: number }): Promise<void> {
    await this.db.tx(async (tx) => {
      // Whoever ends the run or takes the permission back changes the row, so it is locked against that until the commit.
      const inserted = await tx.query(
        `WITH v AS MATERIALIZED (SELECT id FROM video WHERE id = $1 AND run = $2 AND state = 'READY' AND downloadable
                                   AND deleted_at IS NULL FOR SHARE)
         INSERT INTO download (video_id, run, object_key, size_bytes) SELECT id, $2, $3, $4 FROM v
         ON CONFLICT DO NOTHING RETURNING video_id`,
        [videoId, run, object.key, object.sizeBytes],
      );
      if (inserted.length === 0) return this.objects.drop(tx, [object.key]);
      if ((await this.objects.keep(tx, [object])).length === 0) {
        throw new Error('The file was collected before it was kept.');
      }
      tx.afterCommit(() => this.live.tick(videoTopic(videoId)));
    });
  }
}
