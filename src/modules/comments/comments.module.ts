import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ChannelsModule } from '../channels/index.js';
import { UsersModule } from '../users/index.js';
import { VideosModule } from '../videos/index.js';
import { CommentEntity } from './comment.entity.js';
import { CommentEventsResolver, CommentsResolver, VideoCommentsResolver } from './comments.resolver.js';
import { CommentsService } from './comments.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([CommentEntity]), UsersModule, ChannelsModule, VideosModule],
  providers: [CommentsService, CommentsResolver, CommentEventsResolver, VideoCommentsResolver],
  exports: [CommentsService],
})
export class CommentsModule {}
