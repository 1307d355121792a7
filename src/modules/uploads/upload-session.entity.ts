import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

export const UPLOAD_SESSION_STATES = ['OPEN', 'COMPLETING', 'COMPLETED', 'CANCELLED', 'EXPIRED'] as const;
export type UploadSessionState = (typeof UPLOAD_SESSION_STATES)[number];

@Entity('upload_session')
export class UploadSessionEntity {
  @PrimaryGeneratedColumn('uuid')
  id: string;

  @Column('uuid', { name: 'owner_id' })
  ownerId: string;

  @Column('uuid', { name: 'channel_id' })
  channelId: string;

  @Column('uuid', { name: 'video_id' })
  videoId: string;

  @Column('text', { name: 'file_name' })
  fileName: string;

  @Column('text', { name: 'content_type', nullable: true })
  contentType: string | null;

  @Column('bigint', { name: 'size_bytes' })
  sizeBytes: number;

  /** As the client declared it, of the whole file. */
  @Column('bytea', { nullable: true })
  sha256: Buffer | null;

  @Column('text', { nullable: true })
  fingerprint: string | null;

  @Column('text', { name: 'idempotency_key' })
  idempotencyKey: string;

  @Column('bytea', { name: 'input_hash' })
  inputHash: Buffer;

  @Column('text', { default: 'OPEN' })
  state: UploadSessionState;

  @Column('timestamptz', { name: 'paused_at', nullable: true })
  pausedAt: Date | null;

  /** Raised whenever the state changes or bytes are discarded: what was begun before counts no more. */
  @Column('int', { default: 1 })
  epoch: number;

  /** PostgreSQL's text of what is committed: byte-ranges.ts reads it. */
  @Column('int8multirange', { default: '{}' })
  covered: string;

  /** What processing waits for, in the same way; null: nothing, before the upload is complete. */
  @Column('int8multirange', { nullable: true })
  wanted: string | null;

  @Column('text', { name: 'failure_code', nullable: true })
  failureCode: string | null;

  @Column('text', { name: 'failure_message', nullable: true })
  failureMessage: string | null;

  /** Of the one original, once COMPLETED; null again when the video is deleted. */
  @Column('text', { name: 'master_key', nullable: true })
  masterKey: string | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column('timestamptz', { name: 'expires_at', default: () => "now() + interval '7 days'" })
  expiresAt: Date;

  /** The `expiresAt` that was announced last: a later byte has it announced anew. */
  @Column('timestamptz', { name: 'expiry_announced', nullable: true })
  expiryAnnounced: Date | null;

  @Column('timestamptz', { name: 'completed_at', nullable: true })
  completedAt: Date | null;
}
