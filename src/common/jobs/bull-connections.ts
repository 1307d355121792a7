import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import { CONFIG, type Config } from '../config/index.js';

/** The connections that Bull works on. It reconnects some of them while it closes, so they are ended here, after it. */
@Injectable()
export class BullConnections implements OnApplicationShutdown {
  private readonly open = new Set<Redis>();

  constructor(@Inject(CONFIG) private readonly config: Config) {}

  connect(): Redis {
    const connection = new Redis(this.config.redisUrl, { maxRetriesPerRequest: null, enableReadyCheck: false });
    this.open.add(connection);
    return connection;
  }

  onApplicationShutdown(): void {
    for (const connection of this.open) connection.disconnect();
  }
}
