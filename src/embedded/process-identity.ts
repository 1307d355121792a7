import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process, told apart from a later one that got the same id. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in whatever form this system tells it: only good for comparing. */
  readonly started: string;
}

/** Null when no such process runs; one that ended and was not yet reaped does not run. */
export function identityOf(pid: number): ProcessIdentity | null {
  const told = process.platform === 'linux' ? fromProc(pid) : fromPs(pid);
  return told && !told.state.startsWith('Z') ? { pid, started: told.started } : null;
}

export function isRunning(identity: ProcessIdentity): boolean {
  return identityOf(identity.pid)?.started === identity.started;
}

/** proc(5): the command's name, second, is in parentheses and may hold anything; the state is third, the start the 22nd. */
function fromProc(pid: number): { state: string; started: string } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: fields[0] as string, started: fields[19] as string };
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

function fromPs(pid: number): { state: string; started: string } | null {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return null;
  }
  const line = execFileSync('ps', ['-o', 'stat=', '-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  const space = line.indexOf(' ');
  return { state: line.slice(0, space), started: line.slice(space).trim() };
}
