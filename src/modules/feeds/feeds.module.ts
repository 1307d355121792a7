import { Module } from '@nestjs/common';
import { VideosModule } from '../videos/index.js';
import { FeedsResolver } from './feeds.resolver.js';
import { FeedsService } from './feeds.service.js';

@Module({
  imports: [VideosModule],
  providers: [FeedsService, FeedsResolver],
  exports: [FeedsService],
})
export class FeedsModule {}
