import { Args, ArgsType, Field, ID, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { IsOptional } from 'class-validator';
import { Role } from '../../common/access/index.js';
import { decodeId, type OperationContext, PageArgs, toConnection } from '../../common/graphql/index.js';
import { Video, VideosService } from '../videos/index.js';
import { EncodeQueue } from './encode-queue.js';
import {
  ProcessingJob,
  ProcessingJobConnection,
  ProcessingJobStateEnum,
  ProcessingQueue,
} from './processing-jobs.graphql.js';
import { type JobState, ProcessingJobs } from './processing-jobs.service.js';

@ArgsType()
class ProcessingJobsArgs extends PageArgs {
  @Field(() => ID, { nullable: true, description: 'Of this video alone.' })
  @IsOptional()
  videoId?: string | null;

  @Field(() => ProcessingJobStateEnum, { nullable: true, description: 'In this state alone.' })
  @IsOptional()
  state?: JobState | null;
}

@Resolver(() => ProcessingJob)
export class ProcessingJobsResolver {
  constructor(
    private readonly jobs: ProcessingJobs,
    private readonly queue: EncodeQueue,
    private readonly videos: VideosService,
  ) {}

  @Query(() => ProcessingJobConnection, {
    description:
      'The jobs that process a video, or those in a state, or both; newest first. Done ones are kept for a week.',
    complexity: 5,
  })
  @Role('ADMIN')
  async processingJobs(@Args() { videoId, state, first, after }: ProcessingJobsArgs) {
    const filter = { videoId: videoId ? decodeId('Video', videoId, ['videoId']) : null, state: state ?? null };
    return toConnection(
      await this.jobs.page(filter, first, after),
      { after },
      ProcessingJobs.cursorOf,
      ProcessingJob.of,
    );
  }

  @Query(() => ProcessingQueue, { description: 'At most 5 s old.' })
  @Role('ADMIN')
  processingQueue(): Promise<ProcessingQueue> {
    return this.queue.state();
  }

  @ResolveField(() => Video, { nullable: true, description: 'Whose work it is. Null when it was deleted.' })
  async video({ row }: ProcessingJob, _: unknown, { loaders }: OperationContext): Promise<Video | null> {
    const found = await loaders.loader('videos', (ids: readonly string[]) => this.videos.byIds(ids)).load(row.videoId);
    return found && Video.of(found);
  }
}
