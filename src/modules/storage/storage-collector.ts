import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/index.js';
import { StoredObjects } from './stored-objects.service.js';

const EVERY_MS = 5_000;
const BATCH = 500;
const MAX_BATCHES = 20;

/** Frees what no row wants, in every process that works off jobs. Processes do not get into each other's way. */
@Injectable()
export class StorageCollector implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(StorageCollector.name);
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(
    private readonly objects: StoredObjects,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    if (this.config.role !== 'api') this.schedule();
  }

  /** Waits for the batch at work, so that nothing outlives the database's connections. */
  async onModuleDestroy(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.running;
  }

  /** One pass, bounded. */
  async collect(): Promise<void> {
    for (let batch = 0; batch < MAX_BATCHES && !this.stopped; batch++) {
      const expired = await this.objects.expire(BATCH);
      const deleted = await this.objects.deleteSome(BATCH);
      if (expired + deleted > 0) this.logger.debug(`${expired} objects expired, ${deleted} deleted`);
      if (expired < BATCH && deleted < BATCH) return;
    }
  }

  private schedule(): void {
    if (this.stopped) return;
    this.timer = setTimeout(() => {
      this.running = this.pass();
    }, EVERY_MS);
    this.timer.unref();
  }

  private async pass(): Promise<void> {
    try {
      await this.collect();
    } catch (error) {
      this.logger.warn(`Objects could not be collected, again in ${EVERY_MS / 1000} s: ${(error as Error).message}`);
    }
    this.schedule();
  }
}
