import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database } from '../../common/database/index.js';
import { HandlesJob, type JobContext, jobAttributes } from '../../common/jobs/index.js';
import { type Span, traceUpload } from '../../common/tracing/index.js';
import {
  ALL_PACKETS_BYTES,
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
  readContainer,
  readFragments,
  remuxArguments,
  type Timing,
  verdict,
  whyNotCopy,
  withFile,
} from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { type UploadedFile, UploadedFiles } from '../uploads/index.js';
import { VideosService } from '../videos/index.js';
import { type MadeSegments, madeSegments } from './piece-results.js';
import { Scratch } from './scratch.js';
import { SourceFiles } from './source-files.js';
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
    private readonly files: UploadedFiles,
    private readonly objects: StoredObjects,
    private readonly scratch: Scratch,
    private readonly sources: SourceFiles,
    private readonly transcoding: TranscodingService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @HandlesJob(ProbeVideo)
  async handle({ videoId, run }: { videoId: string; run: number }, context: JobContext): Promise<void> {
    await this.db.tx((tx) => this.videos.transition(tx, { videoId, run, to: 'PROCESSING', stage: 'PROBING' }));
    const video = await this.videos.byId(this.db, videoId);
    const file = await this.files.ofVideo(videoId);
    if (!file?.masterKey || file.run !== run || video?.run !== run) return;
    if (video.state !== 'PROCESSING' && video.state !== 'PLAYABLE') return;

    const attributes = { 'sluice.run': run, ...jobAttributes(context) };
    await traceUpload(videoId, 'probe', attributes, async (span) => {
      const early = await this.transcoding.earlyProbe(file);
      if (early) await this.confirm(file, early, context, span);
      else if (video.state === 'PROCESSING') await this.probe(file, context, span);
    });
  }

  /** The header was read before the upload's end. What only the whole file shows is how its structure ends, and its packets. */
  private async confirm(file: UploadedFile, early: Probe, { signal }: JobContext, span: Span): Promise<void> {
    const { probe, judged } = await this.sources.during(
      file,
      () => [],
      signal,
      async (path, isWhole) => {
        if (isWhole) return examine(this.engine, path, signal);
        const container = await withFile(path, readContainer);
        return { probe: { ...early, container }, judged: verdict({ ...early, container }) };
      },
    );
    span.set({ 'sluice.verdict': judged.accepted ? 'ACCEPTED' : judged.code });
    if (judged.accepted && !needsRemux(probe)) await this.transcoding.confirm(file);
    else await this.transcoding.beginAnew(file);
  }

  /** A large one by its index alone, where there is one; what is small, or refused, or copied, is read as a whole. */
  private async probe(file: UploadedFile, context: JobContext, span: Span): Promise<void> {
    const { signal } = context;
    const judge = (path: string, isWhole: boolean) => this.judge(file, { path, isWhole }, context, span);
    const isLarge = file.sizeBytes > ALL_PACKETS_BYTES;
    if (isLarge && (await this.sources.during(file, () => [], signal, judge))) return;
    await this.sources.whole(file, signal, (path) => judge(path, true));
  }

  /** @returns false, with nothing done, where only the whole file will do */
  private async judge(
    { videoId, run }: UploadedFile,
    { path, isWhole }: { path: string; isWhole: boolean },
    context: JobContext,
    span: Span,
  ): Promise<boolean> {
    const { probe, packets, judged } = isWhole
      ? await examine(this.engine, path, context.signal)
      : await this.header(path, context);
    const isFit = judged.accepted && !needsRemux(probe);
    if (!isFit && !isWhole) return false;
    span.set({ 'sluice.verdict': judged.accepted ? 'ACCEPTED' : judged.code });
    if (!judged.accepted) await this.transcoding.refuse({ videoId, run }, judged);
    else if (isFit) {
      const copyTop = (rung: Rung, timing: Timing) =>
        this.copyTop({ videoId, run }, path, { probe, packets, timing, rung }, context);
      await this.transcoding.planRun({ videoId, run }, { probe, picture: null, copyTop });
    } else await this.planWithCopy({ videoId, run }, path, probe, context);
    return true;
  }

  private async header(path: string, { signal }: JobContext) {
    const probe = await this.engine.probe(path, signal);
    return { probe, packets: null, judged: verdict(probe) };
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
        if (!(error instanceof MediaRunError && error.gaveUp)) throw error;
        await this.corrupt(video);
        return;
      }
      const copy = await this.engine.probe(join(folder, file), signal);
      if (!copy.video?.duration) {
        await this.corrupt(video);
        return;
      }
      const key = `pieces/${video.videoId}/${video.run}/picture/${lease}/${file}`;
      const body = () => createReadStream(join(folder, file));
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
        const body = () => createReadStream(file, { start, end: start + sizeBytes - 1 });
        await this.objects.write(key, body, { sizeBytes, signal });
        return made;
      } catch (error) {
        const isUnfit = error instanceof PieceRefused || error instanceof MalformedFragments;
        if (!isUnfit && !(error instanceof MediaRunError && error.gaveUp)) throw error;
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
