import { Inject, Injectable, Logger } from '@nestjs/common';
import type { Actor } from '../../common/access/index.js';
import { type Cache, Caches, RECENT_MS, SHARED_MS } from '../../common/cache/index.js';
import { CONFIG, type Config } from '../../common/config/index.js';
import { Database } from '../../common/database/index.js';
import { isUuid } from '../../common/graphql/index.js';
import { Recent } from '../../common/recent/index.js';
import type { ChannelRole } from '../channels/index.js';
import { canWatch, type VideoRow, VideosService } from '../videos/index.js';
import { downloadPath, type StillKind, stillPath } from './media-resource.js';
import { expiryFor, type PlaybackGrant, readToken, signToken } from './playback-token.js';
import { listed, type Start } from './presentation.js';

/** Which part of a video a good token opens. */
export interface OpenVideo {
  /** The only run whose renditions are served. */
  readonly run: number;
  readonly durationMs: number | null;
}

interface Access extends OpenVideo {
  readonly epoch: number;
  readonly now: number;
  readonly readAt: number;
}

/** What of a video there is to hand out addresses for. */
export interface Watchable {
  readonly run: number;
  readonly tracks: readonly Start[];
  readonly hasDownload: boolean;
  readonly stills: readonly { kind: StillKind; number: number; atMs: number; width: number; height: number }[];
}

const TOKENS_KEPT = 10_000;
/** That a video is watched is written down to the hour. */
const WATCHED_LIFE_MS = 10 * 60_000;

@Injectable()
export class PlaybackService {
  private readonly logger = new Logger(PlaybackService.name);
  private readonly tokens = new Map<string, string>();
  private readonly access: Cache<Access>;
  private readonly recent: Cache<Watchable>;
  private readonly watched = new Recent(WATCHED_LIFE_MS, (videoId) => this.videos.noteWatched(videoId));

  constructor(
    private readonly db: Database,
    private readonly videos: VideosService,
    @Inject(CONFIG) private readonly config: Config,
    caches: Caches,
  ) {
    // Closing a video takes effect within this time, also where nobody heard of it.
    this.access = caches.of({
      ...{ name: 'access', topic: 'video', ttlMs: RECENT_MS, max: 10_000 },
      load: (ids) => this.readAccess(ids),
    });
    this.recent = caches.of({
      ...{ name: 'watchable', topic: 'video', ttlMs: RECENT_MS, max: 10_000, shared: { version: 1, ttlMs: SHARED_MS } },
      load: (ids) => this.watchable(ids),
    });
  }

  /** Null for every reason why not, and for none in particular. */
  async open(token: string, videoId: string): Promise<OpenVideo | null> {
    if (!isUuid(videoId)) return null;
    // The signature first: nobody without one makes us ask the database.
    const grant = readToken(this.config.playbackSecret, videoId, token);
    const access = grant && (await this.access.get(videoId));
    if (!access || access.epoch !== grant.epoch) return null;
    const now = access.now + (performance.now() - access.readAt) / 1000;
    return now < grant.expiresAt ? access : null;
  }

  /** Somebody loads it to play it. Nobody waits until that is written down. */
  noteWatched(videoId: string): void {
    this.watched.get(videoId).catch((error: Error) => this.logger.debug(`not noted as watched: ${error.message}`));
  }

  /** Videos of which something may be there to see. */
  async watchable(videoIds: readonly string[]): Promise<Map<string, Watchable>> {
    const rows = await this.db.query<{ id: string } & Watchable>(
      `SELECT v.id, v.run,
         (SELECT coalesce(json_agg(json_build_object('kind', r.kind, 'codecs', r.codecs, 'started', EXISTS (
                   SELECT FROM segment s WHERE s.video_id = r.video_id AND s.run = r.run AND s.rendition = r.name AND s.number = 1
                 )) ORDER BY r.position), '[]')
          FROM rendition r WHERE r.video_id = v.id AND r.run = v.run) AS tracks,
         (SELECT coalesce(json_agg(json_build_object('kind', kind, 'number', number, 'atMs', at_ms, 'width', width, 'height', height)
                          ORDER BY at_ms, number), '[]')
          FROM still WHERE video_id = v.id AND still.run = v.run) AS stills,
         v.downloadable AND EXISTS (SELECT FROM download d WHERE d.video_id = v.id AND d.run = v.run) AS "hasDownload"
       FROM video v WHERE v.id = ANY($1::uuid[]) AND v.deleted_at IS NULL AND v.state NOT IN ('FAILED', 'BLOCKED')`,
      [videoIds],
    );
    return new Map(rows.map((row) => [row.id, row]));
  }

  /** The same as it was a moment ago, for whoever cannot change it. */
  recentlyWatchable(videoIds: readonly string[]): Promise<Map<string, Watchable>> {
    return this.recent.getMany(videoIds);
  }

  /**
   * Null when the actor may not watch, or there is nothing to see.
   *
   * The token belongs to the epoch of the row that the decision was made on: one that was closed in between stays closed.
   */
  addresses(video: VideoRow, actor: Actor | null, role: ChannelRole | null, watchable: Watchable | null) {
    if (!watchable || !canWatch(video, actor, role, video.readAt)) return null;
    const expiresAt = expiryFor(video.readAt.getTime() / 1000, this.config.playbackSeconds);
    const token = this.tokenOf(video.id, { epoch: video.accessEpoch, expiresAt });
    const address = (path: string) => `${this.config.publicUrl}/media/${token}/${video.id}/${path}`;
    const { run, stills, tracks, hasDownload } = watchable;
    const addressOf = (kind: StillKind, number: number) => address(stillPath(run, kind, number));
    // Each is made for clients that select it: a list mostly wants the poster alone.
    return {
      get posterUrl() {
        const poster = stills.find(({ kind }) => kind === 'POSTER');
        return poster ? addressOf('POSTER', poster.number) : null;
      },
      get thumbnails() {
        return stills
          .filter(({ kind }) => kind === 'THUMBNAIL')
          .map(({ number, ...still }) => ({ ...still, url: addressOf('THUMBNAIL', number) }));
      },
      get storyboardUrl() {
        return stills.some(({ kind }) => kind === 'STORYBOARD') ? address(`r${run}/storyboard.vtt`) : null;
      },
      get playback() {
        if (!listed(tracks)) return null;
        return {
          hlsUrl: address('master.m3u8'),
          dashUrl: address('manifest.mpd'),
          plannedDashUrl: address('planned.mpd'),
          mp4Url: hasDownload ? address(downloadPath(run)) : null,
          posterUrl: this.posterUrl,
          expiresAt: new Date(expiresAt * 1000),
        };
      },
    };
  }

  /** A video's token stays the same for an hour, so it is signed once. */
  private tokenOf(videoId: string, grant: PlaybackGrant): string {
    const key = `${videoId}.${grant.epoch}.${grant.expiresAt}`;
    let token = this.tokens.get(key);
    if (!token) {
      token = signToken(this.config.playbackSecret, videoId, grant);
      this.tokens.set(key, token);
      const [oldest] = this.tokens.keys();
      if (oldest !== undefined && this.tokens.size > TOKENS_KEPT) this.tokens.delete(oldest);
    }
    return token;
  }

  private async readAccess(videoIds: readonly string[]): Promise<Map<string, Access>> {
    const readAt = performance.now();
    const rows = await this.db.query<Omit<Access, 'readAt'> & { id: string }>(
      `SELECT id, run, duration_ms AS "durationMs", access_epoch AS epoch, extract(epoch FROM now())::float8 AS now
       FROM video WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND state NOT IN ('FAILED', 'BLOCKED')`,
      [videoIds],
    );
    return new Map(rows.map((row) => [row.id, { ...row, readAt }]));
  }
}
