import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { initOf } from '../media/index.js';
import { ObjectStorage } from '../storage/index.js';
import type { MadePart, MadeRendition } from './conformance.js';

const LOOKS_AT_ONCE = 16;

/**
 * What manifests say of the rates of rendition `r`, for a LATERAL join: `made` segments, whether the first is there
 * (`started`), and `peak` and `average` in bits a second, of what is there. The peak is that of RFC 8216, 4.1, where only the
 * last segment is shorter than a target duration: the highest of any segment of half a target duration or more, and
 * of the last two together where they are no longer than one and a half.
 */
export const RATES = `
  SELECT count(*) AS made, bool_or(number = 1) AS started, sum(byte_size) * 8.0 * r.timescale / sum(duration) AS average,
         greatest(max(byte_size * 8.0 * r.timescale / duration) FILTER (WHERE duration * 2 >= target),
                  max((byte_size + bytes_before) * 8.0 * r.timescale / (duration + before)) FILTER (WHERE (duration + before) * 2 <= 3 * target)) AS peak
  FROM (SELECT number, byte_size, duration, lag(byte_size) OVER (ORDER BY number) AS bytes_before, lag(duration) OVER (ORDER BY number) AS before,
               greatest(1, round(r.segment_duration::numeric / r.timescale)) * r.timescale AS target
        FROM segment WHERE video_id = r.video_id AND run = r.run AND rendition = r.name) each`;

/**
 * The name of rendition `r` in addresses: another one each time it is made anew, since its segments are kept for good by whoever
 * loaded them.
 */
export const ADDRESS_NAME = `r.name || CASE WHEN r.edition > 1 THEN 'v' || r.edition ELSE '' END`;

/** What a run has made: the rows, the bytes, and what the store says of each object. */
@Injectable()
export class MadeRenditions {
  constructor(
    private readonly db: Database,
    private readonly storage: ObjectStorage,
  ) {}

  /**
   * What is complete, or should be.
   * @param asked only this rung, that was asked for and is not listed yet, and the lowest, which all others go with
   * @throws when the store is away
   */
  async read(videoId: string, run: number, asked: string | null = null): Promise<MadeRendition[]> {
    const rows = await this.db.query<Omit<MadeRendition, 'init' | 'segments'> & { init: Buffer | null }>(
      `SELECT r.name, r.kind, r.timescale, r.segment_count AS "segmentCount", r.segment_duration::float8 AS "segmentDuration",
              r.total_duration::float8 AS "totalDuration", r.codecs, r.init,
              ceil(coalesce(s.peak, s.average))::float8 AS "peakBitsPerSecond", round(s.average)::float8 AS "averageBitsPerSecond"
       FROM rendition r CROSS JOIN LATERAL (${RATES}) s WHERE r.video_id = $1 AND r.run = $2
         AND CASE WHEN $3::text IS NULL THEN coalesce(r.on_demand, 'MADE') = 'MADE' ELSE r.name = $3 OR r.position = 0 END ORDER BY r.position`,
      [videoId, run, asked],
    );
    const parts = await this.db.query<Omit<MadePart, 'objectBytes'> & { rendition: string; key: string }>(
      `SELECT rendition, number, decode_time::float8 AS "decodeTime", duration::float8 AS duration,
              byte_offset::float8 AS "byteOffset", byte_size AS "byteSize", object_key AS key
       FROM segment WHERE video_id = $1 AND run = $2 AND rendition = ANY($3) ORDER BY number`,
      [videoId, run, rows.map(({ name }) => name)],
    );
    const sizes = await this.sizesOf(new Set(parts.map(({ key }) => key)));
    return rows.map(({ init, ...rendition }) => ({
      ...rendition,
      init: init && initOf(init),
      segments: parts
        .filter((part) => part.rendition === rendition.name)
        .map(({ key, ...part }) => ({ ...part, objectBytes: sizes.get(key) ?? null })),
    }));
  }

  /** A rendition as one file: its init segment, then all its segments. */
  async *bytesOf(videoId: string, run: number, rendition: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    const of = [videoId, run, rendition];
    const [row] = await this.db.query<{ init: Buffer }>(
      'SELECT init FROM rendition WHERE video_id = $1 AND run = $2 AND name = $3',
      of,
    );
    if (!row) return;
    yield row.init;
    const segments = await this.db.query<{ key: string; start: string; size: number }>(
      `SELECT object_key AS key, byte_offset AS start, byte_size AS size FROM segment
       WHERE video_id = $1 AND run = $2 AND rendition = $3 ORDER BY number`,
      of,
    );
    for (const { key, start, size } of segments) {
      const range = { start: Number(start), end: Number(start) + size };
      yield* await this.storage.read(key, range, signal);
    }
  }

  private async sizesOf(keys: ReadonlySet<string>): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    const left = keys.values();
    const look = async () => {
      for (const key of left) {
        const object = await this.storage.head(key);
        if (object) sizes.set(key, object.sizeBytes);
      }
    };
    await Promise.all(Array.from({ length: Math.min(LOOKS_AT_ONCE, keys.size) }, look));
    return sizes;
  }
}
