import { SetMetadata } from '@nestjs/common';
import type { EventDefinition } from './define-event.js';

export const ON_EVENT = 'sluice:on-event';

/**
 * Marks a method `(payload, context: JobContext) => Promise<void>` that is told of an event by a durable job of its
 * own, at least once: it must be idempotent.
 */
export const OnEvent = <Payload>(event: EventDefinition<Payload>): MethodDecorator => SetMetadata(ON_EVENT, event);
