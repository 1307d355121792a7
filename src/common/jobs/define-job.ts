/** The queues, each with its own bound on how many jobs one process runs at once. */
export type QueueName = 'default' | 'events' | 'assemble' | 'probe' | 'first' | 'encode';

export interface JobDefinition<Payload> {
  readonly name: string;
  readonly queue: QueueName;
  /** Smaller runs first. */
  readonly priority: number;
  /** Carries the payload's type. */
  readonly payload?: Payload;
}

export function defineJob<Payload extends object>(definition: {
  name: string;
  queue: QueueName;
  priority?: number;
}): JobDefinition<Payload> {
  return { priority: 100, ...definition };
}

export interface JobContext {
  readonly jobId: string;
  /** Counted from 1. */
  readonly attempt: number;
  /** Unguessable and new for each attempt: name the prefix of whatever this attempt writes after it. */
  readonly lease: string;
  /** Aborts when the lease is lost or the process drains: stop, clean up, throw. */
  readonly signal: AbortSignal;
}
