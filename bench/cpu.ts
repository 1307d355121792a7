import { existsSync, readdirSync, readFileSync } from 'node:fs';

/**
 * Nanoseconds of processor time that each of these processes has used so far, in user and kernel mode, all its threads. From
 * the scheduler's own clock, since the ticks of /proc/PID/stat (10 ms) are too coarse for short rounds.
 */
export function cpuTimes(pids: readonly number[]): Map<number, number> {
  const alive = pids.filter((pid) => existsSync(`/proc/${pid}/task`));
  return new Map(alive.map((pid) => [pid, cpuTime(pid)]));
}

/** Seconds of processor time since then. What ended meanwhile (nginx's cache loader does, after a minute) is left out. */
export function cpuSecondsSince(before: ReadonlyMap<number, number>): number {
  const now = cpuTimes([...before.keys()]);
  return [...now].reduce((sum, [pid, time]) => sum + time - (before.get(pid) as number), 0) / 1e9;
}

function cpuTime(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const times = tasks.map((task) => readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return times.reduce((sum, time) => sum + Number(time), 0);
}

/** The process and those it started, workers of nginx for one. */
export function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(family)];
}
