import { Args, Query, Resolver } from '@nestjs/graphql';
import { type Actor, Authenticated, CurrentActor } from '../../common/access/index.js';
import { Mutates } from '../../common/graphql/index.js';
import { type RateLimit, RateLimits } from '../../common/rate-limits/index.js';
import {
  RegisterPushSubscriptionInput,
  RegisterPushSubscriptionPayload,
  RemovePushSubscriptionInput,
  RemovePushSubscriptionPayload,
} from './notifications.graphql.js';
import { PushSubscriptionsService } from './push-subscriptions.service.js';

/** Each looks a name up. A browser registers once in a while. */
const REGISTRATIONS: RateLimit = { name: 'push-registrations', points: 30, seconds: 3_600 };

@Resolver()
export class PushesResolver {
  constructor(
    private readonly subscriptions: PushSubscriptionsService,
    private readonly limits: RateLimits,
  ) {}

  @Authenticated()
  @Query(() => String, {
    description: 'For `applicationServerKey` of `PushManager.subscribe`: base64url. It stays the same for good.',
  })
  async pushPublicKey(): Promise<string> {
    return (await this.subscriptions.keys()).publicKey;
  }

  @Authenticated()
  @Mutates(() => RegisterPushSubscriptionPayload, {
    description:
      'This browser is pushed what you are told of, until this login session ends. Registering again is no error. At most 20 of a person: above that the oldest goes.',
  })
  async registerPushSubscription(
    @Args('input') input: RegisterPushSubscriptionInput,
    @CurrentActor() actor: Actor,
  ): Promise<RegisterPushSubscriptionPayload> {
    await this.limits.spend(REGISTRATIONS, actor.userId);
    await this.subscriptions.register(actor, input);
    return new RegisterPushSubscriptionPayload();
  }

  @Authenticated()
  @Mutates(() => RemovePushSubscriptionPayload, { description: 'This browser is pushed nothing more.' })
  async removePushSubscription(
    @Args('input') input: RemovePushSubscriptionInput,
    @CurrentActor() actor: Actor,
  ): Promise<RemovePushSubscriptionPayload> {
    await this.subscriptions.remove(actor, input.endpoint);
    return new RemovePushSubscriptionPayload();
  }
}
