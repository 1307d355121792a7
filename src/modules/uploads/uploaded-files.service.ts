import { Injectable } from '@nestjs/common';
import { Database, type Sql } from '../../common/database/index.js';
import { ObjectStorage } from '../storage/index.js';
import { type ByteRange, isCovered, parseMultirange } from './byte-ranges.js';
import * as ledger from './upload-ledger.js';

/** The bytes of an upload: its original, or what has arrived of it. */
export interface UploadedFile {
  readonly sessionId: string;
  readonly videoId: string;
  /** The video's: raised when bytes that were there are so no more. */
  readonly run: number;
  readonly sizeBytes: number;
  /** Null while it is not complete and verified. */
  readonly masterKey: string | null;
  /** The session's. */
  readonly epoch: number;
  readonly covered: readonly ByteRange[];
}

/** Bytes were asked for that have not arrived, or were discarded. */
export class NotArrived extends Error {}

/** One statement: a run and the bytes that it is about. */
const FILE = `SELECT u.id AS "sessionId", u.video_id AS "videoId", v.run, u.size_bytes AS "sizeBytes",
    u.master_key AS "masterKey", u.epoch, u.covered
  FROM upload_session u JOIN video v ON v.id = u.video_id AND v.deleted_at IS NULL`;

/** Gives parts of a file from the moment that they are committed. */
@Injectable()
export class UploadedFiles {
  constructor(
    private readonly db: Database,
    private readonly storage: ObjectStorage,
  ) {}

  /** Null when there is nothing to be read (any more). */
  ofVideo(videoId: string): Promise<UploadedFile | null> {
    return this.find(
      `u.video_id = $1 AND (u.state IN ('OPEN', 'COMPLETING') OR (u.state = 'COMPLETED' AND u.master_key IS NOT NULL))`,
      videoId,
    );
  }

  /** Of an open session for whose bytes processing waits; else null. */
  waitedFor(sessionId: string): Promise<UploadedFile | null> {
    return this.find(`u.id = $1 AND u.state = 'OPEN' AND u.wanted IS NOT NULL`, sessionId);
  }

  /** As `ledger.want`. */
  async want({ sessionId, epoch }: UploadedFile, ranges: readonly ByteRange[] | null): Promise<boolean | null> {
    return ledger.want(this.db, sessionId, epoch, ranges);
  }

  /** For this run of the video nothing more is waited for before the end. In the caller's transaction. */
  async wantNothing(tx: Sql, videoId: string, run: number): Promise<void> {
    await tx.query(
      `UPDATE upload_session SET wanted = NULL FROM video v
       WHERE video_id = $1 AND upload_session.state = 'OPEN' AND v.id = $1 AND v.run = $2`,
      [videoId, run],
    );
  }

  has({ masterKey, covered }: UploadedFile, range: ByteRange): boolean {
    return masterKey !== null || range.start >= range.end || isCovered(range, covered);
  }

  /**
   * The bytes of a range that lies within the file, in order.
   * @throws NotArrived, and what the store throws
   */
  async *read(file: UploadedFile, range: ByteRange, signal?: AbortSignal): AsyncGenerator<Buffer> {
    if (file.masterKey !== null) {
      yield* await this.storage.read(file.masterKey, range, signal);
      return;
    }
    let next = range.start;
    for (const { key, at, start, end } of await ledger.partsIn(this.db, file.sessionId, range)) {
      if (at !== next) break;
      yield* await this.storage.read(key, { start, end }, signal);
      next = at + end - start;
    }
    if (next < range.end) throw new NotArrived(`Of upload ${file.sessionId} byte ${next} is not there.`);
  }

  private async find(where: string, id: string): Promise<UploadedFile | null> {
    const [row] = await this.db.query<Omit<UploadedFile, 'covered'> & { covered: string }>(`${FILE} WHERE ${where}`, [
      id,
    ]);
    return row ? { ...row, covered: parseMultirange(row.covered) } : null;
  }
}
