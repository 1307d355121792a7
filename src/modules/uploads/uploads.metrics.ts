import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../../common/database/index.js';
import { counter, gauge, OnScrape, replace } from '../../common/metrics/index.js';

const LANES = ['direct', 'append'] as const;
const committedBytes = counter('sluice_upload_committed_bytes_total', 'Bytes of files that came to count', {
  lane: LANES,
});
const committedChunks = counter('sluice_upload_committed_chunks_total', 'Chunks that came to count', { lane: LANES });
export const sessionsEnded = counter('sluice_upload_sessions_ended_total', 'Upload sessions that ended, and how', {
  state: ['COMPLETED', 'CANCELLED', 'EXPIRED'],
});

const COUNTED = 10_000;
const UNFINISHED = ['OPEN', 'COMPLETING'] as const;
const sessions = gauge(
  'sluice_upload_sessions',
  `Upload sessions that have not ended; of each state at most ${COUNTED} are counted`,
  { state: UNFINISHED },
);

export function countCommitted(
  tx: Tx,
  lane: (typeof LANES)[number],
  { contributing, addedBytes }: { contributing: readonly string[]; addedBytes: number },
): void {
  tx.afterCommit(() => {
    committedChunks.inc({ lane }, contributing.length);
    committedBytes.inc({ lane }, addedBytes);
  });
}

@Injectable()
export class UploadsMetrics {
  constructor(private readonly db: Database) {}

  /** Each from the front of its own index. */
  @OnScrape({ sets: [sessions], everyMs: 5_000 })
  async countSessions(): Promise<void> {
    const [row] = await this.db.query<Record<(typeof UNFINISHED)[number], number>>(
      `SELECT (SELECT count(*) FROM (SELECT FROM upload_session WHERE state = 'OPEN' LIMIT $1) t)::float8 AS "OPEN",
              (SELECT count(*) FROM (SELECT FROM upload_session WHERE state = 'COMPLETING' LIMIT $1) t)::float8 AS "COMPLETING"`,
      [COUNTED],
    );
    replace(
      sessions,
      UNFINISHED.map((state) => ({ labels: { state }, value: row?.[state] ?? 0 })),
    );
  }
}
