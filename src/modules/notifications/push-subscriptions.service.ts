import { Injectable } from '@nestjs/common';
import webPush from 'web-push';
import type { Actor } from '../../common/access/index.js';
import { Database } from '../../common/database/index.js';
import { keysOf } from './push-endpoint.js';
import { PushServices, type PushTarget, type VapidKeys } from './push-services.js';

/** Of one person: browsers, each of which has one. */
const MOST = 20;

/** Which browsers are told by push, each for as long as the login session lives that registered it. */
@Injectable()
export class PushSubscriptionsService {
  private known: VapidKeys | undefined;

  constructor(
    private readonly db: Database,
    private readonly services: PushServices,
  ) {}

  /** Made by whoever asks first, and for good: browsers' subscriptions are bound to it. */
  async keys(): Promise<VapidKeys> {
    if (this.known) return this.known;
    const read = () =>
      this.db.query<VapidKeys>('SELECT public_key AS "publicKey", private_key AS "privateKey" FROM push_key');
    if ((await read()).length === 0) {
      const { publicKey, privateKey } = webPush.generateVAPIDKeys();
      await this.db.query('INSERT INTO push_key (public_key, private_key) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
        publicKey,
        privateKey,
      ]);
    }
    const [kept] = await read();
    if (!kept) throw new Error('The pair of push keys is gone.');
    this.known = kept;
    return kept;
  }

  /**
   * A browser has one address: registered again, also by somebody else who signs in there, it is theirs from now on.
   * Above 20 of a person the one that was registered longest ago goes.
   * @throws InvalidInput, PushEndpointRefused
   */
  async register(actor: Actor, given: PushTarget): Promise<void> {
    const { p256dh, auth } = keysOf(given);
    await this.services.check(given.endpoint);
    await this.db.tx(async (tx) => {
      // Who registers two at once gets no more than who does one after the other.
      await tx.query('SELECT FROM app_user WHERE id = $1 FOR NO KEY UPDATE', [actor.userId]);
      await tx.query(
        `INSERT INTO push_subscription (user_id, session_id, endpoint, p256dh, auth) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (endpoint) DO UPDATE
         SET user_id = excluded.user_id, session_id = excluded.session_id, p256dh = excluded.p256dh, auth = excluded.auth,
             registered_at = clock_timestamp(), failing_since = NULL`,
        [actor.userId, actor.sessionId, given.endpoint, p256dh, auth],
      );
      await tx.query(
        `DELETE FROM push_subscription WHERE id IN
           (SELECT id FROM push_subscription WHERE user_id = $1 ORDER BY registered_at DESC, id OFFSET $2)`,
        [actor.userId, MOST],
      );
    });
  }

  /** Removing what is not there, or is somebody else's, is no error and changes nothing. */
  async remove(actor: Actor, endpoint: string): Promise<void> {
    await this.db.query('DELETE FROM push_subscription WHERE endpoint = $2 AND user_id = $1', [actor.userId, endpoint]);
  }
}
