import { Module } from '@nestjs/common';
import { ChannelsModule } from '../channels/index.js';
import { StorageModule } from '../storage/index.js';
import { TranscodingModule } from '../transcoding/index.js';
import { VideosModule } from '../videos/index.js';
import { MediaController } from './media.controller.js';
import { MediaAccessController } from './media-access.controller.js';
import { MediaLibrary } from './media-library.js';
import { PlaybackService } from './playback.service.js';
import { VideoPlaybackResolver } from './streaming.resolver.js';

@Module({
  imports: [ChannelsModule, StorageModule, VideosModule, TranscodingModule],
  controllers: [MediaController, MediaAccessController],
  providers: [PlaybackService, MediaLibrary, VideoPlaybackResolver],
})
export class StreamingModule {}
