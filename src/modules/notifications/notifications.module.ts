import { Module } from '@nestjs/common';
import { ChannelsModule } from '../channels/index.js';
import { CommentsModule } from '../comments/index.js';
import { SubscriptionsModule } from '../subscriptions/index.js';
import { UsersModule } from '../users/index.js';
import { VideosModule } from '../videos/index.js';
import { NotificationStreams } from './notification-streams.js';
import {
  ChannelNotificationResolver,
  NotificationsResolver,
  UserNotificationsResolver,
} from './notifications.resolver.js';
import { NotificationsService } from './notifications.service.js';
import { PushServices } from './push-services.js';
import { PushSubscriptionsService } from './push-subscriptions.service.js';
import { PushesResolver } from './pushes.resolver.js';
import { Pushes } from './send-pushes.js';
import { TellFollowersOfVideos } from './tell-followers.js';
import { TellPeople } from './tell-people.js';

@Module({
  imports: [UsersModule, ChannelsModule, SubscriptionsModule, VideosModule, CommentsModule],
  providers: [
    NotificationsService,
    NotificationStreams,
    PushServices,
    PushSubscriptionsService,
    Pushes,
    TellFollowersOfVideos,
    TellPeople,
    NotificationsResolver,
    PushesResolver,
    ChannelNotificationResolver,
    UserNotificationsResolver,
  ],
  exports: [NotificationsService],
})
export class NotificationsModule {}
