import { Injectable } from '@nestjs/common';
import { Database } from '../../common/database/index.js';
import { OnEvent } from '../../common/events/index.js';
import { HandlesJob, type JobContext, Jobs, Periodically } from '../../common/jobs/index.js';
import { ChannelChanged, ChannelDeleted } from '../channels/index.js';
import { VideoChanged, VideoPublished } from '../videos/index.js';
import { PopularityChanged } from '../views/index.js';
import { IndexWriter } from './index-writer.js';
import { IndexBehind, IndexChannelVideos, IndexVideo } from './search.jobs.js';
import { SearchIndex } from './search-index.js';

const AT_ONCE = 200;
/** How often workers look whether the index is to be maintained. */
const LOOK_MS = 600_000;
const FIRST = '00000000-0000-0000-0000-000000000000';

/** Tells the index what changed. Deletion of a video is a change of it, and a channel's deletion deletes its videos. */
@Injectable()
export class IndexUpdates {
  constructor(
    private readonly db: Database,
    private readonly jobs: Jobs,
    private readonly index: SearchIndex,
    private readonly writer: IndexWriter,
  ) {}

  @OnEvent(VideoChanged)
  async videoChanged({ videoId }: { videoId: string }): Promise<void> {
    await this.update([videoId]);
  }

  @OnEvent(VideoPublished)
  async videoPublished({ videoId }: { videoId: string }): Promise<void> {
    await this.update([videoId]);
  }

  @HandlesJob(IndexVideo)
  async publishTimeCame({ videoId }: { videoId: string }): Promise<void> {
    await this.update([videoId]);
  }

  @OnEvent(PopularityChanged)
  async popularityChanged({ videoIds }: { videoIds: string[] }): Promise<void> {
    await this.index.rescore(videoIds);
  }

  @OnEvent(ChannelChanged)
  async channelChanged({ channelId }: { channelId: string }): Promise<void> {
    await this.index.updateChannels([channelId]);
    await this.db.tx((tx) => this.jobs.enqueue(tx, IndexChannelVideos, { channelId, after: null }));
  }

  @OnEvent(ChannelDeleted)
  async channelDeleted({ channelId }: { channelId: string }): Promise<void> {
    await this.index.updateChannels([channelId]);
  }

  @HandlesJob(IndexChannelVideos)
  async channelVideos(
    { channelId, after }: { channelId: string; after: string | null },
    { jobId }: JobContext,
  ): Promise<void> {
    const ids = await this.idsAfter(
      `SELECT v.id FROM video v WHERE v.channel_id = $3 AND v.listed_at IS NOT NULL AND v.id > $1 ORDER BY v.id LIMIT $2`,
      after,
      [channelId],
    );
    await this.update(ids);
    const last = ids[AT_ONCE - 1];
    // One follower, however often this one runs.
    const dedupeKey = `IndexChannelVideos ${jobId}`;
    if (last)
      await this.db.tx((tx) => this.jobs.enqueue(tx, IndexChannelVideos, { channelId, after: last }, { dedupeKey }));
  }

  @HandlesJob(IndexBehind)
  async behind(
    { of, after }: { of: 'videos' | 'channels'; after: string | null },
    { jobId }: JobContext,
  ): Promise<void> {
    const [table, condition] = of === 'videos' ? ['video', 'listed_at IS NOT NULL'] : ['channel', 'true'];
    const ids = await this.idsAfter(
      `SELECT id FROM ${table} WHERE ${condition} AND id > $1 ORDER BY id LIMIT $2`,
      after,
    );
    await (of === 'videos' ? this.update(ids) : this.index.updateChannels(ids));
    const last = ids[AT_ONCE - 1];
    const dedupeKey = `IndexBehind ${jobId}`;
    if (last) await this.db.tx((tx) => this.jobs.enqueue(tx, IndexBehind, { of, after: last }, { dedupeKey }));
    // Until its words are counted, all of them count as rare.
    else if (of === 'videos') await this.db.query('UPDATE search_state SET maintain_at = now()');
  }

  @Periodically(LOOK_MS)
  async maintain(signal: AbortSignal): Promise<void> {
    await this.writer.maintainWhenDue(signal);
  }

  private async update(videoIds: readonly string[]): Promise<void> {
    await this.index.updateVideos(videoIds);
    const due = await this.db.query<{ videoId: string; at: string; delayMs: number }>(
      `SELECT id AS "videoId", extract(epoch FROM publish_at)::text AS at,
              ceil(extract(epoch FROM publish_at - now()) * 1000)::float8 AS "delayMs" FROM video
       WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND visibility = 'PUBLIC' AND listed_at IS NOT NULL AND publish_at > now()`,
      [videoIds],
    );
    // What was in lists before, and is again from some time on, is told of by nobody then.
    for (const { videoId, at, delayMs } of due) {
      const dedupeKey = `IndexVideo ${videoId} ${at}`;
      await this.db.tx((tx) => this.jobs.enqueue(tx, IndexVideo, { videoId }, { delayMs, dedupeKey }));
    }
  }

  private async idsAfter(sql: string, after: string | null, more: readonly unknown[] = []): Promise<string[]> {
    return (await this.db.query<{ id: string }>(sql, [after ?? FIRST, AT_ONCE, ...more])).map(({ id }) => id);
  }
}
