export type { NotifyLevel } from './subscription.entity.js';
export { ChannelFollowed } from './subscriptions.events.js';
export { SubscriptionsModule } from './subscriptions.module.js';
export { SubscriptionsService } from './subscriptions.service.js';
