import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { Tx } from '../database/index.js';
import { decoratedMethods, type JobDefinition, Jobs, JobWorker } from '../jobs/index.js';
import type { EventDefinition } from './define-event.js';
import { ON_EVENT, type OnEventMark } from './on-event.js';

interface Handler {
  readonly job: JobDefinition<object>;
  readonly delayMs: number;
}

/** Tells what happened, upward through the ranks: each handler gets a durable job in the publisher's transaction. */
@Injectable()
export class Events implements OnModuleInit {
  private readonly handlers = new Map<string, Handler[]>();

  constructor(
    private readonly jobs: Jobs,
    private readonly worker: JobWorker,
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  onModuleInit(): void {
    for (const found of decoratedMethods<OnEventMark>(this.discovery, this.scanner, ON_EVENT)) {
      const { event, queue = 'events', delayMs = 0 } = found.mark;
      const name = `${event.name}>${found.name}`;
      this.worker.register(name, found.call);
      const before = this.handlers.get(event.name) ?? [];
      this.handlers.set(event.name, [...before, { job: { name, queue, priority: 100 }, delayMs }]);
    }
  }

  async publish<Payload extends object>(tx: Tx, event: EventDefinition<Payload>, payload: Payload): Promise<void> {
    for (const { job, delayMs } of this.handlers.get(event.name) ?? []) {
      await this.jobs.enqueue(tx, job, payload, { delayMs });
    }
  }
}
