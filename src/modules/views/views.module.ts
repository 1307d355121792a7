import { Module } from '@nestjs/common';
import { VideosModule } from '../videos/index.js';
import { ViewFlush } from './view-flush.js';
import { ViewStore } from './view-store.js';
import { ViewsController } from './views.controller.js';
import { VideoViewsResolver } from './views.resolver.js';
import { ViewsService } from './views.service.js';

@Module({
  imports: [VideosModule],
  controllers: [ViewsController],
  providers: [ViewsService, ViewStore, ViewFlush, VideoViewsResolver],
  exports: [ViewsService],
})
export class ViewsModule {}
