import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database } from '../../common/database/index.js';
import { Events, OnEvent } from '../../common/events/index.js';
import { Periodically } from '../../common/jobs/index.js';
import { Mailer } from '../../common/mail/index.js';
import { UsersService } from '../users/index.js';
import { parseMultirange, sizeOf } from './byte-ranges.js';
import { UploadExpiring } from './uploads.events.js';
import { UploadsService } from './uploads.service.js';

const ANNOUNCED_AT_ONCE = 100;
const MOST_BATCHES = 20;

/** Nobody's bytes are thrown away unannounced. */
@Injectable()
export class UploadExpiry {
  constructor(
    private readonly db: Database,
    private readonly events: Events,
    private readonly mailer: Mailer,
    private readonly users: UsersService,
    private readonly uploads: UploadsService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * A day before the end, and once for each end. The day is granted also to what should be gone by now: this server was
   * away, and its user could not have gone on.
   */
  @Periodically(60_000)
  async announce(signal?: AbortSignal): Promise<void> {
    for (let batch = 0; batch < MOST_BATCHES && !signal?.aborted; batch++) {
      const announced = await this.db.tx(async (tx) => {
        const rows = await tx.query<{ sessionId: string; expiresAt: Date }>(
          `UPDATE upload_session u SET expires_at = due.at, expiry_announced = due.at
           FROM (SELECT id, greatest(expires_at, now() + interval '1 day') AS at FROM upload_session
                 WHERE state = 'OPEN' AND nullif(expires_at, expiry_announced) < now() + interval '25 hours'
                 ORDER BY nullif(expires_at, expiry_announced) LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) due
           WHERE u.id = due.id RETURNING u.id AS "sessionId", u.expires_at AS "expiresAt"`,
          [ANNOUNCED_AT_ONCE],
        );
        for (const { sessionId, expiresAt } of rows) {
          await this.events.publish(tx, UploadExpiring, { sessionId, expiresAt: expiresAt.toISOString() });
          this.uploads.tickAfter(tx, sessionId);
        }
        return rows.length;
      });
      if (announced < ANNOUNCED_AT_ONCE) return;
    }
  }

  @OnEvent(UploadExpiring)
  async mail({ sessionId, expiresAt }: { sessionId: string; expiresAt: string }): Promise<void> {
    if (!this.mailer.configured) return;
    const session = await this.uploads.byId(sessionId);
    // A byte came meanwhile, or the end.
    if (session?.state !== 'OPEN' || session.expiresAt.toISOString() !== expiresAt) return;
    const owner = await this.users.byId(session.ownerId);
    if (!owner) return;
    const arrived = Math.floor((100 * sizeOf(parseMultirange(session.covered))) / session.sizeBytes);
    await this.mailer.send({
      to: owner.email,
      subject: 'An upload of yours is not finished',
      text: [
        'Hello,',
        '',
        `${arrived} % of this file has arrived at ${this.config.publicUrl}, and nothing more for days:`,
        '',
        `  ${session.fileName}`,
        '',
        `What has arrived is kept until ${expiresAt.slice(0, 16).replace('T', ' ')} UTC. To go on, open the address`,
        'above and choose the same file again, on any device: only what is missing is sent. Any byte that',
        'arrives keeps it for another 7 days.',
        '',
        'If you do not want it any more, there is nothing to do.',
        '',
      ].join('\n'),
    });
  }
}
