import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ChannelsModule } from '../channels/index.js';
import { UsersModule } from '../users/index.js';
import { VideosModule } from '../videos/index.js';
import { SubscriptionEntity } from './subscription.entity.js';
import {
  ChannelSubscriptionsResolver,
  SubscriptionsResolver,
  UserSubscriptionsResolver,
} from './subscriptions.resolver.js';
import { SubscriptionsService } from './subscriptions.service.js';

@Module({
  imports: [TypeOrmModule.forFeature([SubscriptionEntity]), UsersModule, ChannelsModule, VideosModule],
  providers: [SubscriptionsService, SubscriptionsResolver, ChannelSubscriptionsResolver, UserSubscriptionsResolver],
  exports: [SubscriptionsService],
})
export class SubscriptionsModule {}
