import { createHash, type Hash, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import { Database, type Tx } from '../../common/database/index.js';
import { Live } from '../../common/live/index.js';
import { traceUpload } from '../../common/tracing/index.js';
import { StoredObjects } from '../storage/index.js';
import { type ByteRange, parseMultirange } from './byte-ranges.js';
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

/** How an append ended. `reached`: the end of what is stored without a hole from where the append began. */
export interface Appended {
  readonly stop: Stop | 'MISMATCH' | 'FENCED' | 'SESSION_ENDED';
  readonly reached: number;
}

type AppendedTo = Pick<UploadSessionRow, 'id' | 'videoId' | 'sizeBytes' | 'covered'>;
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
  private readonly here = new Map<string, { bytes: IncomingBytes; done: Promise<unknown> }>();

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
   * Ends whoever writes at this position, in any process: what they have is settled first, if they still can. A writer at
   * another range goes on.
   */
  async evict(sessionId: string, position: number): Promise<void> {
    const rivals = await this.db.query<{ id: string }>(
      'SELECT id FROM upload_writer WHERE session_id = $1 AND span @> $2::int8',
      [sessionId, position],
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
    const writer: Writer = { id: randomUUID(), sessionId: session.id, completes };
    const end = length === null ? session.sizeBytes : Math.min(session.sizeBytes, offset + length);
    await this.db.query('INSERT INTO upload_writer (id, session_id, span) VALUES ($1, $2, $3::int8range)', [
      writer.id,
      session.id,
      // At its end too: who appends nothing is there all the same.
      `[${offset},${end}]`,
    ]);
    const unlisten = this.live.listen(evictionTopic(writer.id), () => bytes.stop());
    const done = checksum
      ? this.appendChecked(writer, offset, end, bytes, checksum)
      : this.appendPieces(writer, offset, end, bytes, parseMultirange(session.covered));
    this.here.set(writer.id, { bytes, done });
    try {
      return await done;
    } finally {
      unlisten();
      this.here.delete(writer.id);
      await this.db.query('DELETE FROM upload_writer WHERE id = $1', [writer.id]);
      this.live.tick(settledTopic(session.id));
    }
  }

  private async appendPieces(
    writer: Writer,
    offset: number,
    end: number,
    bytes: IncomingBytes,
    known: readonly ByteRange[],
  ): Promise<Appended> {
    let covered = known;
    let at = offset;
    while (at < end) {
      const there = covered.find((range) => range.start <= at && at < range.end);
      if (there) {
        const most = Math.min(there.end, end) - at;
        const dropped = await bytes.skip(most, SILENT_MS);
        at += dropped;
        if (dropped < most) return { stop: bytes.ended ?? 'CUT', reached: at };
        continue;
      }
      if (!(await bytes.any(SILENT_MS))) return { stop: bytes.ended ?? 'CUT', reached: at };
      const next = covered.find((range) => range.start > at);
      const piece = await this.store(writer, at, bytes, Math.min(end, next?.start ?? end) - at);
      const counted = await this.count(writer, [piece], false);
      if (typeof counted === 'string') return { stop: counted, reached: at };
      covered = counted;
      at = piece.range.end;
    }
    return { stop: 'END', reached: at };
  }

  /** Nothing counts before the end: then all of it, in one statement. */
  private async appendChecked(
    writer: Writer,
    offset: number,
    end: number,
    bytes: IncomingBytes,
    { algorithm, digest }: Checksum,
  ): Promise<Appended> {
    const hash = createHash(algorithm);
    const pieces: ledger.StoredChunk[] = [];
    let at = offset;
    while (at < end && (await bytes.any(SILENT_MS))) {
      const piece = await this.store(writer, at, bytes, end - at, hash);
      pieces.push(piece);
      at = piece.range.end;
    }
    const stop = at < end ? (bytes.ended ?? 'CUT') : hash.digest('hex') === digest ? 'END' : 'MISMATCH';
    if (stop !== 'END' || pieces.length === 0) {
      await this.db.tx((tx) =>
        this.objects.drop(
          tx,
          pieces.map(({ key }) => key),
        ),
      );
      return { stop, reached: offset };
    }
    const counted = await this.count(writer, pieces, true);
    return typeof counted === 'string' ? { stop: counted, reached: offset } : { stop, reached: at };
  }

  /** One object of what arrives next; there is at least a byte of it. */
  private async store(
    writer: Writer,
    at: number,
    bytes: IncomingBytes,
    most: number,
    hash?: Hash,
  ): Promise<ledger.StoredChunk> {
    const key = `appended/${writer.sessionId}/${writer.id}-${at}`;
    const piece = bytes.piece(Math.min(most, OBJECT_BYTES), SETTLE_MS);
    const body = hash ? hashed(piece, hash) : piece;
    const { sizeBytes, sha256 } = await this.objects.write(key, Readable.from(body, { objectMode: false }));
    return { range: { start: at, end: at + sizeBytes }, key, sha256 };
  }

  /** @returns what is covered then, or why it counts no more; what does not count is given up */
  private count(
    writer: Writer,
    pieces: readonly ledger.StoredChunk[],
    verified: boolean,
  ): Promise<ByteRange[] | 'FENCED' | 'SESSION_ENDED'> {
    return this.db.tx(async (tx) => {
      const result = await this.countIn(tx, writer, pieces, verified);
      if (typeof result === 'string')
        await this.objects.drop(
          tx,
          pieces.map(({ key }) => key),
        );
      else this.uploads.tickAfter(tx, writer.sessionId);
      return result;
    });
  }

  private async countIn(
    tx: Tx,
    { id, sessionId, completes }: Writer,
    pieces: readonly ledger.StoredChunk[],
    verified: boolean,
  ): Promise<ByteRange[] | 'FENCED' | 'SESSION_ENDED'> {
    // The fence is looked at under the session's lock, which whoever fences holds too.
    const [open] = await tx.query<{ state: string }>(
      'SELECT state FROM upload_session WHERE id = $1 FOR NO KEY UPDATE',
      [sessionId],
    );
    if (open?.state !== 'OPEN') return 'SESSION_ENDED';
    const [mine] = await tx.query('SELECT id FROM upload_writer WHERE id = $1', [id]);
    if (!mine) return 'FENCED';
    const result = await ledger.commit(tx, sessionId, pieces, verified);
    if (!result) return 'SESSION_ENDED';
    countCommitted(tx, 'append', result);
    if (completes) await this.uploads.completeIfWhole(tx, sessionId, null);
    return result.covered;
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
