import { Field, Float, ID, InputType, Int, ObjectType, registerEnumType } from '@nestjs/graphql';
import type { DomainError } from '../../common/errors/index.js';
import { GraphQLDateTime, UserError } from '../../common/graphql/index.js';
import { type ProcessingStage, Video, type VideoRow } from '../videos/index.js';
import { type RenditionState, runProgress } from './progress.js';

export const RenditionStateEnum = {
  ON_DEMAND: 'ON_DEMAND',
  PENDING: 'PENDING',
  PLAYABLE: 'PLAYABLE',
  READY: 'READY',
  FAILED: 'FAILED',
} as const satisfies Record<RenditionState, string>;
registerEnumType(RenditionStateEnum, {
  name: 'RenditionState',
  description: 'How much of a rendition is there.',
  valuesMap: {
    ON_DEMAND: { description: 'It is made when somebody asks for it: `requestRendition`.' },
    PENDING: { description: 'It does not play yet.' },
    PLAYABLE: { description: 'It plays from the start; the rest is being made.' },
    READY: { description: 'All of it is there.' },
    FAILED: { description: 'It was given up: with the video, or by itself where it was made on demand.' },
  },
});

export const ProcessingStageEnum = {
  QUEUED: 'QUEUED',
  PROBING: 'PROBING',
  SCANNING: 'SCANNING',
  ENCODING: 'ENCODING',
  PUBLISHING: 'PUBLISHING',
  DONE: 'DONE',
  FAILED: 'FAILED',
} as const satisfies Record<ProcessingStage, string>;
registerEnumType(ProcessingStageEnum, {
  name: 'ProcessingStage',
  description: 'What is being done with a file.',
  valuesMap: {
    QUEUED: { description: 'It waits for its turn.' },
    PROBING: { description: 'Its header is read and judged.' },
    SCANNING: { description: 'It is scanned for viruses.' },
    ENCODING: { description: 'Its renditions are made; it may play already.' },
    PUBLISHING: { description: 'What was made is checked as a whole.' },
    DONE: { description: 'All is made.' },
    FAILED: { description: 'It was refused, or given up.' },
  },
});

@ObjectType({ description: 'One quality of the picture. A player changes between them without a break.' })
export class Rendition {
  @Field(() => String, { description: 'After its short side: `360p`.' })
  name: string;

  @Field(() => Int, { description: 'Pixels.' })
  width: number;

  @Field(() => Int, { description: 'Pixels.' })
  height: number;

  @Field(() => Float, { description: 'Frames a second.' })
  frameRate: number;

  @Field(() => String, {
    description: 'As in RFC 6381: `avc1.64001e`. Empty until its first piece is made.',
  })
  codecs: string;

  @Field(() => Int, { description: 'Bits a second: measured once the video is READY, until then the cap.' })
  averageBitsPerSecond: number;

  @Field(() => RenditionStateEnum, { description: 'How much of it is there.' })
  state: RenditionState;

  @Field(() => Float, { description: '0 to 1: the share of its segments that are there.' })
  progress: number;
}

@ObjectType({ description: 'How far the making of the renditions is.' })
export class Processing {
  @Field(() => ProcessingStageEnum, { description: 'What is being done.' })
  stage: ProcessingStage;

  @Field(() => Float, { description: '0 to 1, by the work that it takes.' })
  progress: number;

  @Field(() => Int, {
    nullable: true,
    description:
      'Seconds, with what waits before it, if the rest goes like the part before. Null while nothing can be said, and when it is over.',
  })
  secondsLeft: number | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When its latest run began.' })
  startedAt: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: 'When it was DONE or FAILED.' })
  finishedAt: Date | null;

  @Field(() => Int, { description: 'Runs so far; more than one after a retry.' })
  attempts: number;

  static of(video: VideoRow, run: Parameters<typeof runProgress>[1]): Processing {
    const isOver = video.processingFinishedAt !== null;
    const { progress, secondsLeft } = runProgress(video.state === 'READY', run);
    return Object.assign(new Processing(), {
      stage: video.stage,
      progress,
      secondsLeft: isOver ? null : secondsLeft,
      startedAt: video.processingStartedAt,
      finishedAt: video.processingFinishedAt,
      attempts: video.processingAttempts,
    });
  }
}

@InputType({ description: 'Which video to process anew.' })
export class RetryProcessingInput {
  @Field(() => ID, { description: 'Which video.' })
  videoId: string;
}

@ObjectType({ description: 'What came of it.' })
export class RetryProcessingPayload {
  @Field(() => Video, {
    nullable: true,
    description: 'As it is now: its next run has begun. Null when nothing changed.',
  })
  video: Video | null = null;

  @Field(() => [UserError], {
    description:
      'Empty when it worked. NOTHING_TO_PROCESS: there is no complete upload. CANNOT_RETRY: it is blocked, or another run has just begun.',
  })
  userErrors: DomainError[] = [];
}

@InputType({ description: 'Which rendition to make.' })
export class RequestRenditionInput {
  @Field(() => ID, { description: 'Of which video.' })
  videoId: string;

  @Field(() => String, { description: 'Its `name`, of those that are ON_DEMAND.' })
  name: string;
}

@ObjectType({ description: 'What came of it.' })
export class RequestRenditionPayload {
  @Field(() => Rendition, {
    nullable: true,
    description: 'As it is now: PENDING when it will be made; whatever it was before when there was nothing to do.',
  })
  rendition: Rendition | null = null;

  @Field(() => [UserError], {
    description:
      'Empty when it worked. NOT_FOUND: the video is not yours to watch, or has no such rendition. TOO_MANY_ASKED: so many wait to be made that no further one is taken.',
  })
  userErrors: DomainError[] = [];
}
