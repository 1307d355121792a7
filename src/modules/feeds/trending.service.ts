import { Injectable } from '@nestjs/common';
import { Database, type Sql } from '../../common/database/index.js';
import { decodeCursor, type KeysetPage, pageOf } from '../../common/graphql/index.js';
import { Periodically } from '../../common/jobs/index.js';
import { LISTED_ANYWHERE, type VideoRow, VideosService } from '../videos/index.js';
import { RankingExpired } from './feeds.errors.js';
import { rankings } from './feeds.metrics.js';

/** How long a ranking holds. Whether it does is looked at more often, so that the first one comes soon. */
const HOLDS_SECONDS = 60;
const LOOK_MS = 10_000;
const LENGTH = 1_000;
/** How long one may still be read on that another has taken the place of. */
const KEPT = '1 hour';

/**
 * What is watched now. Ranks change while somebody turns pages, so what is read is a ranking as it was at one moment, and a
 * cursor names it: its pages have each video once, and all that were in it and may still be shown.
 */
@Injectable()
export class TrendingService {
  constructor(
    private readonly db: Database,
    private readonly videos: VideosService,
  ) {}

  /**
   * @param after cursor of the page before
   * @throws RankingExpired when that page's ranking is not kept any more
   */
  async page(first: number, after?: string | null): Promise<KeysetPage<VideoRow>> {
    const [generation, rank] = after ? decodeCursor(after, 'integer', 'integer') : [null, 0];
    // One statement: a ranking that goes between two of them would look like one that ends here.
    const rows = await this.db.query<VideoRow & { generation: number; rank: number }>(
      `SELECT ${this.videos.columns}, g.generation, v.rank FROM trending_generation g LEFT JOIN LATERAL (
         SELECT v.*, t.rank FROM trending t JOIN video v ON v.id = t.video_id
         WHERE t.generation = g.generation AND t.rank > $2::bigint AND ${LISTED_ANYWHERE}
         ORDER BY t.rank LIMIT $3) v ON true
       WHERE g.generation = coalesce($1, (SELECT max(generation) FROM trending_generation)) ORDER BY v.rank`,
      [generation, rank, first + 1],
    );
    if (generation !== null && rows.length === 0) throw new RankingExpired();
    const shown = rows.filter((row) => row.rank !== null);
    return pageOf(shown, first, (row) => [row.generation, row.rank]);
  }

  @Periodically(LOOK_MS)
  async keep(): Promise<void> {
    await this.rank(HOLDS_SECONDS);
  }

  /** Ranks anew, unless that was done within `seconds`, or is being done. What came out is kept where it is another one. */
  async rank(seconds = 0): Promise<void> {
    if (await this.isRecent(this.db, seconds)) return;
    await this.db.tx(async (tx) => {
      const [lock] = await tx.query<{ isMine: boolean }>(
        `SELECT pg_try_advisory_xact_lock(hashtextextended('trending', 0)) AS "isMine"`,
      );
      // Who held it may be done by now.
      if (!lock?.isMine || (await this.isRecent(tx, seconds))) return;
      const found = await tx.query<{ id: string }>(
        `SELECT v.id FROM video_popularity p JOIN video v ON v.id = p.video_id
         WHERE v.listed_at IS NOT NULL AND ${LISTED_ANYWHERE} ORDER BY p.trend DESC, p.video_id LIMIT $1`,
        [LENGTH],
      );
      // It is the ranking until now, whether another takes its place or not.
      const [last] = await tx.query<{ ids: string[] }>(
        `UPDATE trending_generation g SET looked_at = now() WHERE g.generation = (SELECT max(generation) FROM trending_generation)
         RETURNING ARRAY(SELECT t.video_id FROM trending t WHERE t.generation = g.generation ORDER BY t.rank) AS ids`,
      );
      const ids = found.map(({ id }) => id);
      if (ids.length === (last?.ids.length ?? 0) && ids.every((id, n) => id === last?.ids[n])) {
        tx.afterCommit(() => rankings.inc({ outcome: 'unchanged' }));
        return;
      }
      await tx.query(
        `WITH g AS (INSERT INTO trending_generation DEFAULT VALUES RETURNING generation)
         INSERT INTO trending (generation, rank, video_id)
         SELECT g.generation, x.rank, x.id FROM g CROSS JOIN unnest($1::uuid[]) WITH ORDINALITY AS x (id, rank)`,
        [ids],
      );
      await tx.query(`DELETE FROM trending_generation WHERE looked_at < now() - interval '${KEPT}'`);
      tx.afterCommit(() => rankings.inc({ outcome: 'made' }));
    });
  }

  private async isRecent(sql: Sql, seconds: number): Promise<boolean> {
    const rows = await sql.query(
      `SELECT FROM trending_generation WHERE looked_at > now() - $1 * interval '1 second'
       AND generation = (SELECT max(generation) FROM trending_generation)`,
      [seconds],
    );
    return rows.length > 0;
  }
}
