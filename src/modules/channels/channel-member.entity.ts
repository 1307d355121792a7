import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';
import type { ChannelRole } from './channels.policy.js';

@Entity('channel_member')
export class ChannelMemberEntity {
  @PrimaryColumn('uuid', { name: 'channel_id' })
  channelId: string;

  @PrimaryColumn('uuid', { name: 'user_id' })
  userId: string;

  @Column('text')
  role: ChannelRole;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  /** Null for who was asked and has not answered: no member yet. */
  @Column('timestamptz', { name: 'accepted_at', nullable: true, default: () => 'now()' })
  acceptedAt: Date | null;
}
