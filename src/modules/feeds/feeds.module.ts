import { Module } from '@nestjs/common';
import { VideosModule } from '../videos/index.js';
import { ViewsModule } from '../views/index.js';
import { FeedsResolver } from './feeds.resolver.js';
import { FeedsService } from './feeds.service.js';
import { TrendingService } from './trending.service.js';

@Module({
  imports: [VideosModule, ViewsModule],
  providers: [FeedsService, TrendingService, FeedsResolver],
  exports: [FeedsService, TrendingService],
})
export class FeedsModule {}
