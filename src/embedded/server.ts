import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { identityOf, isRunning, type ProcessIdentity } from './process-identity.js';

export interface EmbeddedServer {
  readonly url: string;
  /** Ends it cleanly; what it holds is on disk afterwards. */
  stop(): Promise<void>;
}

export interface ServerPlan {
  readonly name: string;
  /** Holds `running` (which process it is, and its port) and `log`. */
  readonly dir: string;
  readonly command: string;
  args(port: number): string[];
  /** Given on standard input, where no other user can read it. */
  input?(port: number): string;
  readonly account?: { readonly uid: number; readonly gid: number };
  /** The clean stop, and the one for a server that does not react to it. */
  readonly signals: readonly [NodeJS.Signals, NodeJS.Signals];
  isReady(port: number, pid: number): Promise<boolean>;
}

const START_MS = 30_000;
const STOP_MS = 10_000;
const POLL_MS = 15;

/**
 * Runs a server on a free port of the loopback interface, in a process group of its own so that a Ctrl-C reaches Sluice
 * alone, which stops it last. What a crashed Sluice left running on `dir` is stopped first. If it dies by itself it is
 * started again on the same port, for as long as that takes: clients reconnect.
 */
export async function runServer(plan: ServerPlan): Promise<{ port: number; stop(): Promise<void> }> {
  const record = join(plan.dir, 'running');
  await stopLeftover(record, plan.signals);

  let port = 0;
  let child: ChildProcess | undefined;
  let stopping = false;
  let restarting: Promise<void> = Promise.resolve();

  const launch = async (): Promise<ChildProcess> => {
    const log = await open(join(plan.dir, 'log'), 'w', 0o600);
    try {
      child = spawn(plan.command, plan.args(port), {
        cwd: '/',
        detached: true,
        stdio: [plan.input ? 'pipe' : 'ignore', log.fd, log.fd],
        ...plan.account,
      });
      await once(child, 'spawn');
    } finally {
      await log.close();
    }
    child.stdin?.end(plan.input?.(port));
    await writeFile(record, JSON.stringify({ ...identityOf(child.pid as number), port }));
    return child;
  };

  const supervise = (launched: ChildProcess): void => {
    const ended = (code: number | null, signal: string | null) => {
      if (stopping) return;
      process.stderr.write(`${plan.name} ended by itself (${signal ?? `exit code ${code}`}): starting it again.\n`);
      restarting = restart();
    };
    if (hasEnded(launched)) ended(launched.exitCode, launched.signalCode);
    else launched.once('exit', ended);
  };
  const restart = async (): Promise<void> => {
    while (!stopping) {
      await pause(300);
      try {
        return supervise(await launch());
      } catch (error) {
        process.stderr.write(`${plan.name} does not start: ${(error as Error).message}\n`);
      }
    }
  };

  const stop = async (): Promise<void> => {
    stopping = true;
    await restarting;
    if (child) await end(child, plan.signals);
    await rm(record, { force: true });
  };

  // A port that was free may be taken by the time the server asks for it: then another one.
  for (let attempt = 1; ; attempt++) {
    port = await freePort();
    const launched = await launch();
    if (await becomesReady(plan, launched, port)) {
      supervise(launched);
      return { port, stop };
    }
    if (attempt === 3) {
      await stop();
      const log = await readFile(join(plan.dir, 'log'), 'utf8');
      throw new Error(`${plan.name} does not start. The end of ${join(plan.dir, 'log')}:\n${log.slice(-1500)}`);
    }
    await end(launched, plan.signals);
  }
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null;

async function end(child: ChildProcess, [clean, hard]: ServerPlan['signals']): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill(clean);
  const harder = setTimeout(() => child.kill(hard), STOP_MS);
  await ended;
  clearTimeout(harder);
}

/** False when it ended, or took too long. */
async function becomesReady(plan: ServerPlan, child: ChildProcess, port: number): Promise<boolean> {
  const deadline = Date.now() + START_MS;
  while (!hasEnded(child) && Date.now() < deadline) {
    if (await plan.isReady(port, child.pid as number)) return true;
    await pause(POLL_MS);
  }
  return false;
}

/** The port of the server that runs on `dir`; one that is being started is waited for. */
export async function portOf(dir: string): Promise<number> {
  const record = join(dir, 'running');
  for (const deadline = Date.now() + START_MS; Date.now() < deadline; await pause(POLL_MS)) {
    const found = await readRecord(record);
    if (found && isRunning(found)) return found.port;
  }
  throw new Error(`${record} names no server that runs.`);
}

async function readRecord(record: string): Promise<(ProcessIdentity & { port: number }) | null> {
  try {
    return JSON.parse(await readFile(record, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Stops the process that `record` names, if it still runs. */
export async function stopLeftover(record: string, [clean, hard]: ServerPlan['signals']): Promise<void> {
  const left = await readRecord(record);
  if (!left) return;
  for (const signal of [clean, hard]) {
    if (isRunning(left)) process.kill(left.pid, signal);
    for (const deadline = Date.now() + STOP_MS; isRunning(left) && Date.now() < deadline; ) await pause(POLL_MS);
  }
  await rm(record, { force: true });
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}
