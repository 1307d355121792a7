import { Module } from '@nestjs/common';
import { AccessModule } from './common/access/index.js';
import { CacheModule } from './common/cache/index.js';
import { DatabaseModule } from './common/database/index.js';
import { EventsModule } from './common/events/index.js';
import { GraphqlModule } from './common/graphql/index.js';
import { HealthModule } from './common/health/index.js';
import { HttpModule } from './common/http/index.js';
import { JobsModule } from './common/jobs/index.js';
import { LiveEventsModule, LiveModule } from './common/live/index.js';
import { MetricsModule } from './common/metrics/index.js';
import { RateLimitsModule } from './common/rate-limits/index.js';
import { TracingModule } from './common/tracing/index.js';
import { AuthModule } from './modules/auth/index.js';
import { ChannelsModule } from './modules/channels/index.js';
import { CommentsModule } from './modules/comments/index.js';
import { FeedsModule } from './modules/feeds/index.js';
import { NotificationsModule } from './modules/notifications/index.js';
import { SearchModule } from './modules/search/index.js';
import { StorageModule } from './modules/storage/index.js';
import { StreamingModule } from './modules/streaming/index.js';
import { SubscriptionsModule } from './modules/subscriptions/index.js';
import { TranscodingModule } from './modules/transcoding/index.js';
import { UploadsModule } from './modules/uploads/index.js';
import { UsersModule } from './modules/users/index.js';
import { VideosModule } from './modules/videos/index.js';
import { ViewsModule } from './modules/views/index.js';

/** What every domain stands on. The configuration comes in from outside, beside these modules. */
const common = [
  DatabaseModule,
  JobsModule,
  EventsModule,
  LiveModule,
  LiveEventsModule,
  CacheModule,
  AccessModule,
  RateLimitsModule,
  HttpModule,
  HealthModule,
  MetricsModule,
  TracingModule,
];

/** The domains by rank: each imports only from those before it. */
const domains = [
  StorageModule,
  UsersModule,
  AuthModule,
  ChannelsModule,
  VideosModule,
  SubscriptionsModule,
  UploadsModule,
  TranscodingModule,
  StreamingModule,
  CommentsModule,
  ViewsModule,
  NotificationsModule,
  SearchModule,
  FeedsModule,
];

/** Works off jobs, and has no API. */
@Module({ imports: [...common, ...domains] })
export class WorkerModule {}

/** All of it. */
@Module({ imports: [WorkerModule, GraphqlModule] })
export class AppModule {}
