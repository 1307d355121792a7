import { Injectable } from '@nestjs/common';
import { OnEvent } from '../../common/events/index.js';
import { HandlesJob } from '../../common/jobs/index.js';
import { RunWithdrawn, VideoDeleted, VideoFailed } from '../videos/index.js';
import { FreeRuns } from './transcoding.jobs.js';
import { TranscodingService } from './transcoding.service.js';

const ALL_RUNS = 2 ** 31 - 1;

/** Whatever can no longer be played leaves nothing behind. Attempts still under way are fenced off: they commit no more. */
@Injectable()
export class FreeRunsJob {
  constructor(private readonly transcoding: TranscodingService) {}

  @HandlesJob(FreeRuns)
  free({ videoId, run }: { videoId: string; run: number }): Promise<void> {
    return this.transcoding.free(videoId, run);
  }

  @OnEvent(VideoFailed)
  failed({ videoId, run }: { videoId: string; run: number }): Promise<void> {
    return this.transcoding.free(videoId, run);
  }

  @OnEvent(RunWithdrawn)
  withdrawn({ videoId, run }: { videoId: string; run: number }): Promise<void> {
    return this.transcoding.free(videoId, run);
  }

  @OnEvent(VideoDeleted)
  deleted({ videoId }: { videoId: string }): Promise<void> {
    return this.transcoding.free(videoId, ALL_RUNS);
  }
}
