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

  @Column('text')
  name: string;

  @Column('text', { nullable: true })
  description: string | null;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;
}
