import { readdirSync, readFileSync } from 'node:fs';

/**
 * Processor time, in seconds, that these processes have used so far in user and kernel mode, all threads. From the
 * scheduler's own clock (nanoseconds), since the ticks of /proc/PID/stat (10 ms) are too coarse for short rounds.
 */
export function cpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    }
  }
  return nanoseconds / 1e9;
}

/** The process and those it started, workers of nginx for one. */
export function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(family)];
}
