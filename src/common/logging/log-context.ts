import { AsyncLocalStorage } from 'node:async_hooks';

/** On whose behalf the code runs: in every line that is logged meanwhile. */
export interface LogContext {
  requestId?: string;
  userId?: string;
  jobId?: string;
  /** The upload's trace: its video's id without hyphens. Also where no traces are sent anywhere. */
  trace_id?: string;
  /** The caller's own trace, as W3C Trace Context has it. */
  traceparent?: string;
}

const storage = new AsyncLocalStorage<LogContext>();

/** Empty outside of any request and job. */
export function logContext(): Readonly<LogContext> {
  return storage.getStore() ?? {};
}

/** Runs `fn`, and whatever it starts, with these ids. The object is kept: what is noted later shows from then on. */
export function runWithLogContext<T>(context: LogContext, fn: () => T): T {
  return storage.run(context, fn);
}

/** Adds what became known of the request or job that runs now. */
export function noteInLog(ids: LogContext): void {
  const context = storage.getStore();
  if (context) Object.assign(context, ids);
}
