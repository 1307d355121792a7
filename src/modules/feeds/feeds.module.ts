import { Module } from '@nestjs/common';
import { VideosModule } from '../videos/index.js';
import { ViewsModule } from '../views/index.js';
import { FeedsResolver, VideoRelatedResolver } from './feeds.resolver.js';
import { FeedsService } from './feeds.service.js';
import { RelatedService } from './related.service.js';
import { TrendingService } from './trending.service.js';
import { VideoTermsService } from './video-terms.service.js';

@Module({
  imports: [VideosModule, ViewsModule],
  providers: [FeedsService, TrendingService, RelatedService, VideoTermsService, FeedsResolver, VideoRelatedResolver],
  exports: [FeedsService, TrendingService, RelatedService],
})
export class FeedsModule {}
