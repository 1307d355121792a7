import { Module } from '@nestjs/common';
import { VideosModule } from '../videos/index.js';
import { ViewsService } from './views.service.js';

@Module({ imports: [VideosModule], providers: [ViewsService], exports: [ViewsService] })
export class ViewsModule {}
