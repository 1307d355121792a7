import { Module } from '@nestjs/common';
import { VideosModule } from '../videos/index.js';
import { ViewFlush } from './view-flush.js';
import { ViewStore } from './view-store.js';
import { ViewsIngress } from './views.ingress.js';
import { VideoViewsResolver } from './views.resolver.js';
import { ViewsService } from './views.service.js';

@Module({
  imports: [VideosModule],
  providers: [ViewsService, ViewStore, ViewFlush, ViewsIngress, VideoViewsResolver],
  exports: [ViewsService],
})
export class ViewsModule {}
