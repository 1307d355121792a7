import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { type Cache, Caches, RECENT_MS, SHARED_MS } from '../../common/cache/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database } from '../../common/database/index.js';
import { ObjectStorage } from '../storage/index.js';
import { ADDRESS_NAME, RATES } from '../transcoding/index.js';
import { HotSegments } from './hot-segments.js';
import type { MediaResource } from './media-resource.js';
import type { Track } from './presentation.js';
import type { StoryboardSheet } from './storyboard.js';

/** Bytes that never change, to be served whole or in part. */
export interface MediaBytes {
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Strong, with its quotes. */
  readonly etag: string;
  /** What to save it as; null: it is not for saving. */
  readonly fileName: string | null;
  /** Of a rung that might as well not be there: it was asked for, or is given up when nobody watches. */
  readonly isOnDemand: boolean;
  /** A half-open range of them. Null: they were given up since. */
  open(start: number, end: number, gone: () => AbortSignal): Promise<OpenBytes | null>;
}

/** Where bytes come from: memory, which is given back; a part of a file, which the caller closes; or the store's stream. */
export type OpenBytes =
  | { readonly from: 'memory'; readonly bytes: Buffer; giveBack?(): void }
  | { readonly from: 'file'; readonly file: number; readonly start: number; readonly end: number }
  | { readonly from: 'stream'; readonly stream: Readable };

/** In the plan, and not made yet. */
export const PLANNED = Symbol('planned');
/** In the plan, and not made before somebody asks for it; or asked for, and nothing of it was made yet. */
export const ABSENT = Symbol('absent');

const MADE_KEPT = 10_000;
/** A plan of hours lists thousands of key frames. */
const PLANS_KEPT = 200;

interface Plan {
  readonly run: number;
  readonly tracks: readonly Track[];
}

type Timed = Extract<MediaResource, { kind: 'segment' | 'init' }>;

/** Reads what transcoding has written down: renditions, their segments, stills. */
@Injectable()
export class MediaLibrary {
  /** What is made of a run stays as it is for as long as it is there, so it is asked for once; whether it may be seen is not decided here. */
  private readonly made = new Map<string, MediaBytes>();
  private readonly hot = new HotSegments();
  /** Of the run that a video has. */
  private readonly plans: Cache<Plan>;

  constructor(
    private readonly db: Database,
    private readonly storage: ObjectStorage,
    @Inject(CONFIG) private readonly config: Config,
    caches: Caches,
  ) {
    this.plans = caches.of({
      ...{ name: 'plans', topic: 'video', ttlMs: RECENT_MS, max: PLANS_KEPT, shared: { version: 1, ttlMs: SHARED_MS } },
      load: async (ids) => new Map(await Promise.all(ids.map(async (id) => [id, await this.plan(id)] as const))),
    });
  }

  /** The same as it was a moment ago. */
  async recentTracks(videoId: string, run: number): Promise<readonly Track[]> {
    const plan = await this.plans.get(videoId);
    // Whoever asks has just heard of another run.
    return plan?.run === run ? plan.tracks : this.tracks(videoId, run);
  }

  private async plan(videoId: string): Promise<Plan> {
    const [video] = await this.db.query<{ run: number }>('SELECT run FROM video WHERE id = $1', [videoId]);
    const run = video?.run ?? 0;
    return { run, tracks: await this.tracks(videoId, run) };
  }

  /** All planned renditions of a run, the lowest first. What is made on demand begins for players when it is there as a whole. */
  async tracks(videoId: string, run: number): Promise<Track[]> {
    const rows = await this.db.query<TrackRow>(
      `SELECT r.name, ${ADDRESS_NAME} AS address, r.kind, r.width, r.height, r.frame_rate_num AS num, r.frame_rate_den AS den, r.timescale, r.codecs,
              r.max_bits_per_second AS max, r.segment_count AS count, r.segment_duration AS segment, r.total_duration AS total,
              coalesce(s.started AND coalesce(r.on_demand, 'MADE') = 'MADE', false) AS started, s.made = r.segment_count AS complete,
              ceil(coalesce(s.peak, s.average))::float8 AS peak, round(s.average)::float8 AS average,
              CASE WHEN r.position = 0 AND s.made = r.segment_count THEN (
                SELECT array_agg(key_bytes ORDER BY number) FROM segment
                WHERE video_id = r.video_id AND run = r.run AND rendition = r.name HAVING count(key_bytes) = count(*)) END AS keys
       FROM rendition r CROSS JOIN LATERAL (${RATES}) s
       WHERE r.video_id = $1 AND r.run = $2 AND r.on_demand IS DISTINCT FROM 'FAILED' ORDER BY r.position`,
      [videoId, run],
    );
    return rows.map((row) => ({
      name: row.name,
      address: row.address,
      kind: row.kind,
      width: row.width,
      height: row.height,
      frameRate: row.num && row.den ? { num: row.num, den: row.den } : null,
      timescale: row.timescale,
      maxBitsPerSecond: row.max,
      segmentCount: row.count,
      segmentDuration: Number(row.segment),
      totalDuration: Number(row.total),
      codecs: row.codecs,
      started: row.started,
      measured: row.complete ? { peakBitsPerSecond: row.peak, averageBitsPerSecond: row.average } : null,
      keyBytes: row.keys,
    }));
  }

  async storyboard(videoId: string, run: number): Promise<StoryboardSheet[]> {
    return this.db.query<StoryboardSheet>(
      `SELECT number, at_ms AS "atMs", width, height, columns, tiles, interval_ms AS "intervalMs"
       FROM still WHERE video_id = $1 AND run = $2 AND kind = 'STORYBOARD' ORDER BY number`,
      [videoId, run],
    );
  }

  /** Null when it is not in the plan. */
  async timed(
    videoId: string,
    { run, rendition, ...part }: Timed,
  ): Promise<MediaBytes | typeof PLANNED | typeof ABSENT | null> {
    const number = part.kind === 'segment' ? part.number : null;
    const key = `${videoId}/${run}/${rendition}/${number}`;
    const known = this.made.get(key);
    if (known) return known;
    const found = await this.readTimed(videoId, run, rendition, number);
    if (found !== null && found !== PLANNED && found !== ABSENT) {
      const open: MediaBytes['open'] = (start, end, gone) =>
        found.open(start, end, gone).catch(async (error: unknown) => {
          this.made.delete(key);
          const now = await this.readTimed(videoId, run, rendition, number);
          if (now === null || now === ABSENT) return null;
          throw error;
        });
      this.made.set(key, { ...found, open });
      const [oldest] = this.made.keys();
      if (oldest !== undefined && this.made.size > MADE_KEPT) this.made.delete(oldest);
    }
    return found;
  }

  private async readTimed(
    videoId: string,
    run: number,
    rendition: string,
    number: number | null,
  ): Promise<MediaBytes | typeof PLANNED | typeof ABSENT | null> {
    const [row] = await this.db.query<{
      kind: Track['kind'];
      planned: boolean;
      onDemand: string | null;
      hasInit: boolean;
      isOnDemand: boolean | null;
      init: Buffer | null;
      key: string | null;
      offset: string;
      size: number;
    }>(
      `SELECT r.kind, $4::int IS NULL OR $4 <= r.segment_count AS planned, r.on_demand AS "onDemand", r.init IS NOT NULL AS "hasInit",
              r.on_demand IS NOT NULL OR (r.position > 0 AND NOT r.copied AND least(r.width, r.height) > $5) AS "isOnDemand", CASE WHEN $4 IS NULL THEN r.init END AS init,
              s.object_key AS key, s.byte_offset AS offset, s.byte_size AS size
       FROM rendition r LEFT JOIN segment s ON s.video_id = r.video_id AND s.run = r.run AND s.rendition = r.name AND s.number = $4
       WHERE r.video_id = $1 AND r.run = $2 AND ${ADDRESS_NAME} = $3 AND r.on_demand IS DISTINCT FROM 'FAILED'`,
      [videoId, run, rendition, number, this.config.onDemandAfterDays === 0 ? null : this.config.onDemandKeep],
    );
    if (!row?.planned) return null;
    // Whoever were held for what waits behind all other work would be so again and again.
    if (row.onDemand === 'ABSENT' || (row.onDemand === 'ASKED' && !row.hasInit)) return ABSENT;
    const contentType = row.kind === 'AUDIO' ? 'audio/mp4' : 'video/mp4';
    const isOnDemand = row.isOnDemand ?? false;
    if (row.init) return { ...this.inMemory(row.init, contentType), isOnDemand };
    if (row.key === null) return PLANNED;
    return { ...this.stored(row.key, Number(row.offset), row.size, contentType), isOnDemand };
  }

  async still(
    videoId: string,
    { run, still, number }: Extract<MediaResource, { kind: 'still' }>,
  ): Promise<MediaBytes | null> {
    const [row] = await this.db.query<{ key: string }>(
      'SELECT object_key AS key FROM still WHERE video_id = $1 AND run = $2 AND kind = $3 AND number = $4',
      [videoId, run, still, number],
    );
    const object = row && (await this.storage.head(row.key));
    return object ? this.stored(row.key, 0, object.sizeBytes, 'image/jpeg') : null;
  }

  /** Null when there is none, or its owner does not allow it. */
  async download(videoId: string, run: number): Promise<MediaBytes | null> {
    const [row] = await this.db.query<{ key: string; size: string; title: string }>(
      `SELECT d.object_key AS key, d.size_bytes AS size, v.title FROM download d JOIN video v ON v.id = d.video_id
       WHERE d.video_id = $1 AND d.run = $2 AND v.downloadable`,
      [videoId, run],
    );
    return row ? { ...this.stored(row.key, 0, Number(row.size), 'video/mp4'), fileName: `${row.title}.mp4` } : null;
  }

  private stored(key: string, offset: number, sizeBytes: number, contentType: string): MediaBytes {
    const etag = etagOf(`${key}:${offset}:${sizeBytes}`);
    const load = async () => {
      const bytes = Buffer.allocUnsafeSlow(sizeBytes);
      let read = 0;
      for await (const chunk of await this.storage.read(key, { start: offset, end: offset + sizeBytes })) {
        read += (chunk as Buffer).copy(bytes, read);
      }
      if (read < sizeBytes) throw new Error(`${sizeBytes - read} bytes of ${sizeBytes} are missing`);
      return bytes;
    };
    let askedAt: number | undefined;
    return {
      contentType,
      sizeBytes,
      etag,
      fileName: null,
      isOnDemand: false,
      open: async (start, end, gone) => {
        const before = askedAt;
        askedAt = performance.now();
        const lent = await this.hot.borrow(etag, sizeBytes, before, load);
        if (lent) return { from: 'memory', bytes: lent.bytes.subarray(start, end), giveBack: lent.giveBack };
        const file = await this.storage.openFile(key);
        if (file !== null) return { from: 'file', file, start: offset + start, end: offset + end };
        const range = { start: offset + start, end: offset + end };
        return { from: 'stream', stream: await this.storage.read(key, range, gone()) };
      },
    };
  }

  private inMemory(bytes: Buffer, contentType: string): MediaBytes {
    return {
      contentType,
      sizeBytes: bytes.length,
      etag: etagOf(bytes),
      fileName: null,
      isOnDemand: false,
      open: async (start, end) => ({ from: 'memory', bytes: bytes.subarray(start, end) }),
    };
  }
}

interface TrackRow {
  name: string;
  address: string;
  kind: Track['kind'];
  width: number | null;
  height: number | null;
  num: number | null;
  den: number | null;
  timescale: number;
  codecs: string | null;
  max: number;
  count: number;
  segment: string;
  total: string;
  started: boolean;
  complete: boolean;
  peak: number;
  average: number;
  keys: number[] | null;
}

/** Objects are immutable, so where bytes lie says which bytes they are. The key itself is nobody's business. */
function etagOf(identity: string | Buffer): string {
  return `"${createHash('sha256').update(identity).digest('base64url').slice(0, 22)}"`;
}
