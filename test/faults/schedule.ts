import { AsyncLocalStorage } from 'node:async_hooks';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { randomFrom } from '../support/random.js';

/** An operation failed, before or after its effect; whoever called it goes on. */
export class Fault extends Error {}
/** The process died: nothing that it still does has an effect. */
export class Crash extends Error {}

export type Draw = ReturnType<typeof drawFrom>;

/** Choices that are the same for the same seed. */
export function drawFrom(seed: number) {
  const next = randomFrom(seed);
  /** Both ends included. */
  const int = (least: number, most: number): number => least + Math.floor(next() * (most - least + 1));
  return {
    next,
    int,
    chance: (probability: number): boolean => next() < probability,
    of: <T>(values: readonly T[]): T => values[int(0, values.length - 1)] as T,
    times: (least: number, most: number): undefined[] => Array.from({ length: int(least, most) }),
    bytes: (size: number): Buffer => Buffer.from(Array.from({ length: size }, () => int(0, 255))),
  };
}

/** What a process does for one caller. */
interface Request {
  readonly schedule: Schedule;
  readonly name: string;
  readonly process: string;
  readonly weight: number;
  crashed: boolean;
  /** Stopped before so many further points: as SIGSTOP does it. */
  stopsIn: number;
  readonly onStop: (() => void) | undefined;
}

interface Waiting {
  readonly request: Request;
  readonly label: string;
  go(how: How): void;
}
type How = 'well' | 'fails before' | 'fails after' | 'dies before' | 'dies after';

const requests = new AsyncLocalStorage<Request>();

/** A point of the schedule: the effect happens when it is its turn. Outside of a schedule it happens at once. */
export function point<T>(kind: Kind, label: string, effect: () => Promise<T>): Promise<T> {
  const request = requests.getStore();
  return request ? request.schedule.point(request, kind, label, effect) : effect();
}

/** The same for who has the effect done elsewhere: wait, have it done, call what is returned. */
export async function enter(kind: Kind, label: string): Promise<() => void> {
  const request = requests.getStore();
  return request ? request.schedule.enter(request, kind, label) : () => undefined;
}

export function withinTransaction<T>(transaction: () => Promise<T>): Promise<T> {
  const schedule = requests.getStore()?.schedule;
  return schedule ? schedule.open(transaction) : transaction();
}

/** While `waiting` waits for what others do, they have their turns. */
export async function away<T>(kind: Kind, waiting: () => Promise<T>): Promise<T> {
  const schedule = requests.getStore()?.schedule;
  schedule?.note(kind, -1);
  try {
    return await waiting();
  } finally {
    schedule?.note(kind, 1);
  }
}

/** Something of the test's own, that may wait for locks: all of it is one point, and a part of no request. */
export function apart<T>(label: string, work: () => Promise<T>): Promise<T> {
  return point('statement', label, () => requests.exit(work));
}

type Kind = 'statement' | 'file';
const STILL_LOOPS = 3;
const LOOK_FOR_LOCKS_MS = 10;
/** Nobody has a turn and nothing ends for so long: what is under way hangs. */
const HANGS_MS = 75_000;
/** Longer than a newcomer waits for whom it evicts. */
const STOPPED_MS = 2_500;

/**
 * Puts concurrent requests into one order, drawn from a seed. Each statement, commit, operation of the store and piece of
 * a body is a point: only one goes at a time, and the next is drawn when it is done or waits for a lock. So interleavings
 * that chance would meet once in a year are met at will, on the real database and the real store.
 */
export class Schedule {
  readonly trace: string[] = [];
  private readonly begun = new Set<Request>();
  private readonly waiting: Waiting[] = [];
  private readonly busy: Record<Kind, number> = { statement: 0, file: 0 };
  private transactions = 0;
  private changes = 0;
  private stoppedSince: number | undefined;
  private lastTurn = performance.now();
  private changed: (() => void) | undefined;

  /**
   * @param lockWaits how many statements wait for a lock now
   * @param faults how likely an operation fails, and a process dies, at a point
   */
  constructor(
    private readonly draw: Draw,
    private readonly lockWaits: () => Promise<number>,
    public faults: { fails: number; crashes: number },
  ) {}

  /** Starts a request. Its statements and files have an effect only at their turns. */
  request<T>(
    name: string,
    process: string,
    work: () => Promise<T>,
    { stopsIn = Number.POSITIVE_INFINITY, onStop }: { stopsIn?: number; onStop?: () => void } = {},
  ): Promise<T> {
    const weight = 2 ** (this.draw.next() * 7);
    const request: Request = {
      schedule: this,
      name: `${name}@${process}`,
      process,
      weight,
      crashed: false,
      stopsIn,
      onStop,
    };
    this.begun.add(request);
    return requests.run(request, async () => {
      try {
        await this.point(request, 'file', 'begins', async () => undefined);
        return await work();
      } finally {
        this.begun.delete(request);
        this.change();
      }
    });
  }

  /** The other half of `stopsIn`. */
  continueStopped(): void {
    this.stoppedSince = undefined;
    for (const request of this.begun) if (request.stopsIn <= 0) request.stopsIn = Number.POSITIVE_INFINITY;
    this.change();
  }

  /** After a failure: nothing that is still open has an effect any more, and all of it ends. */
  abandon(): void {
    for (const request of this.begun) request.crashed = true;
    for (const one of [...this.waiting]) this.go(one, 'well');
  }

  async point<T>(request: Request, kind: Kind, label: string, effect: () => Promise<T>): Promise<T> {
    const leave = await this.enter(request, kind, label);
    let result: T;
    try {
      result = await effect();
    } catch (error) {
      this.note(kind, -1);
      throw error;
    }
    leave();
    return result;
  }

  /**
   * Waits for a turn. @returns to be called once the effect has happened; it throws when the answer is lost
   * @throws Fault, Crash: nothing may happen
   */
  async enter(request: Request, kind: Kind, label: string): Promise<() => void> {
    if (request.crashed) throw new Crash(label);
    if (--request.stopsIn === 0) request.onStop?.();
    const how = await new Promise<How>((go) => {
      this.waiting.push({ request, label, go });
      this.change();
    });
    if (request.crashed) throw new Crash(label);
    if (how === 'fails before') throw new Fault(`before: ${label}`);
    this.note(kind, 1);
    return () => {
      this.note(kind, -1);
      if (how === 'dies after') request.crashed = true;
      if (request.crashed) throw new Crash(label);
      if (how === 'fails after') throw new Fault(`after: ${label}`);
    };
  }

  /** A transaction is open meanwhile. */
  async open<T>(transaction: () => Promise<T>): Promise<T> {
    this.transactions++;
    try {
      return await transaction();
    } finally {
      this.transactions--;
    }
  }

  note(kind: Kind, more: 1 | -1): void {
    this.busy[kind] += more;
    this.change();
  }

  /** Looks at something, with nobody else having a turn meanwhile. */
  async look<T>(looking: () => Promise<T>): Promise<T> {
    this.note('file', 1);
    try {
      return await requests.exit(looking);
    } finally {
      this.note('file', -1);
    }
  }

  /** Gives turns until `until` is settled. @throws what it rejects with, or an error when everything hangs */
  async drive<T>(until: Promise<T>): Promise<T> {
    let over = false;
    const end = () => {
      over = true;
      this.change();
    };
    until.then(end, end);
    let since = performance.now();
    while (!over) {
      await this.quiet();
      if (over) break;
      if (this.waiting.some(({ request }) => request.stopsIn <= 0)) this.stoppedSince ??= performance.now();
      if (this.stoppedSince && performance.now() - this.stoppedSince > STOPPED_MS) this.continueStopped();
      const able = this.waiting.filter(({ request }) => request.stopsIn > 0 || request.crashed);
      if (able.length === 0) {
        if (performance.now() - since > HANGS_MS)
          throw new Error(`Nothing goes on: ${[...this.begun].map(({ name }) => name)}`);
        await this.nextChange(20);
        continue;
      }
      since = performance.now();
      this.grant(able);
    }
    return until;
  }

  private grant(able: readonly Waiting[]): void {
    const ends: number[] = [];
    for (const { request } of able) ends.push((ends.at(-1) ?? 0) + request.weight);
    const at = this.draw.next() * (ends.at(-1) ?? 0);
    const chosen = able[ends.findIndex((end) => at < end)] as Waiting;
    const dice = this.draw.next();
    const { fails, crashes } = this.faults;
    let how: How = 'well';
    if (dice < crashes) {
      // With what it was about to do done, or not.
      how = this.draw.chance(0.5) ? 'dies after' : 'dies before';
      for (const one of this.begun)
        if (one.process === chosen.request.process) one.crashed = one !== chosen.request || how === 'dies before';
      for (const one of this.waiting.filter(({ request }) => request.crashed && request !== chosen.request))
        this.go(one, 'well');
    } else if (dice < crashes + fails) {
      how = this.draw.chance(0.5) ? 'fails before' : 'fails after';
    }
    const late =
      performance.now() - this.lastTurn > 300 ? ` [after ${Math.round(performance.now() - this.lastTurn)} ms]` : '';
    this.lastTurn = performance.now();
    this.trace.push(`${late}${chosen.request.name}  ${chosen.label}${how === 'well' ? '' : ` (${how})`}`);
    this.go(chosen, how);
  }

  private go(one: Waiting, how: How): void {
    this.waiting.splice(this.waiting.indexOf(one), 1);
    one.go(how);
  }

  /** Resolves once nothing is under way but what waits for a lock, a timer or bytes. */
  private async quiet(): Promise<void> {
    for (let still = 0; still < STILL_LOOPS; ) {
      const seen = this.changes;
      if (this.busy.file <= 0 && this.busy.statement <= 0) {
        await turnOfTheLoop();
        still = seen === this.changes ? still + 1 : 0;
        continue;
      }
      still = 0;
      if (await this.nextChange(LOOK_FOR_LOCKS_MS)) continue;
      // Without an open transaction nothing waits for a lock: it is only slow.
      if (this.busy.file > 0 || this.transactions === 0) continue;
      if ((await this.lockWaits()) >= this.busy.statement && seen === this.changes) return;
    }
  }

  private change(): void {
    this.changes++;
    this.changed?.();
  }

  /** @returns whether there was a change within `ms` */
  private nextChange(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.changed = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}
