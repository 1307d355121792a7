import { BullModule, getQueueToken } from '@nestjs/bull';
import { Global, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { Queue } from 'bull';
import type { Redis } from 'ioredis';
import { CONFIG, type Config } from '../config/index.js';
import { BullConnections } from './bull-connections.js';
import { QUEUES, type QueueName } from './define-job.js';
import { JobWorker } from './job-worker.js';
import { Jobs } from './jobs.js';
import { WakeUps } from './wake-ups.js';

@Module({ providers: [BullConnections], exports: [BullConnections] })
class BullConnectionsModule {}

@Global()
@Module({
  imports: [
    DiscoveryModule,
    BullModule.forRootAsync({
      imports: [BullConnectionsModule],
      inject: [CONFIG, BullConnections],
      useFactory: (config: Config, connections: BullConnections) => {
        // One connection each for commands and for events serves all queues; only blocking reads need their own.
        const shared = new Map<string, Redis>();
        return {
          prefix: `${config.redisPrefix}bull`,
          createClient: (type: 'client' | 'subscriber' | 'bclient') => {
            if (type === 'bclient') return connections.connect();
            // Each queue listens on it: that many listeners are no leak.
            const client = shared.get(type) ?? connections.connect().setMaxListeners(0);
            shared.set(type, client);
            return client;
          },
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
