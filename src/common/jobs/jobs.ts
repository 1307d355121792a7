import { Injectable } from '@nestjs/common';
import type { Tx } from '../database/index.js';
import type { JobDefinition } from './define-job.js';
import { WakeUps } from './wake-ups.js';

export interface EnqueueOptions {
  /** At most one job with this key is ever made; a second one is silently the first. */
  dedupeKey?: string;
  /** Smaller runs first; the definition's own unless given. */
  priority?: number;
  delayMs?: number;
}

/** Asks for durable work. The job is a row, written in the caller's transaction: it exists if the change exists. */
@Injectable()
export class Jobs {
  constructor(private readonly wakeUps: WakeUps) {}

  async enqueue<Payload>(
    tx: Tx,
    definition: JobDefinition<Payload>,
    payload: Payload,
    options: EnqueueOptions = {},
  ): Promise<void> {
    const { dedupeKey = null, priority = definition.priority, delayMs = 0 } = options;
    const [job] = await tx.query<{ id: string }>(
      `INSERT INTO job (name, queue, payload, dedupe_key, priority, run_at)
       VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 ms')
       ON CONFLICT (dedupe_key) DO NOTHING RETURNING id`,
      [definition.name, definition.queue, JSON.stringify(payload), dedupeKey, priority, delayMs],
    );
    // A delayed job, or one whose wake-up is lost, is found by the poll.
    if (job && delayMs === 0) tx.afterCommit(() => this.wakeUps.send(definition.queue, job.id));
  }
}
