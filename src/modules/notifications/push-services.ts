import { type LookupAddress, lookup } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import webPush from 'web-push';
import { CONFIG, type Config } from '../../common/config/index.js';
import { isPublicAddress } from '../../common/networks/index.js';
import { PushEndpointRefused } from './notifications.errors.js';
import { pushDuration } from './notifications.metrics.js';
import { askedSeconds } from './push-delivery.js';
import { endpointOf } from './push-endpoint.js';

const ANSWER_MS = 10_000;

export interface PushTarget {
  readonly endpoint: string;
  readonly p256dh: string;
  readonly auth: string;
}
export interface VapidKeys {
  readonly publicKey: string;
  readonly privateKey: string;
}

/**
 * Browsers' push services, at addresses that browsers, and so anybody, gave: they are asked over https alone, at addresses that
 * everybody can reach. The name is resolved by the connection itself, so that it cannot lead elsewhere than where it was looked at.
 */
@Injectable()
export class PushServices implements OnApplicationShutdown {
  /** Many pushes go to the same few hosts. */
  readonly agent = new Agent({ keepAlive: true, maxSockets: 32, maxFreeSockets: 8 });

  /** Not the system's look-up: threads that hash passwords and read files would wait for a stranger's name server. */
  readonly resolver = new Resolver({ timeout: 2_000, tries: 2 });

  private turn: Promise<void> = Promise.resolve();

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  /** @throws PushEndpointRefused */
  async check(endpoint: string): Promise<void> {
    const { hostname } = endpointOf(endpoint, this.config.pushHosts);
    await this.addressesOf(hostname).catch(() => {
      throw new PushEndpointRefused();
    });
  }

  /**
   * @param topic 32 characters of base64url at most
   * @param seconds how long it is of use
   * @throws when there is no answer in time, or nobody there who may be asked
   */
  async send(
    to: PushTarget,
    message: string,
    { keys, topic, seconds, signal }: { keys: VapidKeys; topic: string; seconds: number; signal: AbortSignal },
  ): Promise<{ status: number; retryAfterSeconds: number | null }> {
    await this.takeTurn();
    const { endpoint, p256dh, auth } = to;
    const url = endpointOf(endpoint, this.config.pushHosts);
    const { headers, body } = webPush.generateRequestDetails({ endpoint, keys: { p256dh, auth } }, message, {
      vapidDetails: { subject: this.subject(), ...keys },
      TTL: seconds,
      urgency: 'normal',
      topic,
    });
    const begun = performance.now();
    const asked = request(url, {
      method: 'POST',
      headers: headers as Record<string, string>,
      agent: this.agent,
      lookup: this.lookup,
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]),
    });
    // Also while what follows the head is thrown away: the time-out ends that, and by then nobody waits.
    asked.on('error', () => undefined);
    asked.end(body);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    pushDuration.observe((performance.now() - begun) / 1_000);
    answer.on('error', () => undefined).resume();
    return { status: answer.statusCode ?? 0, retryAfterSeconds: askedSeconds(answer.headers['retry-after']) };
  }

  /** After the jobs that use it have ended. */
  onApplicationShutdown(): void {
    this.agent.destroy();
  }

  /** One a turn of the event loop: sealing and signing compute for 1.6 ms, and requests are answered beside it. */
  private takeTurn(): Promise<void> {
    const mine = this.turn;
    this.turn = mine.then(() => setImmediate());
    return mine;
  }

  /** Whom a push service tells of trouble: what it is given must be https or a mail address. */
  private subject(): string {
    const url = new URL(this.config.publicUrl);
    return url.protocol === 'https:' ? url.origin : `mailto:postmaster@${url.hostname}`;
  }

  /** Of connections: only addresses that may be asked. */
  readonly lookup: LookupFunction = (host, options, done) => {
    this.addressesOf(host).then(
      (found) => (options.all ? done(null, found) : done(null, found[0].address, found[0].family)),
      (error: Error) => done(error, []),
    );
  };

  private async addressesOf(host: string): Promise<[LookupAddress, ...LookupAddress[]]> {
    const isOwn = this.config.pushHosts.includes(host);
    const [first, ...others] = isOwn ? await promisify(lookup)(host, { all: true }) : await this.publicOnes(host);
    if (!first) throw new PushEndpointRefused();
    return [first, ...others];
  }

  private async publicOnes(host: string): Promise<LookupAddress[]> {
    const answers = await Promise.allSettled([this.resolver.resolve4(host), this.resolver.resolve6(host)]);
    return answers
      .flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
      .filter(isPublicAddress)
      .map((address) => ({ address, family: isIP(address) }));
  }
}
