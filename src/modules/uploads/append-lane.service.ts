import { createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../../common/database/index.js';
import { Jobs } from '../../common/jobs/index.js';
import { traceUpload } from '../../common/tracing/index.js';
import { StoredObjects } from '../storage/index.js';
import { type ByteRange, parseMultirange } from './byte-ranges.js';
import { MAX_CHUNKS } from './chunk-size.js';
import type { IncomingBytes, Stop } from './incoming-bytes.js';
import { OBJECT_BYTES, settleAfterMs } from './settle-rule.js';
import type { Checksum } from './tus-protocol.js';
import * as ledger from './upload-ledger.js';
import { UploadWriters } from './upload-writers.service.js';
import { MergeChunks } from './uploads.jobs.js';
import { countCommitted } from './uploads.metrics.js';
import { RATE_WINDOW_SECONDS, type UploadSessionRow, UploadsService } from './uploads.service.js';

/** A body that brings nothing for so long is a dead link's. */
const SILENT_MS = 60_000;
/** Of the next object, in memory while an earlier one is on its way to S3. */
const AHEAD_BYTES = 1024 * 1024;
/** A session in more parts than this is cut by somebody who wants it so: each commit and the assembling read them all. */
const MAX_HOLES = 10_000;
/** More objects of one session are merged. */
const MERGE_AT = 1_000;
/** To count a session's chunks at each of its commits would hold its lock for long. */
const COUNT_EVERY = 50;
const SESSIONS_REMEMBERED = 10_000;

/** How an append ended. `reached`: the end of what it has settled, where it began if that is nothing or was refused. */
export interface Appended {
  readonly stop: Stop | 'MISMATCH' | 'FENCED' | 'SESSION_ENDED' | 'TOO_MANY' | 'BUSY';
  readonly reached: number;
}

type AppendedTo = Pick<UploadSessionRow, 'id' | 'ownerId' | 'videoId' | 'sizeBytes' | 'covered' | 'failureCode'>;
interface Append {
  readonly length: number | null;
  readonly checksum: Checksum | null;
  readonly completes: boolean;
}

interface Writer {
  readonly id: string;
  readonly sessionId: string;
  readonly completes: boolean;
}

/**
 * The append lane: the body of a request is settled piece by piece as immutable objects, so that whatever arrived when a
 * link is cut is kept and counted. docs/uploads-ledger.md
 */
@Injectable()
export class AppendLane {
  /** Replaced by tests, which have no days. */
  mergeAt = MERGE_AT;
  mergeDelayMs = RATE_WINDOW_SECONDS * 1000;
  maxChunks = MAX_CHUNKS;
  countEvery = COUNT_EVERY;

  /** Of each session, how many more commits of this process count no chunks. */
  private readonly uncounted = new Map<string, number>();

  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly objects: StoredObjects,
    private readonly uploads: UploadsService,
    private readonly writers: UploadWriters,
  ) {}

  /**
   * Writes what arrives at `offset`. Bytes that are covered already are read and dropped.
   *
   * @param length of the body, where the request tells it
   * @param checksum of the whole body: nothing of it counts unless it is right
   * @param completes whether the session is complete with its last byte
   */
  append(session: AppendedTo, offset: number, bytes: IncomingBytes, how: Append): Promise<Appended> {
    const attributes = { 'sluice.session.id': session.id, 'sluice.append.offset': offset };
    return traceUpload(session.videoId, 'append', attributes, async (span) => {
      const appended = await this.write(session, offset, bytes, how);
      span.set({ 'sluice.append.stop': appended.stop, 'sluice.append.reached': appended.reached });
      return appended;
    });
  }

  private async write(
    session: AppendedTo,
    offset: number,
    bytes: IncomingBytes,
    { length, checksum, completes }: Append,
  ): Promise<Appended> {
    const end = length === null ? session.sizeBytes : Math.min(session.sizeBytes, offset + length);
    const span = { start: offset, end: Math.max(end, offset + 1) };
    const appended = await this.writers.during(session, span, bytes, (id) =>
      this.appendAll({ id, sessionId: session.id, completes }, session, { start: offset, end }, bytes, checksum),
    );
    return typeof appended === 'string' ? { stop: appended, reached: offset } : appended;
  }

  /**
   * While one piece is settled the next is read already; they count in order. Of a checked body nothing counts before the
   * end: then all of it, in one statement.
   */
  private async appendAll(
    writer: Writer,
    session: AppendedTo,
    { start, end }: ByteRange,
    bytes: IncomingBytes,
    checksum: Checksum | null,
  ): Promise<Appended> {
    const hash = checksum && createHash(checksum.algorithm);
    const waiting: ledger.StoredChunk[] = [];
    let covered: readonly ByteRange[] = parseMultirange(session.covered);
    let at = start;
    /** Why nothing more counts, and why nothing more comes. */
    let refused: Appended['stop'] | undefined;
    let stopped: Stop | undefined;
    let failure: { error: unknown } | undefined;
    /** Never rejects. */
    let settling: Promise<void> | undefined;
    const settle = async (written: Promise<ledger.StoredChunk>, earlier: Promise<void> | undefined): Promise<void> => {
      try {
        const piece = await written;
        await earlier;
        if (refused || failure || checksum) {
          waiting.push(piece);
          return;
        }
        const counted = await this.count(writer, [piece], false);
        if (typeof counted === 'string') refused = counted;
        else covered = counted;
      } catch (error) {
        failure ??= { error };
      }
      if (refused || failure) bytes.stop();
    };
    const dueMs = (taken: number) => settleAfterMs(taken, this.writers.count);
    while (at < end && !refused && !failure) {
      if (!(await bytes.any(SILENT_MS))) {
        stopped = bytes.ended ?? 'CUT';
        break;
      }
      const there = covered.find((range) => range.start <= at && at < range.end);
      if (there) {
        // What is stored is read and dropped, a while at a time.
        const most = Math.min(there.end, end) - at;
        for await (const chunk of bytes.piece({ most, dueMs })) {
          hash?.update(chunk);
          at += chunk.length;
        }
        continue;
      }
      const next = covered.find((range) => range.start > at);
      const most = Math.min(Math.min(end, next?.start ?? end) - at, OBJECT_BYTES);
      const piece = bytes.piece({ most, dueMs, earlier: settling, ahead: AHEAD_BYTES });
      const { read, written } = this.store(writer, at, piece, hash);
      const settled = settle(written, settling);
      at += await read;
      await settling;
      settling = settled;
    }
    await settling;
    // A body of unknown length may end before the file does: that is its end, as good as any.
    let stop = refused ?? (stopped === 'END' ? undefined : stopped);
    if (!stop && !failure && hash && hash.digest('hex') !== checksum?.digest) stop = 'MISMATCH';
    if (stop || failure) await this.giveUp(waiting);
    if (failure) throw failure.error;
    if (stop) return { stop, reached: refused || checksum ? start : at };
    if (waiting.length > 0) {
      const counted = await this.count(writer, waiting, true);
      if (typeof counted === 'string') return { stop: counted, reached: start };
    }
    // The last byte may have come another way; after a wrong digest the client says when it is mended.
    if (writer.completes && at === session.sizeBytes && session.failureCode === null) {
      await this.writers.inTurn(writer.sessionId, (tx) => this.uploads.completeIfWhole(tx, writer.sessionId, null));
    }
    return { stop: 'END', reached: at };
  }

  private async giveUp(pieces: readonly ledger.StoredChunk[]): Promise<void> {
    if (pieces.length === 0) return;
    await this.db.tx((tx) =>
      this.objects.drop(
        tx,
        pieces.map(({ key }) => key),
      ),
    );
  }

  /**
   * One object of what arrives next; there is at least a byte of it.
   * @returns `read`: once its bytes were read, how many; `written`: once they are stored
   */
  private store(
    writer: Writer,
    at: number,
    piece: AsyncIterable<Buffer>,
    hash: Hash | null,
  ): { read: Promise<number>; written: Promise<ledger.StoredChunk> } {
    const key = `appended/${writer.sessionId}/${writer.id}-${at}`;
    let all: (bytes: number) => void = () => undefined;
    const read = new Promise<number>((resolve) => {
      all = resolve;
    });
    let taken = 0;
    const body = async function* () {
      for await (const chunk of piece) {
        hash?.update(chunk);
        taken += chunk.length;
        yield chunk;
      }
      all(taken);
    };
    const written = this.objects
      .write(key, () => Readable.from(body(), { objectMode: false }))
      .then(({ sizeBytes, sha256 }) => ({ range: { start: at, end: at + sizeBytes }, key, sha256 }))
      // What fails early reads no more.
      .finally(() => all(taken));
    return { read, written };
  }

  /** @returns what is covered then, or why it counts no more; what does not count is given up at once */
  private count(
    writer: Writer,
    pieces: readonly ledger.StoredChunk[],
    verified: boolean,
  ): Promise<ByteRange[] | 'FENCED' | 'SESSION_ENDED' | 'TOO_MANY'> {
    return this.writers.inTurn(writer.sessionId, async (tx) => {
      const result = await this.countIn(tx, writer, pieces, verified);
      const counted = new Set(typeof result === 'string' ? [] : result.contributing);
      const rest = pieces.flatMap(({ key }) => (counted.has(key) ? [] : [key]));
      await this.objects.drop(tx, rest);
      if (typeof result === 'string') return result;
      this.uploads.tickAfter(tx, writer.sessionId);
      return result.covered;
    });
  }

  private async countIn(
    tx: Tx,
    { id, sessionId, completes }: Writer,
    pieces: readonly ledger.StoredChunk[],
    verified: boolean,
  ): Promise<ledger.Counted | 'FENCED' | 'SESSION_ENDED' | 'TOO_MANY'> {
    // The fence is looked at under the session's lock, which whoever fences holds too.
    const [open] = await tx.query<{ state: string; holes: number }>(
      `SELECT state, (SELECT count(*)::int FROM unnest(covered)) AS holes
       FROM upload_session WHERE id = $1 FOR NO KEY UPDATE`,
      [sessionId],
    );
    if (open?.state !== 'OPEN') return 'SESSION_ENDED';
    if (!(await this.writers.isIn(tx, id))) return 'FENCED';
    const chunks = await this.chunksNowAndThen(tx, sessionId);
    if (open.holes > MAX_HOLES || chunks >= this.maxChunks) return 'TOO_MANY';
    const result = await ledger.commit(tx, sessionId, pieces, verified);
    if (!result) return 'SESSION_ENDED';
    countCommitted(tx, 'append', result);
    if (result.reached) await this.uploads.lookAhead(tx, sessionId);
    if (chunks >= this.mergeAt) {
      // Once, until what is merged is something else, or there are many more.
      const [{ merged } = { merged: '' }] = await tx.query<{ merged: string }>(
        `SELECT sum(hashtext(object_key))::text AS merged FROM upload_chunk
         WHERE session_id = $1 AND starts_with(object_key, 'merged/')`,
        [sessionId],
      );
      const dedupeKey = `merge:${sessionId}:${merged}:${Math.floor((2 * chunks) / this.mergeAt)}`;
      await this.jobs.enqueue(tx, MergeChunks, { sessionId }, { dedupeKey, delayMs: this.mergeDelayMs });
    }
    if (completes) await this.uploads.completeIfWhole(tx, sessionId, null);
    return result;
  }

  /** 0 where they are not counted this time. Once there are too many, they are counted each time. */
  private async chunksNowAndThen(tx: Tx, sessionId: string): Promise<number> {
    const left = (this.uncounted.get(sessionId) ?? 1) - 1;
    this.uncounted.delete(sessionId);
    if (left > 0) {
      this.uncounted.set(sessionId, left);
      return 0;
    }
    const [{ chunks } = { chunks: 0 }] = await tx.query<{ chunks: number }>(
      `SELECT count(*)::int AS chunks FROM (SELECT FROM upload_chunk WHERE session_id = $1 LIMIT $2) c`,
      [sessionId, this.maxChunks],
    );
    if (chunks >= this.maxChunks) return chunks;
    this.uncounted.set(sessionId, this.countEvery);
    // The one that was asked for longest ago, so that no more are remembered than this.
    const [oldest] = this.uncounted.keys();
    if (this.uncounted.size > SESSIONS_REMEMBERED && oldest !== undefined) this.uncounted.delete(oldest);
    return chunks;
  }
}

/** Where the file has its first hole. */
export function prefixOf(covered: string): number {
  const [first] = parseMultirange(covered);
  return first?.start === 0 ? first.end : 0;
}
