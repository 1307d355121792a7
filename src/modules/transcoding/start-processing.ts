import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { OnEvent } from '../../common/events/index.js';
import { UploadCompleted } from '../uploads/index.js';
import { TranscodingService } from './transcoding.service.js';

@Injectable()
export class StartProcessing {
  constructor(
    private readonly db: Database,
    private readonly transcoding: TranscodingService,
  ) {}

  @OnEvent(UploadCompleted)
  completed({ videoId, run }: { videoId: string; run: number }): Promise<void> {
    return this.db.tx((tx) => this.transcoding.start(tx, videoId, run));
  }
}
