import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { sharedRedisUrl } from './redis.js';

/** A machine that does many things at once takes its time. */
const READY_MS = 120_000;

export interface ServerProcess {
  readonly url: string;
  /** Its options as it runs now. */
  env(): Record<string, string>;
  /** Of the process that runs now. */
  pid(): number;
  /** All that was written so far, by every process that ran. */
  output(): string;
  hasEnded(): boolean;
  /** kill -9, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it, anew too, and waits for /readyz. @returns milliseconds until then */
  start(env?: Record<string, string>): Promise<number>;
  /** SIGTERM. @returns the exit code */
  drain(): Promise<number | null>;
}

/** The built server (`dist/main.js`) as a process of its own, that is not started yet. */
export function serverProcess(port: number, options: Record<string, string>): ServerProcess {
  const url = `http://127.0.0.1:${port}`;
  const env = {
    PATH: process.env.PATH as string,
    NODE_ENV: 'production',
    PORT: String(port),
    PUBLIC_URL: url,
    ...options,
  };
  let child: ChildProcess | undefined;
  let output = '';
  let running: Record<string, string> = env;

  const isReady = () =>
    fetch(`${url}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
  const hasEnded = () => !child || child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    if (child && !hasEnded()) {
      const ended = once(child, 'exit');
      child.kill(signal);
      await ended;
    }
    return child?.exitCode ?? null;
  };
  return {
    url,
    env: () => running,
    pid: () => child?.pid as number,
    output: () => output,
    hasEnded,
    start: async (more = {}) => {
      const begun = performance.now();
      running = { ...env, ...more };
      child = spawn(process.execPath, ['--enable-source-maps', join(import.meta.dirname, '../../dist/main.js')], {
        env: running,
      });
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes) => (output += bytes));
      while (!(await isReady())) {
        if (hasEnded() || performance.now() - begun > READY_MS)
          throw new Error(`The server did not become ready. Its output:\n${output}`);
        await pause(50);
      }
      return performance.now() - begun;
    },
    kill: async () => {
      await end('SIGKILL');
    },
    drain: () => end('SIGTERM'),
  };
}

/** What every process of one installation on these parts has alike. */
export function sharedOptions(databaseUrl: string): Record<string, string> & { REDIS_PREFIX: string } {
  const secret = randomUUID();
  return {
    DATABASE_URL: databaseUrl,
    REDIS_URL: sharedRedisUrl(),
    REDIS_PREFIX: `test-${randomUUID()}:`,
    TOKEN_SECRET: secret,
    STORAGE_SECRET: secret,
    PLAYBACK_SECRET: secret,
  };
}
