import { Module } from '@nestjs/common';
import { MediaModule } from '../media/index.js';
import { StorageModule } from '../storage/index.js';
import { UploadsModule } from '../uploads/index.js';
import { VideosModule } from '../videos/index.js';
import { EncodeAudioJob } from './encode-audio.job.js';
import { EncodePieceJob } from './encode-piece.job.js';
import { EncodeQueue } from './encode-queue.js';
import { FreeRunsJob } from './free-runs.job.js';
import { LookAheadJob } from './look-ahead.job.js';
import { MadeRenditions } from './made-renditions.js';
import { MakeDownloadJob } from './make-download.job.js';
import { MakeStillsJob } from './make-stills.job.js';
import { OnDemandRungs } from './on-demand.js';
import { PieceAttempts } from './piece-attempts.js';
import { PieceResults } from './piece-results.js';
import { ProbeVideoJob } from './probe-video.job.js';
import { ProcessingJobsResolver } from './processing-jobs.resolver.js';
import { ProcessingJobs } from './processing-jobs.service.js';
import { Publisher } from './publisher.js';
import { Scratch } from './scratch.js';
import { SourceFiles } from './source-files.js';
import { StartProcessing } from './start-processing.js';
import { TranscodingResolver } from './transcoding.resolver.js';
import { TranscodingService } from './transcoding.service.js';

@Module({
  imports: [StorageModule, MediaModule, VideosModule, UploadsModule],
  providers: [
    ...[TranscodingService, TranscodingResolver, Publisher, MadeRenditions, OnDemandRungs],
    ...[Scratch, SourceFiles, EncodeQueue, ProcessingJobs, ProcessingJobsResolver, PieceAttempts, PieceResults],
    ...[StartProcessing, LookAheadJob, ProbeVideoJob, EncodePieceJob, EncodeAudioJob, MakeStillsJob, MakeDownloadJob],
    FreeRunsJob,
  ],
  exports: [TranscodingService, OnDemandRungs],
})
export class TranscodingModule {}
