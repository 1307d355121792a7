import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { decodeCursor, type KeysetPage, pageOf } from '../../common/graphql/index.js';
import { LISTED_ANYWHERE, type VideoRow, VideosService } from '../videos/index.js';

/** Lists of all channels' videos: the same for everybody, whoever looks. */
@Injectable()
export class FeedsService {
  constructor(
    private readonly db: Database,
    private readonly videos: VideosService,
  ) {}

  /**
   * What came into lists last first: what comes while somebody reads page after page stands before the first of them.
   * @param after cursor of the page before
   */
  async newest(first: number, after?: string | null): Promise<KeysetPage<VideoRow>> {
    const [time, id] = after ? decodeCursor(after, 'time', 'uuid') : [null, null];
    const rows = await this.db.query<VideoRow & { time: string }>(
      `SELECT ${this.videos.columns}, v.listed_at::text AS time FROM video v
       WHERE v.listed_at IS NOT NULL AND ${LISTED_ANYWHERE}
         ${time ? 'AND (v.listed_at, v.id) < ($2::timestamptz, $3::uuid)' : ''}
       ORDER BY v.listed_at DESC, v.id DESC LIMIT $1`,
      [first + 1, ...(time ? [time, id] : [])],
    );
    return pageOf(rows, first, (row) => [row.time, row.id]);
  }
}
