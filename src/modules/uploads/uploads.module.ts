import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MailModule } from '../../common/mail/index.js';
import { ChannelsModule } from '../channels/index.js';
import { StorageModule } from '../storage/index.js';
import { UsersModule } from '../users/index.js';
import { VideosModule } from '../videos/index.js';
import { AppendLane } from './append-lane.service.js';
import { AssembleJob } from './assemble.job.js';
import { ChunksService } from './chunks.service.js';
import { MergeJob } from './merge.job.js';
import { TusIngress } from './tus-ingress.js';
import { UploadExpiry } from './upload-expiry.service.js';
import { UploadSessionEntity } from './upload-session.entity.js';
import { UploadWriters } from './upload-writers.service.js';
import { UploadedFiles } from './uploaded-files.service.js';
import { UploadsMetrics } from './uploads.metrics.js';
import { UploadsResolver, UserUploadsResolver, VideoUploadResolver } from './uploads.resolver.js';
import { UploadsService } from './uploads.service.js';

@Module({
  imports: [
    TypeOrmModule.forFeature([UploadSessionEntity]),
    MailModule,
    StorageModule,
    UsersModule,
    ChannelsModule,
    VideosModule,
  ],
  providers: [
    ...[UploadsService, UploadedFiles, ChunksService, UploadWriters, AppendLane, TusIngress],
    ...[AssembleJob, MergeJob, UploadExpiry, UploadsMetrics],
    ...[UploadsResolver, UserUploadsResolver, VideoUploadResolver],
  ],
  exports: [UploadsService, UploadedFiles, UploadWriters],
})
export class UploadsModule {}
