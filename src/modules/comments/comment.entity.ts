import { Column, CreateDateColumn, Entity, PrimaryGeneratedColumn } from 'typeorm';

/** Changed by `CommentsService` alone, which keeps the counts. */
@Entity('comment')
export class CommentEntity {
  @PrimaryGeneratedColumn('uuid')
  id: string;

  @Column('uuid', { name: 'video_id' })
  videoId: string;

  /** The comment that it answers, which answers none itself. */
  @Column('uuid', { name: 'parent_id', nullable: true })
  parentId: string | null;

  @Column('uuid', { name: 'author_id' })
  authorId: string;

  /** Empty once it is deleted. */
  @Column('text')
  text: string;

  /** None once it is deleted. */
  @Column('bigint', { name: 'like_count', default: 0 })
  likeCount: number;

  /** Of those that are not deleted. */
  @Column('int', { name: 'reply_count', default: 0 })
  replyCount: number;

  @Column('text', { name: 'idempotency_key', nullable: true })
  idempotencyKey: string | null;

  /** Of what was asked for with the key. */
  @Column('bytea', { name: 'input_hash', nullable: true })
  inputHash: Buffer | null;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  @Column('timestamptz', { name: 'edited_at', nullable: true })
  editedAt: Date | null;

  @Column('timestamptz', { name: 'deleted_at', nullable: true })
  deletedAt: Date | null;
}

/** What is known of all comments of a video together. */
export interface Discussion {
  videoId: string;
  /** That are not deleted, replies included. */
  comments: number;
  pinnedId: string | null;
}
