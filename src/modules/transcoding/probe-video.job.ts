import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database } from '../../common/database/index.js';
import { HandlesJob, type JobContext, jobAttributes } from '../../common/jobs/index.js';
import { type Span, traceUpload } from '../../common/tracing/index.js';
import {
  type CopyCandidate,
  checkSegments,
  copyArguments,
  examine,
  hasPlainKeys,
  MalformedFragments,
  MediaEngine,
  MediaRunError,
  needsRemux,
  type Probe,
  type Rung,
  readFragments,
  remuxArguments,
  type Timing,
  whyNotCopy,
  withFile,
} from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { UploadsService } from '../uploads/index.js';
import { VideosService } from '../videos/index.js';
import { type MadeSegments, madeSegments } from './piece-results.js';
import { Scratch } from './scratch.js';
import { PieceRefused } from './transcoding.errors.js';
import { ProbeVideo } from './transcoding.jobs.js';
import { TranscodingService } from './transcoding.service.js';

/** Copying reads and writes at the disk's speed: the largest file that may be uploaded fits. */
const COPY_TIMEOUT_MS = 2 * 3_600_000;

@Injectable()
export class ProbeVideoJob {
  private readonly logger = new Logger(ProbeVideoJob.name);

  constructor(
    private readonly db: Database,
    private readonly engine: MediaEngine,
    private readonly videos: VideosService,
    private readonly uploads: UploadsService,
    private readonly objects: StoredObjects,
    private readonly scratch: Scratch,
    private readonly transcoding: TranscodingService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @HandlesJob(ProbeVideo)
  async handle({ videoId, run }: { videoId: string; run: number }, context: JobContext): Promise<void> {
    await this.db.tx((tx) => this.videos.transition(tx, { videoId, run, to: 'PROCESSING', stage: 'PROBING' }));
    const video = await this.videos.byId(this.db, videoId);
    const master = await this.uploads.masterOf(this.db, videoId);
    if (!master || video?.run !== run || video.state !== 'PROCESSING') return;

    const attributes = { 'sluice.run': run, ...jobAttributes(context) };
    await traceUpload(videoId, 'probe', attributes, (span) => this.probe({ videoId, run }, master, context, span));
  }

  private async probe(
    { videoId, run }: { videoId: string; run: number },
    master: { key: string; sizeBytes: number },
    context: JobContext,
    span: Span,
  ): Promise<void> {
    await this.scratch.object(master, context.signal, async (path) => {
      const { probe, packets, judged } = await examine(this.engine, path, context.signal);
      span.set({ 'sluice.verdict': judged.accepted ? 'ACCEPTED' : judged.code });
      if (!judged.accepted) {
        await this.transcoding.refuse({ videoId, run }, judged);
      } else if (needsRemux(probe)) {
        await this.planWithCopy({ videoId, run }, path, probe, context);
      } else {
        const copyTop = (rung: Rung, timing: Timing) =>
          this.copyTop({ videoId, run }, path, { probe, packets, timing, rung }, context);
        await this.transcoding.planRun({ videoId, run }, { probe, picture: null, copyTop });
      }
    });
  }

  /** The picture is copied once into a container that can be read in pieces; every piece then reads the copy. */
  private planWithCopy(
    video: { videoId: string; run: number },
    path: string,
    probe: Probe,
    { lease, signal }: JobContext,
  ): Promise<void> {
    return this.scratch.folder(async (folder) => {
      if (!probe.video) throw new Error('A probe without a picture was accepted.');
      const { command, file } = remuxArguments(path, probe.video);
      try {
        await this.engine.run({ command, workDir: folder, timeoutMs: COPY_TIMEOUT_MS, signal });
      } catch (error) {
        if (!(error instanceof MediaRunError && error.failure === 'exit') || /No space left/.test(error.log))
          throw error;
        await this.corrupt(video);
        return;
      }
      const copy = await this.engine.probe(join(folder, file), signal);
      if (!copy.video?.duration) {
        await this.corrupt(video);
        return;
      }
      const key = `pieces/${video.videoId}/${video.run}/picture/${lease}/${file}`;
      const body = createReadStream(join(folder, file));
      const { sizeBytes } = await this.objects.write(key, body, { sizeBytes: copy.sizeBytes, signal });
      await this.transcoding.planRun(video, { probe, picture: { probe: copy, key, sizeBytes } });
    });
  }

  /**
   * The highest rung from the master's own picture, as it is. Whatever speaks against it, the rung is encoded like the others.
   * Small masters alone come here, for the packets of larger ones are not all known.
   */
  private async copyTop(
    { videoId, run }: { videoId: string; run: number },
    path: string,
    found: CopyCandidate,
    { lease, signal }: JobContext,
  ): Promise<MadeSegments | null> {
    const { probe, packets, timing, rung } = found;
    if (!this.config.copyTopRung || !packets || whyNotCopy(found) !== null) return null;
    if (!(await withFile(path, (source) => hasPlainKeys(source, packets, timing)))) return null;
    return this.scratch.folder(async (folder) => {
      const command = copyArguments(path, probe, timing, rung);
      try {
        await this.engine.run({ command, workDir: folder, timeoutMs: COPY_TIMEOUT_MS, signal });
        const file = join(folder, `${rung.name}.mp4`);
        const read = await readFragments(file);
        const checked = checkSegments({ timing, firstFrame: 0, frames: timing.frames, initSha256: null }, read);
        if (!checked.ok) throw new PieceRefused(checked.reason);
        const key = `pieces/${videoId}/${run}/copy/${lease}/${rung.name}.mp4`;
        const { start, ...made } = madeSegments(rung.name, read, key, 1);
        const { sizeBytes } = made;
        await this.objects.write(key, createReadStream(file, { start, end: start + sizeBytes - 1 }), {
          ...{ sizeBytes, signal },
        });
        return made;
      } catch (error) {
        const isUnfit = error instanceof PieceRefused || error instanceof MalformedFragments;
        if (!isUnfit && !(error instanceof MediaRunError && error.failure === 'exit')) throw error;
        this.logger.log(`video ${videoId}, run ${run}: the picture is encoded, not copied: ${error.message}`);
        return null;
      }
    });
  }

  private async corrupt(video: { videoId: string; run: number }): Promise<void> {
    const message = 'The picture of this file cannot be read: save it again in another program and upload it anew.';
    await this.transcoding.refuse(video, { code: 'CORRUPT', message });
  }
}
