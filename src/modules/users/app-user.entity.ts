import { Column, CreateDateColumn, Entity, PrimaryGeneratedColumn } from 'typeorm';
import type { UserRole } from '../../common/access/index.js';

@Entity('app_user')
export class AppUser {
  @PrimaryGeneratedColumn('uuid')
  id: string;

  @Column('text')
  email: string;

  /** See `emailKey`: unique. */
  @Column('text', { name: 'email_key' })
  emailKey: string;

  @Column('text', { name: 'display_name' })
  displayName: string;

  /** Read by `credentialsOf` alone. */
  @Column('text', { name: 'password_hash', select: false })
  passwordHash: string;

  @Column('text')
  role: UserRole;

  /** Bytes that count against the quota. Changed by `reserveBytes` and `releaseBytes` alone. */
  @Column({ type: 'bigint', name: 'used_bytes', transformer: { from: Number, to: Number } })
  usedBytes: number;

  @CreateDateColumn({ name: 'created_at', type: 'timestamptz' })
  createdAt: Date;
}
