import { createHash, type Hash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { Database, type Tx } from '../../common/database/index.js';
import { Live } from '../../common/live/index.js';
import { traceUpload } from '../../common/tracing/index.js';
import { StoredObjects } from '../storage/index.js';
import { type ByteRange, formatRange, parseMultirange } from './byte-ranges.js';
import { MAX_CHUNKS } from './chunk-size.js';
import type { IncomingBytes, Stop } from './incoming-bytes.js';
import type { Checksum } from './tus-protocol.js';
import * as ledger from './upload-ledger.js';
import { countCommitted } from './uploads.metrics.js';
import { type UploadSessionRow, UploadsService } from './uploads.service.js';

/** An object of the store: what a crash of this process may cost at most, and what S3 has in memory meanwhile. */
const OBJECT_BYTES = 8 * 1024 * 1024;
/** A slow link's bytes are settled as often. */
const SETTLE_MS = 10_000;
/** A body that brings nothing for so long is a dead link's. */
const SILENT_MS = 60_000;
/** For an evicted writer to settle what it has; then it is fenced off, alive or not. */
const EVICT_MS = 2_000;
const LOOK_MS = 250;
/** In this process: each may have an object in memory on its way to S3. */
const AT_ONCE = 256;
/** Nobody has the whole process. */
const AT_ONCE_OF_USER = 64;
const AT_ONCE_OF_SESSION = 16;
/** A session in more parts than this is cut by somebody who wants it so: each commit and the assembling read them all. */
const MAX_HOLES = 10_000;

/** How an append ended. `reached`: the end of what is stored without a hole from where the append began. */
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
export class AppendLane implements BeforeApplicationShutdown {
  private readonly here = new Map<string, { ownerId: string; bytes: IncomingBytes; done: Promise<unknown> }>();

  constructor(
    private readonly db: Database,
    private readonly live: Live,
    private readonly objects: StoredObjects,
    private readonly uploads: UploadsService,
  ) {}

  /** What has arrived is settled; clients go on at another process. */
  async beforeApplicationShutdown(): Promise<void> {
    const writers = [...this.here.values()];
    for (const { bytes } of writers) bytes.stop();
    await Promise.allSettled(writers.map(({ done }) => done));
  }

  /**
   * Ends whoever writes within this range, in any process: what they have is settled first, if they still can. Writers at
   * other ranges go on.
   */
  async evict(sessionId: string, range: ByteRange): Promise<void> {
    const rivals = await this.db.query<{ id: string }>(
      'SELECT id FROM upload_writer WHERE session_id = $1 AND span && $2::int8range',
      [sessionId, formatRange(range)],
    );
    if (rivals.length === 0) return;
    const ids = rivals.map(({ id }) => id);
    for (const id of ids) {
      this.here.get(id)?.bytes.stop();
      this.live.tick(evictionTopic(id));
    }
    for (const until = performance.now() + EVICT_MS; performance.now() < until; ) {
      const gone = this.live.waitFor(settledTopic(sessionId), LOOK_MS);
      const left = await this.db.query('SELECT id FROM upload_writer WHERE id = ANY($1::uuid[])', [ids]);
      if (left.length === 0) return;
      await gone;
    }
    // In the order of the ledger's own statements: after this, nothing that these writers settle counts.
    await this.db.tx(async (tx) => {
      await tx.query('SELECT id FROM upload_session WHERE id = $1 FOR NO KEY UPDATE', [sessionId]);
      await tx.query('DELETE FROM upload_writer WHERE id = ANY($1::uuid[])', [ids]);
    });
  }

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
    const ofUser = [...this.here.values()].filter(({ ownerId }) => ownerId === session.ownerId).length;
    if (this.here.size >= AT_ONCE || ofUser >= AT_ONCE_OF_USER) return { stop: 'BUSY', reached: offset };
    const writer: Writer = { id: randomUUID(), sessionId: session.id, completes };
    const end = length === null ? session.sizeBytes : Math.min(session.sizeBytes, offset + length);
    const unlisten = this.live.listen(evictionTopic(writer.id), () => bytes.stop());
    const done = this.entered(writer, { start: offset, end: Math.max(end, offset + 1) }).then((entered) =>
      entered
        ? this.appendAll(writer, session, { start: offset, end }, bytes, checksum)
        : { stop: 'FENCED' as const, reached: offset },
    );
    this.here.set(writer.id, { ownerId: session.ownerId, bytes, done });
    try {
      return await done;
    } finally {
      unlisten();
      this.here.delete(writer.id);
      await this.db.query('DELETE FROM upload_writer WHERE id = $1', [writer.id]);
      this.live.tick(settledTopic(session.id));
    }
  }

  /** Of several who come to one place at once, one gets it: nobody can have the same bytes stored many times. */
  private entered(writer: Writer, span: ByteRange): Promise<boolean> {
    return this.db.tx(async (tx) => {
      await tx.query('SELECT id FROM upload_session WHERE id = $1 FOR NO KEY UPDATE', [writer.sessionId]);
      const rows = await tx.query(
        `INSERT INTO upload_writer (id, session_id, span) SELECT $1, $2::uuid, $3::int8range
         WHERE NOT EXISTS (SELECT FROM upload_writer WHERE session_id = $2::uuid AND span && $3::int8range)
           AND (SELECT count(*) FROM upload_writer WHERE session_id = $2::uuid) < $4 RETURNING id`,
        [writer.id, writer.sessionId, formatRange(span), AT_ONCE_OF_SESSION],
      );
      return rows.length === 1;
    });
  }

  /** Of a checked body nothing counts before the end: then all of it, in one statement. */
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
    const stopped = async (stop: Appended['stop']): Promise<Appended> => {
      await this.giveUp(waiting);
      return { stop, reached: checksum ? start : at };
    };
    try {
      while (at < end) {
        if (!(await bytes.any(SILENT_MS))) return await stopped(bytes.ended ?? 'CUT');
        const there = covered.find((range) => range.start <= at && at < range.end);
        if (there) {
          // What is stored is read and dropped, a while at a time.
          for await (const chunk of bytes.piece(Math.min(there.end, end) - at, SETTLE_MS)) {
            hash?.update(chunk);
            at += chunk.length;
          }
          continue;
        }
        const next = covered.find((range) => range.start > at);
        const piece = await this.store(writer, at, bytes, Math.min(end, next?.start ?? end) - at, hash);
        if (checksum) waiting.push(piece);
        else {
          const counted = await this.count(writer, [piece], false);
          if (typeof counted === 'string') return await stopped(counted);
          covered = counted;
        }
        at = piece.range.end;
      }
    } catch (error) {
      await this.giveUp(waiting);
      throw error;
    }
    if (hash && hash.digest('hex') !== checksum?.digest) return stopped('MISMATCH');
    if (waiting.length > 0) {
      const counted = await this.count(writer, waiting, true);
      if (typeof counted === 'string') return { stop: counted, reached: start };
    }
    // The last byte may have come another way; after a wrong digest the client says when it is mended.
    if (writer.completes && at === session.sizeBytes && session.failureCode === null) {
      await this.db.tx((tx) => this.uploads.completeIfWhole(tx, writer.sessionId, null));
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

  /** One object of what arrives next; there is at least a byte of it. */
  private async store(
    writer: Writer,
    at: number,
    bytes: IncomingBytes,
    most: number,
    hash: Hash | null,
  ): Promise<ledger.StoredChunk> {
    const key = `appended/${writer.sessionId}/${writer.id}-${at}`;
    const piece = bytes.piece(Math.min(most, OBJECT_BYTES), SETTLE_MS);
    const body = hash ? hashed(piece, hash) : piece;
    const { sizeBytes, sha256 } = await this.objects.write(key, Readable.from(body, { objectMode: false }));
    return { range: { start: at, end: at + sizeBytes }, key, sha256 };
  }

  /** @returns what is covered then, or why it counts no more; what does not count is given up at once */
  private count(
    writer: Writer,
    pieces: readonly ledger.StoredChunk[],
    verified: boolean,
  ): Promise<ByteRange[] | 'FENCED' | 'SESSION_ENDED' | 'TOO_MANY'> {
    return this.db.tx(async (tx) => {
      const result = await this.countIn(tx, writer, pieces, verified);
      const counted = new Set(typeof result === 'string' ? [] : result.contributing);
      const rest = pieces.flatMap(({ key }) => (counted.has(key) ? [] : [key]));
      if (rest.length > 0) await this.objects.drop(tx, rest);
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
    const [mine] = await tx.query('SELECT id FROM upload_writer WHERE id = $1', [id]);
    if (!mine) return 'FENCED';
    const [{ chunks } = { chunks: 0 }] = await tx.query<{ chunks: number }>(
      'SELECT count(*)::int AS chunks FROM (SELECT FROM upload_chunk WHERE session_id = $1 LIMIT $2) c',
      [sessionId, MAX_CHUNKS],
    );
    if (open.holes > MAX_HOLES || chunks >= MAX_CHUNKS) return 'TOO_MANY';
    const result = await ledger.commit(tx, sessionId, pieces, verified);
    if (!result) return 'SESSION_ENDED';
    countCommitted(tx, 'append', result);
    if (completes) await this.uploads.completeIfWhole(tx, sessionId, null);
    return result;
  }
}

const evictionTopic = (writerId: string): string => `writer:${writerId}`;
const settledTopic = (sessionId: string): string => `writers:${sessionId}`;

async function* hashed(bytes: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    hash.update(chunk);
    yield chunk;
  }
}

/** Where the file has its first hole. */
export function prefixOf(covered: string): number {
  const [first] = parseMultirange(covered);
  return first?.start === 0 ? first.end : 0;
}
