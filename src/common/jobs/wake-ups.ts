import { Logger, type OnModuleDestroy } from '@nestjs/common';
import type { Queue } from 'bull';
import type { QueueName } from './define-job.js';

/**
 * Bull carries hints and no truth: "queue X has something due". A lost hint costs at most one poll interval, a
 * doubled one a look at an empty index.
 */
export class WakeUps implements OnModuleDestroy {
  private readonly logger = new Logger(WakeUps.name);

  constructor(private readonly queues: ReadonlyMap<QueueName, Queue>) {
    // Without a listener a Redis that is away would end the process.
    for (const queue of this.queues.values()) queue.on('error', (error) => this.logger.debug(error.message));
  }

  /** @param jobId makes repeats of one hint the same Bull job */
  send(name: QueueName, jobId: string): void {
    const queue = this.queues.get(name);
    // While Redis is away hints would pile up in memory, and the poll finds the rows anyway.
    if (queue?.client.status !== 'ready') return;
    queue
      .add({}, { jobId, removeOnComplete: true, removeOnFail: true })
      .catch((error: Error) => this.logger.debug(`wake-up of ${name} not sent: ${error.message}`));
  }

  /** `receive` resolves when this process has room for more: until then Bull hands further hints to other processes. */
  listen(name: QueueName, receive: () => Promise<void>): void {
    this.queues
      .get(name)
      ?.process(1, receive)
      .catch((error: Error) => this.logger.debug(`listening to ${name}: ${error.message}`));
  }

  async onModuleDestroy(): Promise<void> {
    await Promise.allSettled([...this.queues.values()].map((queue) => queue.close(true)));
  }
}
