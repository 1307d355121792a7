import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** An operator's command (`npm run NAME`) as a process of its own. */
export function startCommand(
  name: string,
  env: Record<string, string>,
  args: readonly string[] = [],
): { process: ChildProcess; ended: Promise<Ended> } {
  const file = join(import.meta.dirname, '../../dist/commands', `${name}.js`);
  const process_ = spawn(process.execPath, ['--enable-source-maps', file, ...args], {
    env: { PATH: process.env.PATH, NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { stdout, stderr } = process_;
  const ended = Promise.all([text(stdout), text(stderr), once(process_, 'close')]).then(([out, err]) => ({
    code: process_.exitCode,
    stdout: out,
    stderr: err,
  }));
  return { process: process_, ended };
}

export const runCommand = (name: string, env: Record<string, string>, args?: readonly string[]): Promise<Ended> =>
  startCommand(name, env, args).ended;

/** The same, for who gives arguments first. */
export const operate = (name: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> =>
  startCommand(name, env, args).ended;
