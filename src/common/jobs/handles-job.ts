import { SetMetadata } from '@nestjs/common';
import type { JobDefinition } from './define-job.js';

export const HANDLES_JOB = 'sluice:handles-job';

/**
 * Marks the one method that does a job: `(payload, context) => Promise<void>`.
 *
 * It may run again, or twice at once after a lost lease, so what it writes must be decided by one conditional statement.
 * A throw means that the surroundings failed: the job is tried again, later and later, without end. A verdict on the
 * job's subject ("this is no video") is recorded by the handler itself, which then returns. Of an error with a `log` (what a
 * program said) the end is kept beside its message, for operators; one with `retryAtOnce` is tried again without a wait, wherever.
 */
export const HandlesJob = <Payload>(definition: JobDefinition<Payload>): MethodDecorator =>
  SetMetadata(HANDLES_JOB, definition);

export const PERIODICALLY = 'sluice:periodically';

/**
 * Marks a method that every worker calls every `milliseconds`, never twice at once in one process: for sweeps. Several
 * workers may run it at once, so it claims what it works on with SKIP LOCKED, in bounded batches. A drain waits for it:
 * one of many batches takes the AbortSignal that it is called with, and looks at it between them.
 */
export const Periodically = (milliseconds: number): MethodDecorator => SetMetadata(PERIODICALLY, milliseconds);
