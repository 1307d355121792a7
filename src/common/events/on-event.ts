import { SetMetadata } from '@nestjs/common';
import type { QueueName } from '../jobs/index.js';
import type { EventDefinition } from './define-event.js';

export const ON_EVENT = 'sluice:on-event';

export interface OnEventOptions {
  /** How long after the event; at once unless given. */
  delayMs?: number;
  /** `default` for what takes long; `events` unless given. */
  queue?: QueueName;
}

/** For who deletes all that hangs on what is gone: every transaction that still saw it is over by then. */
export const AFTER_STRAGGLERS: OnEventOptions = { delayMs: 2 * 60_000, queue: 'default' };

export interface OnEventMark extends OnEventOptions {
  readonly event: EventDefinition<object>;
}

/**
 * Marks a method `(payload, context: JobContext) => Promise<void>` that is told of an event by a durable job of its
 * own, at least once: it must be idempotent.
 */
export const OnEvent = <Payload extends object>(
  event: EventDefinition<Payload>,
  options: OnEventOptions = {},
): MethodDecorator => SetMetadata(ON_EVENT, { event, ...options } satisfies OnEventMark);
