import { Injectable, Logger } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { Events } from '../../common/events/index.js';
import { HandlesJob, type JobContext, jobAttributes } from '../../common/jobs/index.js';
import { traceUpload } from '../../common/tracing/index.js';
import { StoredObjects } from '../storage/index.js';
import { VideosService } from '../videos/index.js';
import { ChunksService } from './chunks.service.js';
import * as ledger from './upload-ledger.js';
import { FILE_DIGEST_MISMATCH } from './uploads.errors.js';
import { UploadCompleted } from './uploads.events.js';
import { AssembleMaster, FreeChunks } from './uploads.jobs.js';
import { sessionsEnded } from './uploads.metrics.js';
import { type UploadSessionRow, UploadsService } from './uploads.service.js';

const FREED_AT_ONCE = 500;

/** What happens to a session's bytes once it is complete, or over. */
@Injectable()
export class AssembleJob {
  private readonly logger = new Logger(AssembleJob.name);

  constructor(
    private readonly db: Database,
    private readonly events: Events,
    private readonly objects: StoredObjects,
    private readonly uploads: UploadsService,
    private readonly chunks: ChunksService,
    private readonly videos: VideosService,
  ) {}

  /**
   * Puts the contributions together as one object under this attempt's own key, so that an attempt that was cut off, or
   * that was thought dead and was not, leaves garbage and nothing else.
   */
  @HandlesJob(AssembleMaster)
  async assemble({ sessionId, epoch }: { sessionId: string; epoch: number }, context: JobContext): Promise<void> {
    const session = await this.uploads.byId(sessionId);
    if (session?.state !== 'COMPLETING' || session.epoch !== epoch) return;
    const attributes = {
      'sluice.session.id': sessionId,
      'sluice.file.bytes': session.sizeBytes,
      ...jobAttributes(context),
    };
    await traceUpload(session.videoId, 'assemble', attributes, () => this.write(session, context));
  }

  private async write(session: UploadSessionRow, context: JobContext): Promise<void> {
    const { id: sessionId, epoch } = session;
    const key = `masters/${sessionId}/${context.lease}`;
    const parts = await ledger.parts(this.db, sessionId);
    const master = await this.objects.compose(key, parts, {
      sizeBytes: session.sizeBytes,
      signal: context.signal,
    });

    const declared = session.sha256?.toString('hex');
    const right = declared === undefined || declared === master.sha256;
    if (!right) this.logger.warn(`upload ${sessionId}: declared ${declared}, got ${master.sha256}`);
    await this.db.tx(async (tx) => {
      const done = right
        ? await ledger.finish(tx, sessionId, epoch, key)
        : await ledger.reopen(tx, sessionId, epoch, FILE_DIGEST_MISMATCH);
      if (done && right) {
        const kept = await this.objects.keep(tx, [{ key, sizeBytes: master.sizeBytes }]);
        if (kept.length === 0) throw new Error(`The master ${key} was given up before it counted.`);
        const video = await this.videos.markVerified(tx, session.videoId);
        if (video) await this.events.publish(tx, UploadCompleted, { sessionId, videoId: session.videoId, ...video });
        await this.uploads.freeChunksLater(tx, sessionId);
        tx.afterCommit(() => sessionsEnded.inc({ state: 'COMPLETED' }));
      } else {
        if (done) await this.videos.withdraw(tx, session.videoId);
        await this.objects.drop(tx, [key]);
      }
      this.uploads.tickAfter(tx, sessionId);
    });
  }

  @HandlesJob(FreeChunks)
  async free({ sessionId }: { sessionId: string }, context: JobContext): Promise<void> {
    while (await this.chunks.free(sessionId, FREED_AT_ONCE)) {
      context.signal.throwIfAborted();
      // Now, and not when the collector comes by: whoever cancels has room again at once.
      await this.objects.deleteSome(2 * FREED_AT_ONCE);
    }
  }
}
