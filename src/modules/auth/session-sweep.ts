import { Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { SessionsService } from './sessions.service.js';

const EVERY_MS = 3_600_000;

/** Forgets sessions that ended long ago, every hour, in small batches. */
@Injectable()
export class SessionSweep implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(SessionSweep.name);
  private timer: NodeJS.Timeout | undefined;
  private stopping = false;

  constructor(private readonly sessions: SessionsService) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => this.sweep(), EVERY_MS).unref();
  }

  onModuleDestroy(): void {
    this.stopping = true;
    clearInterval(this.timer);
  }

  private async sweep(): Promise<void> {
    try {
      while (!this.stopping && (await this.sessions.sweep()));
    } catch (error) {
      this.logger.warn(`Old sessions could not be forgotten, the next hour tries again: ${(error as Error).message}`);
    }
  }
}
