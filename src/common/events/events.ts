import { Injectable, type OnModuleInit } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { Tx } from '../database/index.js';
import { decoratedMethods, type JobDefinition, Jobs, JobWorker } from '../jobs/index.js';
import type { EventDefinition } from './define-event.js';
import { ON_EVENT } from './on-event.js';

/** Tells what happened, upward through the ranks: each handler gets a durable job in the publisher's transaction. */
@Injectable()
export class Events implements OnModuleInit {
  private readonly handlers = new Map<string, JobDefinition<object>[]>();

  constructor(
    private readonly jobs: Jobs,
    private readonly worker: JobWorker,
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  onModuleInit(): void {
    for (const found of decoratedMethods<EventDefinition<object>>(this.discovery, this.scanner, ON_EVENT)) {
      const name = `${found.mark.name}>${found.name}`;
      this.worker.register(name, found.call);
      const before = this.handlers.get(found.mark.name) ?? [];
      this.handlers.set(found.mark.name, [...before, { name, queue: 'events', priority: 100 }]);
    }
  }

  async publish<Payload extends object>(tx: Tx, event: EventDefinition<Payload>, payload: Payload): Promise<void> {
    for (const job of this.handlers.get(event.name) ?? []) await this.jobs.enqueue(tx, job, payload);
  }
}
