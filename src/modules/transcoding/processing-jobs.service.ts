import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { InvalidInput } from '../../common/errors/index.js';
import { decodeCursor, encodeCursor } from '../../common/graphql/index.js';
import { PROCESSING_QUEUES } from './encode-queue.js';

export type JobState = 'QUEUED' | 'RUNNING' | 'DONE';

export interface ProcessingJobRow {
  id: string;
  name: string;
  videoId: string;
  state: JobState;
  attempts: number;
  dueAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  worker: string | null;
  lastError: string | null;
  lastLog: string | null;
  number: number | null;
  progress: number | null;
  cursorTime: string;
}

/** The jobs that process videos, for operators. */
@Injectable()
export class ProcessingJobs {
  constructor(private readonly db: Database) {}

  /**
   * Newest first.
   * @throws InvalidInput without a video and a state
   */
  async page(
    filter: { videoId: string | null; state: JobState | null },
    first: number,
    after?: string | null,
  ): Promise<{ rows: ProcessingJobRow[]; hasNextPage: boolean }> {
    const { videoId, state } = filter;
    if (!videoId && !state) throw new InvalidInput('Say which video, or which state, or both.', ['state']);
    const values: unknown[] = [[...PROCESSING_QUEUES, 'spare'], first + 1];
    const given = (value: unknown) => `$${values.push(value)}`;
    const conditions = ['j.subject IS NOT NULL', 'j.queue = ANY($1)'];
    if (videoId) conditions.push(`j.subject = ${given(videoId)}`);
    if (state) conditions.push(`j.state = ${given(state)}`);
    if (after) {
      const [time, id] = decodeCursor(after, 'time', 'uuid');
      conditions.push(`(j.created_at, j.id) < (${given(time)}, ${given(id)})`);
    }
    const rows = await this.db.query<ProcessingJobRow>(
      `SELECT j.id, j.name, j.subject AS "videoId", j.state, j.attempts, j.run_at AS "dueAt",
              j.started_at AS "startedAt", j.finished_at AS "finishedAt", j.worker, j.last_error AS "lastError",
              j.last_log AS "lastLog", j.created_at::text AS "cursorTime", p.number, p.progress
       FROM job j LEFT JOIN piece p ON p.id = (j.payload->>'pieceId')::uuid
       WHERE ${conditions.join(' AND ')} ORDER BY j.created_at DESC, j.id DESC LIMIT $2`,
      values,
    );
    return { rows: rows.slice(0, first), hasNextPage: rows.length > first };
  }

  static cursorOf(row: ProcessingJobRow): string {
    return encodeCursor(row.cursorTime, row.id);
  }
}
