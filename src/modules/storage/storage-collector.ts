import { Injectable, Logger } from '@nestjs/common';
import { Periodically } from '../../common/jobs/index.js';
import { StoredObjects } from './stored-objects.service.js';

const BATCH = 500;
const MAX_BATCHES = 20;

/** Frees what no row wants, in every process that works off jobs. Processes do not get into each other's way. */
@Injectable()
export class StorageCollector {
  private readonly logger = new Logger(StorageCollector.name);

  constructor(private readonly objects: StoredObjects) {}

  /** One pass, bounded. */
  @Periodically(5_000)
  async collect(signal: AbortSignal): Promise<void> {
    for (let batch = 0; batch < MAX_BATCHES && !signal.aborted; batch++) {
      const expired = await this.objects.expire(BATCH);
      const deleted = await this.objects.deleteSome(BATCH);
      if (expired + deleted > 0) this.logger.debug(`${expired} objects expired, ${deleted} deleted`);
      if (expired < BATCH && deleted < BATCH) return;
    }
  }
}
