import { hostname } from 'node:os';
import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { DiscoveryService, MetadataScanner } from '@nestjs/core';
import { CONFIG, type Config } from '../config/index.js';
import { Database } from '../database/index.js';
import { runWithLogContext } from '../logging/index.js';
import { gauge, histogram, OnScrape, replace } from '../metrics/index.js';
import { backoffMs } from './backoff.js';
import { decoratedMethods, type Handler } from './decorated-methods.js';
import { BEHIND, definedJobs, type JobDefinition, QUEUES, type QueueName } from './define-job.js';
import { HANDLES_JOB, PERIODICALLY } from './handles-job.js';
import { WakeUps } from './wake-ups.js';

const LEASE_SECONDS = 30;
const RENEW_MS = 8_000;
const POLL_MS = 1_000;
/** What failed here is left to other processes for so long, as far as somebody's files are worked on: they look every second. */
const ELSEWHERE_MS = 2 * POLL_MS;
/** How long jobs under way may go on once the process drains; then they are told to stop, and released. */
const DRAIN_GRACE_MS = 3_000;
/** Asks services on the Internet: workers open strangers' files and have no way out, so who answers requests does this. */
const OUTWARD: ReadonlySet<QueueName> = new Set(['push']);
/** What a new video passes through until it plays: half of these slots at most are one owner's. */
const SHARED: ReadonlySet<QueueName> = new Set(['assemble', 'probe', 'first']);
const KEEP_FINISHED_DAYS = 7;
const FORGET_AT_ONCE = 1_000;
const COUNTED = 10_000;

const jobs = gauge('sluice_jobs', `Jobs that are not done; of each queue and state at most ${COUNTED} are counted`, {
  queue: QUEUES,
  state: ['due', 'later', 'running'],
});
const oldest = gauge('sluice_job_oldest_due_age_seconds', 'How long the longest waiting due job has been due', {
  queue: QUEUES,
});
const SECONDS = [0.05, 0.2, 1, 5, 30, 120, 600, 3600];
const duration = histogram('sluice_job_duration_seconds', 'Attempts at jobs', SECONDS, ['name', 'outcome']);
const wait = histogram('sluice_job_wait_seconds', 'From due to begun', SECONDS, ['queue']);

interface ClaimedJob {
  id: string;
  name: string;
  queue: QueueName;
  owner: string | null;
  payload: object;
  attempts: number;
  lease: string;
  waitedSeconds: number;
}
interface Slots {
  readonly limit: number;
  /** How many of them one owner's jobs get at most, so that another's find one free. */
  readonly perOwner: number;
  readonly owners: Map<string, number>;
  /** Where owners are counted a claim waits for the one before, to know whose job that has got. */
  claiming: Promise<unknown>;
  used: number;
  /** By jobs of the queue behind: all but one, so that what comes next finds one. */
  behind: number;
  readonly waiting: (() => void)[];
}
interface RunningJob {
  readonly queue: QueueName;
  abort: AbortController;
  /** On this process's monotonic clock: past it another worker may have the job. */
  leaseEnds: number;
}

/** Why a job was stopped, through no fault of its own: its attempt does not count. */
class Interrupted extends Error {}
const OTHER_WORK = 'Other work is due.';

/** Of why an attempt failed, and of the end of what its program said. */
const KEPT_CHARACTERS = 4_096;
/** What a text column takes. */
const storable = (text: string) => text.replaceAll('\0', '');

/** Where a job of the queue behind has the only slot, what is due comes beside it, and has it interrupted. */
const hasRoom = ({ limit, used, behind }: Slots) => used < limit || (used === limit && behind === limit);

function count(owners: Map<string, number>, owner: string | null, by: 1 | -1): void {
  if (owner === null) return;
  const jobs = (owners.get(owner) ?? 0) + by;
  if (jobs > 0) owners.set(owner, jobs);
  else owners.delete(owner);
}

type PeriodicTask = (signal: AbortSignal) => Promise<void>;

/**
 * Claims due rows of `job` under a lease, renews it, runs the handler and finishes by the lease, so that a worker that
 * was stopped, cut off or killed loses its job to another one and can no longer finish it.
 */
@Injectable()
export class JobWorker implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger(JobWorker.name);
  private readonly handlers = new Map<string, Handler>();
  private readonly running = new Map<string, RunningJob>();
  private readonly working = new Set<Promise<void>>();
  private readonly slots = new Map<QueueName, Slots>();
  private readonly timers: NodeJS.Timeout[] = [];
  private readonly drained = new AbortController();
  /** For operators: the process, and where it runs. */
  private readonly name = `${process.pid}@${hostname()}`;

  constructor(
    private readonly db: Database,
    private readonly wakeUps: WakeUps,
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** For handlers that are not found by their decorator. Call it in `onModuleInit`, before the first job is claimed. */
  register(name: string, handler: Handler): void {
    if (this.handlers.has(name)) throw new Error(`The job ${name} has two handlers.`);
    this.handlers.set(name, handler);
  }

  onApplicationBootstrap(): void {
    for (const { mark, call } of decoratedMethods<JobDefinition<object>>(this.discovery, this.scanner, HANDLES_JOB)) {
      this.register(mark.name, call);
    }
    const orphans = definedJobs().filter((job) => !this.handlers.has(job.name));
    if (orphans.length > 0) throw new Error(`No handler does ${orphans.map((job) => job.name).join(', ')}.`);
    const { role } = this.config;
    const queues = QUEUES.filter((queue) => role === 'all' || OUTWARD.has(queue) === (role === 'api'));
    for (const queue of queues) {
      const slots = BEHIND[queue] ?? queue;
      if (slots === queue) this.slots.set(queue, this.slotsOf(queue));
      this.wakeUps.listen(queue, async () => {
        await this.roomIn(slots);
        this.pump(slots);
      });
    }
    this.every(POLL_MS, async () => {
      for (const queue of queues) this.pump(queue);
    });
    this.every(RENEW_MS, () => this.renew());
    if (role === 'api') return;

    for (const found of decoratedMethods<number>(this.discovery, this.scanner, PERIODICALLY)) {
      this.every(found.mark, found.call as PeriodicTask);
    }
    this.every(POLL_MS * 5, () => this.reclaim());
    this.every(3_600_000, (signal) => this.forget(signal));
  }

  /** Resolves once nothing of this process is under way any more: jobs, and periodic tasks. */
  async onModuleDestroy(): Promise<void> {
    this.drained.abort(new Interrupted('The process is stopping.'));
    for (const timer of this.timers) clearInterval(timer);
    for (const slot of this.slots.values()) for (const resume of slot.waiting.splice(0)) resume();
    const grace = setTimeout(() => {
      for (const job of this.running.values()) job.abort.abort(this.drained.signal.reason);
    }, DRAIN_GRACE_MS);
    await Promise.all(this.working);
    clearTimeout(grace);
  }

  /** Gives up the leases of processes that are known to be dead: only for who holds the whole installation alone. */
  async releaseAll(): Promise<void> {
    await this.db.query(`UPDATE job SET state = 'QUEUED', lease = NULL, lease_until = NULL WHERE state = 'RUNNING'`);
  }

  private slotsOf(queue: QueueName): Slots {
    const encode = this.config.encodeConcurrency;
    const limits: { [Queue in QueueName]?: number } = {
      ...{ default: 4, events: 8, push: 2, assemble: 2, probe: 2, first: 4, encode },
    };
    const limit = limits[queue] ?? 0;
    const perOwner = SHARED.has(queue) ? limit / 2 : limit;
    return { limit, perOwner, owners: new Map(), claiming: Promise.resolve(), used: 0, behind: 0, waiting: [] };
  }

  private every(milliseconds: number, task: PeriodicTask): void {
    let busy = false;
    const timer = setInterval(() => {
      if (busy) return;
      busy = true;
      const working = task(this.drained.signal)
        .catch((error: Error) => this.logger.warn(`jobs: ${error.message}`))
        .finally(() => {
          this.working.delete(working);
          busy = false;
        });
      this.working.add(working);
    }, milliseconds);
    this.timers.push(timer);
  }

  private roomIn(queue: QueueName): Promise<void> {
    const slot = this.slots.get(queue);
    if (!slot || this.drained.signal.aborted || hasRoom(slot)) return Promise.resolve();
    return new Promise((resolve) => slot.waiting.push(resolve));
  }

  /** Fills the queue's free slots with due jobs; each that ends looks for the next. */
  private pump(queue: QueueName): void {
    const slot = this.slots.get(queue);
    if (!slot || this.drained.signal.aborted || !hasRoom(slot)) return;
    slot.used++;
    const working = this.work(queue, slot).then((more) => {
      this.working.delete(working);
      slot.used--;
      slot.waiting.shift()?.();
      if (more) this.pump(queue);
    });
    this.working.add(working);
  }

  /** @returns whether there was something to do */
  private async work(queue: QueueName, slot: Slots): Promise<boolean> {
    try {
      const job = await this.claimFor(slot, queue);
      if (!job) return await this.workBehind(queue, slot);
      if (slot.used > slot.limit) this.interrupt(queue);
      try {
        await this.begin(job, queue);
      } finally {
        if (slot.perOwner < slot.limit) count(slot.owners, job.owner, -1);
      }
      return true;
    } catch (error) {
      this.logger.warn(`jobs: ${(error as Error).message}`);
      return false;
    }
  }

  /** Of the queue behind, where nothing is due in this one. */
  private async workBehind(queue: QueueName, slot: Slots): Promise<boolean> {
    const behind = QUEUES.find((other) => BEHIND[other] === queue);
    if (!behind || slot.behind >= Math.max(1, slot.limit - 1)) return false;
    slot.behind++;
    try {
      const job = await this.claim(behind);
      // Other work may have come while this was claimed, when there was nothing to interrupt yet.
      if (job && slot.used > slot.limit) await this.putBack(job, new Interrupted(OTHER_WORK));
      else if (job) await this.begin(job, queue);
      return job !== undefined;
    } finally {
      slot.behind--;
    }
  }

  /** What runs of the queue behind gives its place to what is due in this one. */
  private interrupt(queue: QueueName): void {
    for (const job of this.running.values()) {
      if (BEHIND[job.queue] === queue) job.abort.abort(new Interrupted(OTHER_WORK));
    }
  }

  private async begin(job: ClaimedJob, queue: QueueName): Promise<void> {
    if (this.drained.signal.aborted) return this.putBack(job, this.drained.signal.reason);
    this.pump(queue);
    await this.run(job);
  }

  private claimFor(slot: Slots, queue: QueueName): Promise<ClaimedJob | undefined> {
    if (slot.perOwner === slot.limit) return this.claim(queue);
    const claiming = slot.claiming.then(async () => {
      const have = [...slot.owners].filter(([, jobs]) => jobs >= slot.perOwner).map(([owner]) => owner);
      const job = await this.claim(queue, have);
      if (job) count(slot.owners, job.owner, 1);
      return job;
    });
    slot.claiming = Promise.allSettled([claiming]);
    return claiming;
  }

  /** @param butOf owners who have as many slots as they get */
  private async claim(queue: QueueName, butOf: readonly string[] = []): Promise<ClaimedJob | undefined> {
    const [job] = await this.db.query<ClaimedJob>(
      `UPDATE job SET state = 'RUNNING', lease = gen_random_uuid(), attempts = attempts + 1,
              lease_until = now() + $3 * interval '1 s', started_at = now(), worker = $4
       WHERE id = (SELECT id FROM job WHERE queue = $1 AND state = 'QUEUED' AND run_at <= now() AND name = ANY($2)
                     AND (owner IS NULL OR worker IS DISTINCT FROM $4 OR run_at <= now() - $5 * interval '1 ms')
                     AND (owner IS NULL OR owner <> ALL($6))
                   ORDER BY turn, priority, run_at LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING id, name, queue, owner, payload, attempts, lease, extract(epoch FROM now() - run_at)::float8 AS "waitedSeconds"`,
      // A newer build's jobs wait for a worker of that build.
      [queue, [...this.handlers.keys()], LEASE_SECONDS, this.name, ELSEWHERE_MS, butOf],
    );
    return job;
  }

  private async run(job: ClaimedJob): Promise<void> {
    const abort = new AbortController();
    const handler = this.handlers.get(job.name);
    if (!handler) throw new Error(`No handler does ${job.name}.`);
    const { id: jobId, attempts: attempt, lease, waitedSeconds } = job;
    const context = { jobId, attempt, waitedSeconds, lease, signal: abort.signal };
    wait.observe({ queue: job.queue }, waitedSeconds);
    const begun = performance.now();
    const ended = (outcome: 'done' | 'failed' | 'interrupted') => {
      const ms = performance.now() - begun;
      duration.observe({ name: job.name, outcome }, ms / 1000);
      this.logger.debug({ job: job.name, attempt, ms: Math.round(ms) }, `job ${outcome}`);
    };
    this.logger.debug({ jobId, job: job.name, attempt, lease }, 'job claimed');
    this.running.set(lease, { queue: job.queue, abort, leaseEnds: performance.now() + LEASE_SECONDS * 1000 });
    await runWithLogContext({ jobId }, () =>
      handler(job.payload, context)
        .then(() => this.finish(job))
        .then(() => ended('done'))
        .catch((error: Error) => {
          ended(abort.signal.aborted ? 'interrupted' : 'failed');
          return this.putBack(job, abort.signal.reason ?? error);
        })
        .catch((error: Error) => this.logger.warn(`${job.name} ${jobId}: left to its lease: ${error.message}`)),
    );
    this.running.delete(lease);
  }

  private async finish(job: ClaimedJob): Promise<void> {
    await this.db.query(
      `UPDATE job SET state = 'DONE', finished_at = now(), lease = NULL, lease_until = NULL
       WHERE id = $1 AND lease = $2`,
      [job.id, job.lease],
    );
  }

  private async putBack(job: ClaimedJob, error: Error): Promise<void> {
    const interrupted = error instanceof Interrupted;
    const { log, retryAtOnce } = error as { log?: unknown; retryAtOnce?: boolean };
    if (!interrupted)
      this.logger.warn({ jobId: job.id, job: job.name, attempt: job.attempts, err: error }, 'job failed');
    await this.db.query(
      `UPDATE job SET state = 'QUEUED', lease = NULL, lease_until = NULL, attempts = attempts - $5,
              run_at = now() + $3 * interval '1 ms', last_error = $4, last_log = coalesce($6, last_log),
              worker = CASE WHEN $7 THEN NULL ELSE worker END
       WHERE id = $1 AND lease = $2`,
      [
        job.id,
        job.lease,
        interrupted || retryAtOnce ? 0 : backoffMs(job.attempts, Math.random()),
        storable(String(error.message)).slice(0, KEPT_CHARACTERS),
        interrupted ? 1 : 0,
        typeof log === 'string' ? storable(log).slice(-KEPT_CHARACTERS) : null,
        retryAtOnce === true,
      ],
    );
  }

  private async renew(): Promise<void> {
    const mine = [...this.running.keys()];
    if (mine.length === 0) return;
    const asked = performance.now();
    try {
      const kept = await this.db.query<{ lease: string }>(
        `UPDATE job SET lease_until = now() + $2 * interval '1 s'
         WHERE state = 'RUNNING' AND lease = ANY($1::uuid[]) RETURNING lease`,
        [mine, LEASE_SECONDS],
      );
      for (const { lease } of kept) {
        const job = this.running.get(lease);
        if (job) job.leaseEnds = asked + LEASE_SECONDS * 1000;
      }
      const lost = new Set(mine);
      for (const { lease } of kept) lost.delete(lease);
      for (const lease of lost) this.running.get(lease)?.abort.abort(new Error('The lease was lost.'));
    } finally {
      // Cut off from the database: whoever can reach it may have taken the job by now.
      for (const job of this.running.values()) {
        if (performance.now() > job.leaseEnds) job.abort.abort(new Error('The lease could not be renewed.'));
      }
    }
  }

  /** Reads the front of each index at most, so that a long queue costs no more than a short one. */
  @OnScrape({ sets: [jobs, oldest], everyMs: 5_000 })
  async countJobs(): Promise<void> {
    const rows = await this.db.query<{ queue: QueueName; due: number; later: number; running: number; age: number }>(
      `SELECT q.queue, least(due.n, $2)::float8 AS due, least(later.n, $2)::float8 AS later,
              (SELECT count(*) FROM job WHERE state = 'RUNNING' AND queue = q.queue)::float8 AS running,
              coalesce(extract(epoch FROM now() - (SELECT run_at FROM job WHERE state = 'QUEUED' AND queue = q.queue
                AND run_at <= now() ORDER BY run_at LIMIT 1)), 0)::float8 AS age
       FROM unnest($1::text[]) AS q(queue),
            LATERAL (SELECT count(*) AS n FROM (SELECT FROM job WHERE state = 'QUEUED' AND queue = q.queue AND run_at <= now() LIMIT $2) t) due,
            LATERAL (SELECT count(*) AS n FROM (SELECT FROM job WHERE state = 'QUEUED' AND queue = q.queue AND run_at > now() LIMIT $2) t) later`,
      [QUEUES, COUNTED],
    );
    replace(
      jobs,
      rows.flatMap(({ queue, due, later, running }) =>
        Object.entries({ due, later, running }).map(([state, value]) => ({ labels: { queue, state }, value })),
      ),
    );
    replace(
      oldest,
      rows.map(({ queue, age }) => ({ labels: { queue }, value: age })),
    );
  }

  private async reclaim(): Promise<void> {
    await this.db.query(
      `UPDATE job SET state = 'QUEUED', lease = NULL, lease_until = NULL, last_error = 'Its worker was killed, or cut off from the database.' WHERE id IN
         (SELECT id FROM job WHERE state = 'RUNNING' AND lease_until < now() LIMIT 1000 FOR UPDATE SKIP LOCKED)`,
    );
  }

  private async forget(signal: AbortSignal): Promise<void> {
    for (let gone = FORGET_AT_ONCE; gone === FORGET_AT_ONCE && !signal.aborted; ) {
      const rows = await this.db.query(
        `DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state = 'DONE'
           AND finished_at < now() - $1 * interval '1 day' LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING id`,
        [KEEP_FINISHED_DAYS, FORGET_AT_ONCE],
      );
      gone = rows.length;
    }
  }
}
