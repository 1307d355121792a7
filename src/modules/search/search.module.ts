import { Module } from '@nestjs/common';
import { ChannelsModule } from '../channels/index.js';
import { VideosModule } from '../videos/index.js';
import { IndexUpdates } from './index-updates.js';
import { IndexWriter } from './index-writer.js';
import { PostgresSearchIndex } from './postgres-search-index.js';
import { Reindex } from './reindex.js';
import { SearchResolver } from './search.resolver.js';
import { SearchService } from './search.service.js';
import { SearchIndex } from './search-index.js';

@Module({
  imports: [ChannelsModule, VideosModule],
  providers: [
    { provide: SearchIndex, useClass: PostgresSearchIndex },
    IndexWriter,
    IndexUpdates,
    Reindex,
    SearchService,
    SearchResolver,
  ],
  exports: [SearchService, Reindex],
})
export class SearchModule {}
