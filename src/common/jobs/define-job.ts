/** The queues; each process bounds how many jobs of one queue it runs at once. */
export const QUEUES = ['default', 'events', 'push', 'assemble', 'probe', 'first', 'encode', 'spare'] as const;
export type QueueName = (typeof QUEUES)[number];

/** A queue without slots of its own: its jobs get those of this one, but the last, while nothing is due there. */
export const BEHIND: { readonly [Queue in QueueName]?: QueueName } = { spare: 'encode' };

export interface JobDefinition<Payload> {
  readonly name: string;
  readonly queue: QueueName;
  /** Smaller runs first. */
  readonly priority: number;
  /** Carries the payload's type. */
  readonly payload?: Payload;
}

const defined = new Map<string, JobDefinition<object>>();

export function defineJob<Payload extends object>(definition: {
  name: string;
  queue: QueueName;
  priority?: number;
}): JobDefinition<Payload> {
  if (defined.has(definition.name)) throw new Error(`The job ${definition.name} is defined twice.`);
  const job = { priority: 100, ...definition };
  defined.set(job.name, job);
  return job;
}

/** Every job that the loaded code defines. */
export const definedJobs = (): readonly JobDefinition<object>[] => [...defined.values()];

export interface JobContext {
  readonly jobId: string;
  /** Counted from 1. */
  readonly attempt: number;
  /** From when it was due until this attempt began, by the database's clock. */
  readonly waitedSeconds: number;
  /** A UUID, new for each attempt: name the prefix of whatever this attempt writes after it. */
  readonly lease: string;
  /** Aborts when the lease is lost or the process drains: stop, clean up, throw. */
  readonly signal: AbortSignal;
}
