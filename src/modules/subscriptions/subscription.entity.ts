import { Column, CreateDateColumn, Entity, PrimaryColumn } from 'typeorm';

/** Of which new videos a follower is told. */
export type NotifyLevel = 'ALL' | 'HIGHLIGHTS' | 'NONE';

/** Somebody follows a channel. Changed by `SubscriptionsService` alone, which keeps the count. */
@Entity('channel_subscription')
export class SubscriptionEntity {
  @PrimaryColumn('uuid', { name: 'channel_id' })
  channelId: string;

  @PrimaryColumn('uuid', { name: 'user_id' })
  userId: string;

  @Column('text')
  notify: NotifyLevel;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;

  /** When `notify` last changed: told of nothing before. */
  @Column('timestamptz', { name: 'notify_since' })
  notifySince: Date;
}
