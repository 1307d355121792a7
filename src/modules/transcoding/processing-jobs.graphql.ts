import { Field, Float, ID, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import { connectionOf, encodeId, GraphQLDateTime } from '../../common/graphql/index.js';
import type { QueueState } from './encode-queue.js';
import type { JobState, ProcessingJobRow } from './processing-jobs.service.js';

export const ProcessingJobStateEnum = {
  QUEUED: 'QUEUED',
  RUNNING: 'RUNNING',
  DONE: 'DONE',
} as const satisfies Record<JobState, string>;
registerEnumType(ProcessingJobStateEnum, {
  name: 'ProcessingJobState',
  description: 'Where a job is.',
  valuesMap: {
    QUEUED: { description: 'It waits for its turn, or after a failed attempt for the next one.' },
    RUNNING: { description: 'A worker has it.' },
    DONE: { description: 'It ended: what came of it is in the state of its video.' },
  },
});

const KINDS: Record<string, string> = {
  LookAhead: 'LOOK',
  ProbeVideo: 'PROBE',
  EncodeFirst: 'FIRST',
  EncodeFirstSound: 'AUDIO',
  EncodePiece: 'VIDEO',
  EncodeRung: 'RUNG',
  EncodeAudio: 'AUDIO',
  MakeStills: 'STILLS',
  MakeDownload: 'DOWNLOAD',
};
export const ProcessingJobKindEnum = {
  LOOK: 'LOOK',
  PROBE: 'PROBE',
  FIRST: 'FIRST',
  VIDEO: 'VIDEO',
  RUNG: 'RUNG',
  AUDIO: 'AUDIO',
  STILLS: 'STILLS',
  DOWNLOAD: 'DOWNLOAD',
} as const;
registerEnumType(ProcessingJobKindEnum, {
  name: 'ProcessingJobKind',
  description: 'What a job makes.',
  valuesMap: {
    LOOK: { description: 'What of a file can be processed while it arrives.' },
    PROBE: { description: 'The verdict on a file, and the plan of its run.' },
    FIRST: { description: 'The first seconds of the lowest rung.' },
    VIDEO: { description: 'Some seconds of all rungs.' },
    RUNG: { description: 'Some seconds of one rung that somebody asked for.' },
    AUDIO: { description: 'The sound, or its first seconds.' },
    STILLS: { description: 'Poster, thumbnails and storyboard.' },
    DOWNLOAD: { description: 'The file that may be saved.' },
  },
});

@ObjectType({ description: 'A piece of work on a video. For operators.' })
export class ProcessingJob {
  row: ProcessingJobRow;

  @Field(() => ID, { description: 'Opaque.' })
  id: string;

  @Field(() => ProcessingJobKindEnum, { description: 'What it makes.' })
  kind: string;

  @Field(() => Int, { nullable: true, description: 'Which one of its kind, from 0. Null when its run is gone.' })
  number: number | null;

  @Field(() => ProcessingJobStateEnum, { description: 'Where it is.' })
  state: JobState;

  @Field(() => Int, { description: 'Attempts that began. One that a stopping worker gave back is not counted.' })
  attempts: number;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: 'Since when it is due, or when it will be; while it is QUEUED.',
  })
  waitingSince: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When its latest attempt began.' })
  startedAt: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it was DONE.' })
  finishedAt: Date | null;

  @Field(() => String, { nullable: true, description: 'Who has it, or had it last: `PID@HOST`.' })
  worker: string | null;

  @Field(() => Float, { nullable: true, description: '0 to 1, of what it makes. Null for a PROBE.' })
  progress: number | null;

  @Field(() => String, { nullable: true, description: 'Why the attempt failed that failed last.' })
  lastError: string | null;

  @Field(() => String, { nullable: true, description: 'The end of what ffmpeg said in it, at most 4096 characters.' })
  lastLog: string | null;

  static of(this: void, row: ProcessingJobRow): ProcessingJob {
    return Object.assign(new ProcessingJob(), row, {
      row,
      id: encodeId('ProcessingJob', row.id),
      kind: KINDS[row.name],
      waitingSince: row.state === 'QUEUED' ? row.dueAt : null,
    });
  }
}

export const { Edge: ProcessingJobEdge, Connection: ProcessingJobConnection } = connectionOf(() => ProcessingJob);

@ObjectType({ description: 'What waits to be processed, over all videos. For operators.' })
export class ProcessingQueue implements QueueState {
  @Field(() => Int, { description: 'Jobs that are due; of more than 10000 that many.' })
  waiting: number;

  @Field(() => Int, { description: 'Jobs that workers have.' })
  running: number;

  @Field(() => Float, { description: 'How long the longest waiting due job has been due; 0 without one.' })
  oldestWaitSeconds: number;

  @Field(() => Float, {
    nullable: true,
    description:
      'Until all that waits now is encoded, by the speed of late. Null while that is not known, as without a worker.',
  })
  expectedWaitSeconds: number | null;
}
