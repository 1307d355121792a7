import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { gauge, OnScrape, replace } from '../../common/metrics/index.js';
import { secondsUntilDone } from './queue-estimate.js';
import { PIECE_JOB_KEY } from './transcoding.jobs.js';

/** The queues of this module, whose jobs are done for a video. */
export const PROCESSING_QUEUES = ['probe', 'first', 'encode'] as const;
const COUNTED = 10_000;
/** So much of what was done last tells the speed. */
const MEASURED = 100;
const FRESH_MS = 5_000;

const expected = gauge(
  'sluice_encode_expected_wait_seconds',
  'How long what waits in the queue of encoding will take, by the speed of late',
);

export interface QueueState {
  /** Due jobs, at most 10,000 of them counted. */
  readonly waiting: number;
  readonly running: number;
  /** 0 when none waits. */
  readonly oldestWaitSeconds: number;
  /** Until all that waits to be encoded is done; null while the speed is not known. */
  readonly expectedWaitSeconds: number | null;
}

interface Snapshot extends QueueState {
  /** Work a second; null while nothing runs, or nothing was measured. */
  readonly speed: number | null;
  readonly workOf: ReadonlyMap<string | null, number>;
}

/** What waits to be processed, and how long it will take: read from the front of each index, at most every 5 s a process. */
@Injectable()
export class EncodeQueue {
  private latest: { at: number; snapshot: Promise<Snapshot> } | null = null;

  constructor(private readonly db: Database) {}

  async state(): Promise<QueueState> {
    return this.snapshot();
  }

  /**
   * Seconds until all pieces of these videos are made, by the work that is left, what their owners have before it, and the
   * turns of others. A video without an estimate is not among them.
   */
  async secondsLeft(videoIds: readonly string[]): Promise<Map<string, number>> {
    const rows = await this.db.query<{ videoId: string; owner: string; work: number | null }>(
      `SELECT v.id AS "videoId", v.owner_id AS owner,
              own.work + (SELECT coalesce(sum(cost), 0) FROM (
                SELECT cost FROM job j WHERE j.queue = 'encode' AND j.owner = v.owner_id AND j.state <> 'DONE'
                  AND j.turn < own.last_turn AND j.subject <> v.id LIMIT $3) before) AS work
       FROM video v, LATERAL (
         SELECT max(j.turn) AS last_turn, sum(j.cost * (1 - p.progress)) AS work FROM piece p JOIN job j ON j.dedupe_key = $2 || p.id
         WHERE p.video_id = v.id AND p.run = v.run AND p.done_at IS NULL AND j.queue = 'encode') own
       WHERE v.id = ANY($1::uuid[]) AND v.state IN ('PROCESSING', 'PLAYABLE')`,
      [videoIds, PIECE_JOB_KEY, COUNTED],
    );
    if (rows.length === 0) return new Map();
    const { speed, workOf } = await this.snapshot();
    return new Map(
      rows.flatMap(({ videoId, owner, work }) => {
        if (work === null || speed === null) return [];
        const others = [...workOf].filter(([other]) => other !== owner).map(([, waiting]) => waiting);
        return [[videoId, secondsUntilDone(work, others, speed)]];
      }),
    );
  }

  @OnScrape({ sets: [expected] })
  async measure(): Promise<void> {
    const { expectedWaitSeconds } = await this.snapshot();
    replace(expected, expectedWaitSeconds === null ? [] : [{ labels: {}, value: expectedWaitSeconds }]);
  }

  private snapshot(): Promise<Snapshot> {
    if (!this.latest || performance.now() - this.latest.at > FRESH_MS) {
      const latest = { at: performance.now(), snapshot: this.read() };
      this.latest = latest;
      // What failed is read again by who asks next.
      latest.snapshot.catch(() => {
        if (this.latest === latest) this.latest = null;
      });
    }
    return this.latest.snapshot;
  }

  private async read(): Promise<Snapshot> {
    const [state] = await this.db.query<{
      waiting: number;
      running: number;
      encoding: number;
      age: number;
      speed: number | null;
    }>(
      `SELECT (SELECT count(*) FROM (SELECT FROM job WHERE queue = ANY($1) AND state = 'QUEUED' AND run_at <= now() LIMIT $2) t)::float8 AS waiting,
              (SELECT count(*) FROM job WHERE queue = ANY($1) AND state = 'RUNNING')::float8 AS running,
              (SELECT count(*) FROM job WHERE queue = 'encode' AND state = 'RUNNING')::float8 AS encoding,
              coalesce((SELECT max(extract(epoch FROM now() - front.run_at)) FROM unnest($1::text[]) q(name), LATERAL (
                SELECT run_at FROM job WHERE queue = q.name AND state = 'QUEUED' AND run_at <= now() ORDER BY run_at LIMIT 1) front), 0)::float8 AS age,
              (SELECT sum(cost) / sum(extract(epoch FROM took)) FROM (
                SELECT cost, finished_at - started_at AS took FROM job
                WHERE state = 'DONE' AND finished_at > now() - interval '1 hour' AND queue = 'encode' AND cost > 0
                  -- Whose run was over took no time, and did no work.
                  AND finished_at - started_at > interval '0.1 s' ORDER BY finished_at DESC LIMIT $3) done)::float8 AS speed`,
      [PROCESSING_QUEUES, COUNTED, MEASURED],
    );
    const rows = await this.db.query<{ owner: string | null; work: number }>(
      `SELECT owner, sum(cost)::float8 AS work FROM (
         SELECT owner, cost FROM job WHERE queue = 'encode' AND state = 'QUEUED' ORDER BY turn LIMIT $1) front GROUP BY owner`,
      [COUNTED],
    );
    const { waiting = 0, running = 0, encoding = 0, age = 0, speed: each = null } = state ?? {};
    const speed = each === null || encoding === 0 ? null : each * encoding;
    const work = rows.reduce((sum, row) => sum + row.work, 0);
    const expectedWaitSeconds = work === 0 ? 0 : speed && Math.ceil(work / speed);
    const workOf = new Map(rows.map((row) => [row.owner, row.work]));
    return { waiting, running, oldestWaitSeconds: age, expectedWaitSeconds, speed, workOf };
  }
}
