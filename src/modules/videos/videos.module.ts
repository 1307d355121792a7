import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ChannelsModule } from '../channels/index.js';
import { VideoEntity } from './video.entity.js';
import { VideoLikes } from './video-likes.service.js';
import { ChannelVideosResolver, VideosResolver } from './videos.resolver.js';
import { VideosService } from './videos.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([VideoEntity]), ChannelsModule],
  providers: [VideosService, VideoLikes, VideosResolver, ChannelVideosResolver],
  exports: [VideosService],
})
export class VideosModule {}
