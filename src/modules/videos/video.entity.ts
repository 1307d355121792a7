import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import type { VideoState } from './video-state.js';
import type { VideoVisibility } from './videos.policy.js';

export type ProcessingStage = 'QUEUED' | 'PROBING' | 'SCANNING' | 'ENCODING' | 'PUBLISHING' | 'DONE' | 'FAILED';

@Entity('video')
export class VideoEntity {
  @PrimaryGeneratedColumn('uuid')
  id: string;

  @Column('uuid', { name: 'channel_id' })
  channelId: string;

  /** Who uploaded it. */
  @Column('uuid', { name: 'owner_id' })
  ownerId: string;

  @Column('text')
  title: string;

  @Column('text', { default: '' })
  description: string;

  @Column('text', { array: true, default: '{}' })
  tags: string[];

  /** BCP 47. */
  @Column('text', { nullable: true })
  language: string | null;

  @Column('text', { default: 'PRIVATE' })
  visibility: VideoVisibility;

  @Column('text', { default: 'UPLOADING' })
  state: VideoState;

  @Column('text', { name: 'failure_code', nullable: true })
  failureCode: string | null;

  @Column('text', { name: 'failure_message', nullable: true })
  failureMessage: string | null;

  @Column('boolean', { name: 'failure_retryable', nullable: true })
  failureRetryable: boolean | null;

  /** Jobs, object prefixes and publish belong to one run; counted from 1. */
  @Column('int', { default: 1 })
  run: number;

  /** Playback tokens belong to one epoch: raising it ends all that were handed out. */
  @Column('int', { name: 'access_epoch', default: 1 })
  accessEpoch: number;

  @Column('timestamptz', { name: 'verified_at', nullable: true })
  verifiedAt: Date | null;

  @Column('timestamptz', { name: 'publish_at', nullable: true })
  publishAt: Date | null;

  @Column('timestamptz', { name: 'published_at', nullable: true })
  publishedAt: Date | null;

  /** When it first stood in lists: its place in feeds. */
  @Column('timestamptz', { name: 'listed_at', nullable: true })
  listedAt: Date | null;

  /** Also told to followers who want to hear of highlights alone. */
  @Column('boolean', { name: 'is_highlight', default: false })
  isHighlight: boolean;

  /** Whoever may watch it may also save it. */
  @Column('boolean', { default: false })
  downloadable: boolean;

  @Column('int', { name: 'duration_ms', nullable: true })
  durationMs: number | null;

  @Column('int', { nullable: true })
  width: number | null;

  @Column('int', { nullable: true })
  height: number | null;

  @Column('double precision', { name: 'frame_rate', nullable: true })
  frameRate: number | null;

  @Column('text', { default: 'QUEUED' })
  stage: ProcessingStage;

  @Column('timestamptz', { name: 'processing_started_at', nullable: true })
  processingStartedAt: Date | null;

  @Column('timestamptz', { name: 'processing_finished_at', nullable: true })
  processingFinishedAt: Date | null;

  @Column('int', { name: 'processing_attempts', default: 0 })
  processingAttempts: number;

  /** To the hour; when it was made, until it is. */
  @Column('timestamptz', { name: 'watched_at', default: () => 'now()' })
  watchedAt: Date;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column('timestamptz', { name: 'deleted_at', nullable: true })
  deletedAt: Date | null;
}
