import { Column, CreateDateColumn, Entity, PrimaryGeneratedColumn } from 'typeorm';

@Entity('channel')
export class ChannelEntity {
  @PrimaryGeneratedColumn('uuid')
  id: string;

  /** As its maker wrote it. */
  @Column('text')
  handle: string;

  /** See `handleKey`: unique. */
  @Column('text', { name: 'handle_key' })
  handleKey: string;

  /** See `handleLook`: unique. Null for channels that looked like another one before that was asked. */
  @Column('text', { name: 'handle_look', nullable: true })
  handleLook: string | null;

  @Column('text')
  name: string;

  @Column('text', { nullable: true })
  description: string | null;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  /** Its row stays, so that nobody else gets its handle. */
  @Column('timestamptz', { name: 'deleted_at', nullable: true })
  deletedAt: Date | null;
}
