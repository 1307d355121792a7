import { Injectable, Logger } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { Periodically } from '../../common/jobs/index.js';
import { LISTED, LISTED_ANYWHERE, type VideoRow, VideosService } from '../videos/index.js';
import { relatedLists } from './feeds.metrics.js';
import { type Candidate, choose, MOST_RELATED, MOST_WITH_TERM, weightOf } from './related-choice.js';
import { termsOf } from './terms.js';

/** Of those that share terms, so many are looked at more closely. */
const MOST_BY_TERMS = 96;
const HOLDS = '1 hour';
/** One that is not full: where there are few videos, each that comes is missed. */
const HOLDS_SHORT = '1 minute';
const KEPT = '1 day';
const SWEEP_MS = 600_000;
const SWEPT_AT_ONCE = 1_000;

/** Choices of one question under way: the other connections are for others. */
const CHOICES_AT_ONCE = 4;

/** What goes with a video: chosen when somebody asks, and kept for an hour. */
@Injectable()
export class RelatedService {
  private readonly logger = new Logger(RelatedService.name);
  /** One choice at a time of each video, however many ask. */
  private readonly underWay = new Map<string, Promise<string[]>>();

  constructor(
    private readonly db: Database,
    private readonly videos: VideosService,
  ) {}

  /** Of each video the ids of what goes with it, best first. They may have been hidden since. */
  async listsOf(videoIds: readonly string[]): Promise<Map<string, string[]>> {
    const lists = await this.kept(videoIds);
    relatedLists.inc({ outcome: 'kept' }, lists.size);
    const missing = videoIds.filter((id) => !lists.has(id));
    for (let n = 0; n < missing.length; n += CHOICES_AT_ONCE) {
      const some = missing.slice(n, n + CHOICES_AT_ONCE);
      await Promise.all(some.map(async (id) => lists.set(id, await this.chosenOnce(id))));
    }
    return lists;
  }

  private chosenOnce(videoId: string): Promise<string[]> {
    let choice = this.underWay.get(videoId);
    if (!choice) {
      choice = this.chosen(videoId).finally(() => this.underWay.delete(videoId));
      this.underWay.set(videoId, choice);
    }
    return choice;
  }

  private async kept(videoIds: readonly string[]): Promise<Map<string, string[]>> {
    const rows = await this.db.query<{ id: string; ids: string[] }>(
      `SELECT video_id AS id, ids FROM related_videos WHERE video_id = ANY($1::uuid[])
         AND made_at > now() - CASE WHEN cardinality(ids) >= $2 THEN interval '${HOLDS}' ELSE interval '${HOLDS_SHORT}' END`,
      [videoIds, MOST_RELATED],
    );
    return new Map(rows.map(({ id, ids }) => [id, ids]));
  }

  private async chosen(videoId: string): Promise<string[]> {
    // Another choice may have ended since this one was missed.
    const kept = (await this.kept([videoId])).get(videoId);
    if (kept) return kept;
    const video = (await this.videos.byIds([videoId])).get(videoId);
    if (!video) return [];
    relatedLists.inc({ outcome: 'made' });
    const ids = choose(await this.candidates(video), video);
    await this.keep(video, ids);
    return ids;
  }

  /** What is not kept is chosen again, and no reason to show nothing. */
  private async keep({ id, title, tags }: VideoRow, ids: readonly string[]): Promise<void> {
    try {
      // Not where it has another title by now: whoever changed it has dropped the choice before.
      await this.db.query(
        `INSERT INTO related_videos (video_id, ids) SELECT v.id, $2::uuid[] FROM video v WHERE v.id = $1 AND v.title = $3 AND v.tags = $4::text[]
         ON CONFLICT (video_id) DO UPDATE SET ids = excluded.ids, made_at = excluded.made_at`,
        [id, ids, title, tags],
      );
    } catch (error) {
      this.logger.warn(`what goes with ${id} is not kept: ${(error as Error).message}`);
    }
  }

  /** Each source gives the best that it has, by an index and no further: what there is in all makes no difference. */
  async candidates(video: VideoRow): Promise<Candidate[]> {
    const [byTerm, others] = await Promise.all([
      this.db.query<{ term: string; ids: string[] }>(
        `SELECT w.term, ARRAY(SELECT x.video_id FROM video_term x WHERE x.term = w.term ORDER BY x.score DESC, x.video_id LIMIT $2) AS ids
         FROM unnest($1::text[]) AS w (term)`,
        [termsOf(video), MOST_WITH_TERM],
      ),
      this.db.query<{ id: string }>(
        `(SELECT v.id FROM video v WHERE v.channel_id = $1 AND v.listed_at IS NOT NULL AND ${LISTED}
          ORDER BY v.listed_at DESC, v.id DESC LIMIT $2)
         UNION ALL
         (SELECT t.video_id FROM trending t WHERE t.generation = (SELECT max(generation) FROM trending_generation)
          ORDER BY t.rank LIMIT $2)`,
        [video.channelId, MOST_RELATED + 1],
      ),
    ]);
    const weights = new Map<string, number>();
    for (const { ids } of byTerm) {
      for (const id of ids) weights.set(id, (weights.get(id) ?? 0) + weightOf(ids.length));
    }
    const best = [...weights].toSorted(([, one], [, other]) => other - one).slice(0, MOST_BY_TERMS);
    const ids = new Set([...best.map(([id]) => id), ...others.map(({ id }) => id)]);
    ids.delete(video.id);
    const rows = await this.db.query<Omit<Candidate, 'terms'>>(
      `SELECT v.id, v.channel_id AS "channelId", v.language, coalesce(p.view_count, 0) AS views
       FROM video v LEFT JOIN video_popularity p ON p.video_id = v.id WHERE v.id = ANY($1::uuid[]) AND ${LISTED_ANYWHERE}`,
      [[...ids]],
    );
    return rows.map((row) => ({ ...row, terms: weights.get(row.id) ?? 0 }));
  }

  /** What nobody asked for in a day: it would be chosen anew anyway. */
  @Periodically(SWEEP_MS)
  async sweep(signal?: AbortSignal): Promise<void> {
    for (let gone = SWEPT_AT_ONCE; gone === SWEPT_AT_ONCE && !signal?.aborted; ) {
      const rows = await this.db.query(
        `DELETE FROM related_videos WHERE video_id IN (SELECT video_id FROM related_videos
           WHERE made_at < now() - interval '${KEPT}' ORDER BY made_at LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING video_id`,
        [SWEPT_AT_ONCE],
      );
      gone = rows.length;
    }
  }
}
