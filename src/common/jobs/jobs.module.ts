import { BullModule, getQueueToken } from '@nestjs/bull';
import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { Queue } from 'bull';
import { Redis } from 'ioredis';
import { CONFIG, type Config } from '../config/index.js';
import { QUEUES, type QueueName } from './define-job.js';
import { JobWorker } from './job-worker.js';
import { Jobs } from './jobs.js';
import { WakeUps } from './wake-ups.js';

@Global()
@Module({
  imports: [
    DiscoveryModule,
    BullModule.forRootAsync({
      inject: [CONFIG],
      useFactory: (config: Config) => {
        const connect = () => new Redis(config.redisUrl, { maxRetriesPerRequest: null, enableReadyCheck: false });
        // One connection each for commands and for events serves all queues; only blocking reads need their own.
        const shared = { client: connect(), subscriber: connect() };
        return {
          prefix: `${config.redisPrefix}bull`,
          createClient: (type: 'client' | 'subscriber' | 'bclient') => (type === 'bclient' ? connect() : shared[type]),
        };
      },
    }),
    BullModule.registerQueue(...QUEUES.map((name) => ({ name }))),
  ],
  providers: [
    Jobs,
    JobWorker,
    {
      provide: WakeUps,
      inject: QUEUES.map((name) => getQueueToken(name)),
      useFactory: (...queues: Queue[]) => new WakeUps(new Map(queues.map((queue) => [queue.name as QueueName, queue]))),
    },
  ],
  exports: [Jobs, JobWorker],
})
export class JobsModule {}
