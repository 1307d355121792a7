import { Injectable } from '@nestjs/common';
import type { Tx } from '../database/index.js';
import type { JobDefinition, QueueName } from './define-job.js';
import { WakeUps } from './wake-ups.js';

export interface EnqueueOptions {
  /** At most one job with this key is ever made; a second one is silently the first. */
  dedupeKey?: string;
  /** Smaller runs first, among jobs of the same turn; the definition's own unless given. */
  priority?: number;
  /** How much work it is, in a unit of its queue's own: so far on is its owner's next turn. 1 unless given. */
  cost?: number;
  /** It goes before all else that its owner has in the queue, and costs no turn: for little that much waits for. */
  next?: boolean;
}

/** Whose work it is: owners have turns, so that however much one has waiting, another's waits for one job of it. */
export interface Share {
  readonly owner: string;
  /** What it is done for, for whoever looks at the queue. */
  readonly subject: string;
}

export interface JobRequest<Payload = object> extends EnqueueOptions {
  readonly definition: JobDefinition<Payload>;
  readonly payload: Payload;
}

/** Of one statement with thousands of jobs; who is woken goes on by itself as long as there is more. */
const WAKE_UPS = 32;

/** Asks for durable work. The job is a row, written in the caller's transaction: it exists if the change exists. */
@Injectable()
export class Jobs {
  constructor(private readonly wakeUps: WakeUps) {}

  /** @param options with `delayMs` it is due that much later */
  async enqueue<Payload extends object>(
    tx: Tx,
    definition: JobDefinition<Payload>,
    payload: Payload,
    { delayMs = 0, share, ...options }: EnqueueOptions & { delayMs?: number; share?: Share } = {},
  ): Promise<void> {
    await this.insert(tx, [{ definition, payload, ...options }], share, delayMs);
  }

  /** Many jobs of one owner, in the order in which they should be done, in one statement. */
  async enqueueAll(tx: Tx, requests: readonly JobRequest[], share: Share): Promise<void> {
    if (requests.length > 0) await this.insert(tx, requests, share, 0);
  }

  private async insert(tx: Tx, requests: readonly JobRequest[], share: Share | undefined, delayMs: number) {
    // Two who asked for one owner at the same time would not see each other's jobs, and get the same turns.
    if (share) await tx.query(`SELECT pg_advisory_xact_lock(hashtextextended('turns ' || $1, 0))`, [share.owner]);
    const rows = requests.map(({ definition, payload, dedupeKey, priority, cost, next }, position) => ({
      ...{ position, name: definition.name, queue: definition.queue, payload, key: dedupeKey },
      ...{ priority: next ? 0 : (priority ?? definition.priority), cost: next ? 0 : (cost ?? 1), next: next ?? false },
    }));
    const made = await tx.query<{ id: string; queue: QueueName }>(
      `WITH asked AS (
         SELECT * FROM json_to_recordset($1) AS t(position int, name text, queue text, payload jsonb, key text, priority int, cost real, next boolean)
         WHERE NOT EXISTS (SELECT FROM job WHERE dedupe_key = key)
       ), line AS (
         SELECT queue,
                -- Virtual time is the turn that the queue has come to: what is running, else what is first.
                coalesce((SELECT max(turn) FROM job WHERE state = 'RUNNING' AND queue = q.queue),
                         (SELECT turn FROM job WHERE state = 'QUEUED' AND queue = q.queue ORDER BY turn LIMIT 1), 0) AS now,
                (SELECT turn + cost FROM job WHERE state <> 'DONE' AND queue = q.queue AND owner = $2
                 -- Of those with one turn, that which costs it.
                 ORDER BY turn DESC, cost DESC LIMIT 1) AS after_own
         FROM (SELECT DISTINCT queue FROM asked WHERE $2::uuid IS NOT NULL) q
       )
       INSERT INTO job (name, queue, payload, dedupe_key, priority, run_at, owner, subject, cost, turn)
       SELECT name, queue, payload, key, priority, now() + $4::float8 * interval '1 ms', $2::uuid, $3::uuid, cost,
              CASE WHEN $2::uuid IS NULL THEN 0 WHEN next THEN line.now
                   ELSE greatest(line.now, line.after_own) + sum(cost::float8) OVER (PARTITION BY queue ORDER BY position) - cost END
       FROM asked LEFT JOIN line USING (queue) ORDER BY position
       ON CONFLICT (dedupe_key) DO NOTHING RETURNING id, queue`,
      [JSON.stringify(rows), share?.owner ?? null, share?.subject ?? null, delayMs],
    );
    // A delayed job, or one whose wake-up is lost, is found by the poll.
    if (delayMs > 0) return;
    for (const { queue, id } of made.slice(0, WAKE_UPS)) tx.afterCommit(() => this.wakeUps.send(queue, id));
  }
}
