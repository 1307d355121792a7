import { AsyncLocalStorage } from 'node:async_hooks';

/** On whose behalf the code runs: in every line that is logged meanwhile. */
export interface LogContext {
  readonly requestId?: string;
  readonly userId?: string;
  readonly jobId?: string;
}

const storage = new AsyncLocalStorage<LogContext>();

/** Empty outside of any request and job. */
export function logContext(): LogContext {
  return storage.getStore() ?? {};
}

/** Runs `fn`, and whatever it starts, with these ids added to those that are set already. */
export function runWithLogContext<T>(context: LogContext, fn: () => T): T {
  return storage.run({ ...storage.getStore(), ...context }, fn);
}
