import { Injectable } from '@nestjs/common';
import { Database, type Tx } from '../../common/database/index.js';
import { Live } from '../../common/live/index.js';
import type { FragmentedFile, Init, Still } from '../media/index.js';
import { StoredObjects } from '../storage/index.js';
import { videoTopic } from '../videos/index.js';
import type { PieceKind } from './plan.js';
import { PieceRefused } from './transcoding.errors.js';

/** The piece that something was made for. */
interface PieceOfRun {
  readonly id: string;
  readonly kind: PieceKind;
  readonly videoId: string;
  readonly run: number;
}

/** Segments of one rendition, in one object that is written and not yet kept. */
export interface MadeSegments {
  readonly rendition: string;
  readonly init: Init;
  readonly key: string;
  readonly sizeBytes: number;
  readonly segments: readonly MadeSegment[];
}

/** Times in ticks of the rendition's timescale, as the segment itself says them. */
export interface MadeSegment {
  readonly number: number;
  readonly byteOffset: number;
  readonly byteSize: number;
  readonly duration: number;
  readonly decodeTime: number;
  /** Of pictures: to the end of the first sample. */
  readonly keyBytes: number | null;
}

/** The segments of one file, as they will stand in an object that begins with the first of them: the init segment stands in the rendition's row, once for all pieces. */
export function madeSegments(
  rendition: string,
  { init, fragments }: FragmentedFile,
  key: string,
  firstNumber: number,
): MadeSegments & { readonly start: number } {
  const [first, last] = [fragments[0], fragments.at(-1)];
  if (!init || !first || !last) throw new PieceRefused(`${rendition} is empty`);
  return {
    ...{ rendition, init, key, start: first.offset, sizeBytes: last.offset + last.size - first.offset },
    segments: fragments.map((fragment, index) => ({
      number: firstNumber + index,
      byteOffset: fragment.offset - first.offset,
      byteSize: fragment.size,
      duration: fragment.duration,
      decodeTime: fragment.decodeTime,
      keyBytes: fragment.keyBytes,
    })),
  };
}

export interface MadeStill extends Still {
  readonly key: string;
  readonly sizeBytes: number;
}

/** The live topic that ticks when segments of the video are there. */
export const segmentTopic = (videoId: string): string => `segment:${videoId}`;

/** Where what an attempt made comes to count, or not: one result a segment, whoever comes first. */
@Injectable()
export class PieceResults {
  constructor(
    private readonly db: Database,
    private readonly live: Live,
    private readonly objects: StoredObjects,
  ) {}

  /**
   * One transaction: keeps the objects whose segments are new, gives up the others, and finishes the piece.
   *
   * @param isAll false: more of this piece follows
   * @returns false when the run is over: then everything is given up
   * @throws PieceRefused when an init segment is not that of the rendition's other pieces
   */
  async commit(work: PieceOfRun, made: readonly MadeSegments[], isAll: boolean): Promise<boolean> {
    return this.db.tx(async (tx) => {
      if (!(await this.isCurrent(tx, work))) return this.giveUp(tx, made);
      await this.fixInits(tx, work, made);
      // Who inserts the same segment at the same time is waited for, so what came back is what counts.
      const named = await this.insert(tx, work, made);
      await this.keep(
        tx,
        made.filter((each) => named.has(each.key)),
      );
      await this.giveUp(
        tx,
        made.filter((each) => !named.has(each.key)),
      );
      if (isAll) await this.finish(tx, work);
      tx.afterCommit(() => {
        this.live.tick(segmentTopic(work.videoId));
        this.live.tick(videoTopic(work.videoId));
      });
      return true;
    });
  }

  /** The numbers of those segments of a rendition that count already. */
  async segmentsOf(work: PieceOfRun, rendition: string): Promise<Set<number>> {
    const rows = await this.db.query<{ number: number }>(
      'SELECT number FROM segment WHERE video_id = $1 AND run = $2 AND rendition = $3',
      [work.videoId, work.run, rendition],
    );
    return new Set(rows.map(({ number }) => number));
  }

  /** A whole rendition that no piece makes, within the transaction that plans its run. */
  async adopt(tx: Tx, run: { videoId: string; run: number }, made: MadeSegments): Promise<void> {
    await tx.query(
      'UPDATE rendition SET copied = true, init = $4, codecs = $5 WHERE video_id = $1 AND run = $2 AND name = $3',
      [run.videoId, run.run, made.rendition, made.init.bytes, made.init.codecs],
    );
    await this.insert(tx, run, [made]);
    await this.keep(tx, [made]);
  }

  /** @returns the keys of the objects that hold a segment which was not there before */
  private async insert(
    tx: Tx,
    run: { videoId: string; run: number },
    made: readonly MadeSegments[],
  ): Promise<Set<string>> {
    const rows = made.flatMap(({ rendition, key, segments }) => segments.map((each) => ({ rendition, key, ...each })));
    const inserted = await tx.query<{ key: string }>(
      `INSERT INTO segment (video_id, run, rendition, number, object_key, byte_offset, byte_size, duration, decode_time, key_bytes)
       SELECT $1, $2, t.* FROM unnest($3::text[], $4::int[], $5::text[], $6::bigint[], $7::int[], $8::bigint[], $9::bigint[], $10::int[]) AS t
       ON CONFLICT DO NOTHING RETURNING object_key AS key`,
      [
        run.videoId,
        run.run,
        rows.map((row) => row.rendition),
        rows.map((row) => row.number),
        rows.map((row) => row.key),
        rows.map((row) => row.byteOffset),
        rows.map((row) => row.byteSize),
        rows.map((row) => row.duration),
        rows.map((row) => row.decodeTime),
        rows.map((row) => row.keyBytes),
      ],
    );
    return new Set(inserted.map((row) => row.key));
  }

  /** As `commit`, for pictures: all of them or none. */
  async commitStills(work: PieceOfRun, made: readonly MadeStill[]): Promise<boolean> {
    return this.db.tx(async (tx) => {
      if (!(await this.isCurrent(tx, work)) || !(await this.finish(tx, work))) return this.giveUp(tx, made);
      await tx.query(
        `INSERT INTO still (video_id, run, kind, number, at_ms, width, height, columns, tiles, interval_ms, object_key)
         SELECT $1, $2, kind, number, "atMs", width, height, columns, tiles, "intervalMs", key
         FROM json_to_recordset($3) AS t(kind text, number int, "atMs" int, width int, height int, columns int,
                                         tiles int, "intervalMs" int, key text)`,
        [work.videoId, work.run, JSON.stringify(made)],
      );
      await this.keep(tx, made);
      tx.afterCommit(() => this.live.tick(videoTopic(work.videoId)));
      return true;
    });
  }

  /**
   * The fence. Whoever ends the run changes the video's row, so it is locked against that until the commit; a weaker lock
   * (KEY SHARE) would let a run end in between.
   */
  private async isCurrent(tx: Tx, work: PieceOfRun): Promise<boolean> {
    const states = work.kind === 'RUNG' ? ['READY'] : ['PROCESSING', 'PLAYABLE'];
    const rows = await tx.query(
      `SELECT id FROM video WHERE id = $1 AND run = $2 AND deleted_at IS NULL AND state = ANY($3) FOR SHARE`,
      [work.videoId, work.run, states],
    );
    if (rows.length === 0 || work.kind !== 'RUNG') return rows.length === 1;
    // Whoever gives the rung up has locked the video, and so was before this statement, or comes after the commit.
    const asked = await tx.query(
      `SELECT r.name FROM piece p JOIN rendition r ON r.video_id = p.video_id AND r.run = p.run AND r.name = p.rendition
       WHERE p.id = $1 AND r.on_demand = 'ASKED'`,
      [work.id],
    );
    return asked.length === 1;
  }

  /** The first piece gives a rendition its init segment; every other must have the same. */
  private async fixInits(tx: Tx, work: PieceOfRun, made: readonly MadeSegments[]): Promise<void> {
    for (const { rendition, init } of made) {
      const [known] = await tx.query<{ same: boolean }>(
        `SELECT init = $4 AS same FROM rendition WHERE video_id = $1 AND run = $2 AND name = $3 AND init IS NOT NULL`,
        [work.videoId, work.run, rendition, init.bytes],
      );
      const [first] = known
        ? [known]
        : await tx.query<{ same: boolean }>(
            `UPDATE rendition SET init = coalesce(init, $4), codecs = coalesce(codecs, $5)
             WHERE video_id = $1 AND run = $2 AND name = $3 RETURNING init = $4 AS same`,
            [work.videoId, work.run, rendition, init.bytes, init.codecs],
          );
      if (!first?.same) throw new PieceRefused(`${rendition}: the init segment is not that of the other pieces`);
    }
  }

  private async finish(tx: Tx, work: PieceOfRun): Promise<boolean> {
    const rows = await tx.query(
      'UPDATE piece SET done_at = now(), progress = 1, fault = NULL WHERE id = $1 AND done_at IS NULL RETURNING id',
      [work.id],
    );
    return rows.length === 1;
  }

  private async keep(tx: Tx, made: readonly { key: string; sizeBytes: number }[]): Promise<void> {
    if (made.length === 0) return;
    const kept = await this.objects.keep(tx, made);
    if (kept.length < made.length) throw new Error('Objects of this attempt were collected before it ended.');
  }

  private async giveUp(tx: Tx, made: readonly { key: string }[]): Promise<false> {
    const keys = made.map((each) => each.key);
    await this.objects.drop(tx, keys);
    return false;
  }
}
